"""shared.db: what deliveries and refusals say of recipients, in SQL. Operations for one open transaction.

Each fact counts once, and in whatever order facts arrive (several hosts tell theirs apart) the end is the same: a
recipient is suppressed when the refusals later than the last mail that reached it are proof.

    refusals  those that count; a delivery takes the earlier ones away
    good      when recipients last got mail, or were lifted; an earlier refusal says nothing any more

Limits:  MOST_REFUSALS for each recipient, class and kind; REFUSAL_KEPT_S, GOOD_KEPT_S.
BUGS:    a refusal told again after more than GOOD_KEPT_S, and after mail reached its recipient, counts anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import apsw

from postroom.store.shared import waves
from postroom.store.shared.suppression import (
    GOOD_KEPT_S,
    MOST_REFUSALS,
    REFUSAL_KEPT_S,
    Delivered,
    KeptRefusal,
    Learned,
    ProofRule,
    RecipientHistory,
    Refused,
    Suppression,
    WaveGuard,
)
from postroom.store.shared.suppressions import entries, known_entry, put, remove

SCHEMA = """
CREATE TABLE refusals (
    id              TEXT PRIMARY KEY,  -- of the fact
    recipient_hash  TEXT NOT NULL,
    cause           TEXT NOT NULL,
    rule            TEXT NOT NULL,
    rule_version    INTEGER NOT NULL,
    enhanced_status TEXT NOT NULL,
    evidence        TEXT NOT NULL,     -- masked
    at              REAL NOT NULL,     -- Unix seconds
    is_proof        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refusals_by_recipient ON refusals (recipient_hash, cause, at);
CREATE INDEX refusals_by_time ON refusals (at);
CREATE TABLE good (
    recipient_hash TEXT PRIMARY KEY,
    domain         TEXT NOT NULL,      -- '' where it was lifted by hand
    at             REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX good_by_time ON good (at);
CREATE INDEX good_by_domain ON good (domain, at);
-- What suppressed before this table was proof by itself.
INSERT INTO refusals
    SELECT 'before ' || recipient_hash, recipient_hash, cause, '', 0, coalesce(enhanced_status, ''), evidence,
           added_at, 1
    FROM suppressions WHERE source = 'bounce';
"""


def learn(
    connection: apsw.Connection,
    facts: Sequence[Refused | Delivered],
    rules: Mapping[str, ProofRule],
    guard: WaveGuard,
    now_ms: int,
) -> list[Learned]:
    """See SharedStore.learn."""
    proofs = _Proofs(connection, rules)
    return [
        _delivered(connection, fact, proofs, now_ms)
        if isinstance(fact, Delivered)
        else _refused(connection, fact, proofs, guard, now_ms)
        for fact in facts
    ]


def forget(connection: apsw.Connection, recipient_hash: str, domain: str, at: float) -> None:
    """What was said against this recipient up to this time counts no more."""
    connection.execute(
        "INSERT INTO good VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
        " SET domain = excluded.domain, at = excluded.at WHERE excluded.at > at",
        (recipient_hash, domain, at),
    )
    connection.execute("DELETE FROM refusals WHERE recipient_hash = ? AND at <= ?", (recipient_hash, at))


def lift(connection: apsw.Connection, recipient_hash: str, stream: str | None, now_ms: int) -> bool:
    """See SharedStore.lift."""
    if not stream:
        forget(connection, recipient_hash, "", now_ms / 1000)
    return remove(connection, recipient_hash, stream, now_ms)


def undo(connection: apsw.Connection, number: int, now_ms: int) -> int | None:
    """See SharedStore.undo_wave."""
    recipients = waves.undo(connection, number)
    for recipient_hash in recipients or ():
        forget(connection, recipient_hash, "", now_ms / 1000)
    return None if recipients is None else len(recipients)


def story(connection: apsw.Connection, recipient_hash: str, now_ms: int) -> RecipientHistory:
    """See SharedStore.story."""
    return RecipientHistory(
        tuple(entries(connection, recipient_hash, now_ms)),
        tuple(refusals(connection, recipient_hash)),
        good_at(connection, recipient_hash),
    )


def erase(connection: apsw.Connection, recipient_hash: str, *, forget: bool) -> None:
    """See SharedStore.erase."""
    connection.pragma("secure_delete", True)
    for table, nobody in (
        ("suppressions", "domain = '', hint = '', evidence = ''"),
        ("refusals", "evidence = ''"),
        ("good", "domain = ''"),
    ):
        change = f"DELETE FROM {table}" if forget else f"UPDATE {table} SET {nobody}"
        connection.execute(f"{change} WHERE recipient_hash = ?", (recipient_hash,))
    connection.pragma("secure_delete", False)


def refusals(connection: apsw.Connection, recipient_hash: str) -> list[KeptRefusal]:
    """The refusals that count, the first one first."""
    rows = connection.execute(
        "SELECT cause, rule, rule_version, enhanced_status, evidence, at, is_proof FROM refusals"
        " WHERE recipient_hash = ? ORDER BY at, id",
        (recipient_hash,),
    )
    return [KeptRefusal(*[*row[:-1], bool(row[-1])]) for row in rows]


def good_at(connection: apsw.Connection, recipient_hash: str) -> float | None:
    """When the recipient last got mail, or was lifted, if that was lately."""
    row = connection.execute("SELECT at FROM good WHERE recipient_hash = ?", (recipient_hash,)).fetchone()
    return None if row is None else row[0]


def sweep(connection: apsw.Connection, now_ms: int, step: int) -> int:
    """Remove at most `step` refusals and deliveries that are too old to matter; return how many it were."""
    removed = 0
    for table, key, kept_s in (("refusals", "id", REFUSAL_KEPT_S), ("good", "recipient_hash", GOOD_KEPT_S)):
        connection.execute(
            f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE at < ? ORDER BY at LIMIT ?)",
            (now_ms / 1000 - kept_s, step - removed),
        )
        removed += connection.changes()
    return removed


class _Proofs:
    """Whether what is kept of a recipient is proof.

    Args:
        rules: for each class, what is proof.
    """

    def __init__(self, connection: apsw.Connection, rules: Mapping[str, ProofRule]) -> None:
        self._connection = connection
        self._rules = rules

    def until(self, recipient_hash: str) -> float | None:
        """Until when it suppresses; None when it is no proof of any class."""
        rows = self._connection.execute(
            "SELECT cause, count(*), min(at), max(at), max(is_proof) FROM refusals WHERE recipient_hash = ?"
            " GROUP BY cause",
            (recipient_hash,),
        )
        ends = [
            last + enough.kept_s
            for cause, count, first, last, is_proof in rows
            if (enough := self._rules.get(cause)) is not None
            and (is_proof or (count >= enough.bounces and last - first >= enough.over_s))
        ]
        return max(ends, default=None)


def _delivered(connection: apsw.Connection, fact: Delivered, proofs: _Proofs, now_ms: int) -> Learned:
    forget(connection, fact.recipient_hash, fact.domain, fact.at)
    known = known_entry(connection, fact.recipient_hash, "", now_ms)
    if known is None or known.source != "bounce" or proofs.until(fact.recipient_hash) is not None:
        return Learned.NOTHING
    connection.execute("DELETE FROM suppressions WHERE recipient_hash = ? AND stream = ''", (fact.recipient_hash,))
    return Learned.LIFTED


def _refused(connection: apsw.Connection, fact: Refused, proofs: _Proofs, guard: WaveGuard, now_ms: int) -> Learned:
    last_good = good_at(connection, fact.recipient_hash)
    if last_good is not None and fact.at <= last_good:
        return Learned.OUTDATED
    connection.execute(
        "INSERT INTO refusals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            fact.id,
            fact.recipient_hash,
            fact.cause,
            fact.rule,
            fact.rule_version,
            fact.enhanced_status,
            fact.evidence,
            fact.at,
            fact.is_proof,
        ),
    )
    if connection.changes() == 0:
        return Learned.OUTDATED
    _bound(connection, fact)
    expires_at = proofs.until(fact.recipient_hash)
    if expires_at is None:
        return Learned.COUNTED
    known = known_entry(connection, fact.recipient_hash, "", now_ms)
    if known is not None and known.source != "bounce":
        return Learned.KNOWN
    entry = Suppression(
        fact.recipient_hash,
        fact.domain,
        fact.hint,
        fact.cause,
        fact.enhanced_status or None,
        fact.evidence,
        "bounce",
        fact.at,
        expires_at,
        fact.rule,
        fact.rule_version,
    )
    if known is None:
        wave, is_held, is_begun = waves.wave_of(connection, entry, guard)
        put(connection, replace(entry, wave=wave, is_held=is_held), fact.at, expires_at)
        return Learned.WAVE_BEGAN if is_begun else Learned.HELD if is_held else Learned.SUPPRESSED
    entry = replace(entry, wave=known.wave, is_held=known.is_held)
    put(connection, entry, known.added_at, None if known.expires_at is None else max(expires_at, known.expires_at))
    return Learned.KNOWN


def _bound(connection: apsw.Connection, fact: Refused) -> None:
    # The first stays, for the span is counted from there, and the last.
    of_its_kind = "recipient_hash = ?1 AND cause = ?2 AND is_proof = ?3"
    connection.execute(
        f"DELETE FROM refusals WHERE id IN (SELECT id FROM refusals WHERE {of_its_kind}"
        " ORDER BY at DESC, id DESC LIMIT 1 OFFSET 1)"
        f" AND (SELECT count(*) FROM refusals WHERE {of_its_kind}) > ?4",
        (fact.recipient_hash, fact.cause, fact.is_proof, MOST_REFUSALS),
    )
