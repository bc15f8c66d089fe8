"""shared.db: what deliveries and refusals say of recipients.

Each fact counts once, and in whatever order facts arrive (several hosts send theirs apart) the end is the same: a
recipient is suppressed when the refusals later than the last mail that reached it are proof.

    refusals  those that count; a delivery takes the earlier ones away
    good      when recipients last got mail, or were lifted; an earlier refusal says nothing any more

Limits:  MOST_REFUSALS for each recipient, class and kind; REFUSAL_KEPT_S, GOOD_KEPT_S.
BUGS:    a refusal learned again after more than GOOD_KEPT_S, and after mail reached its recipient, counts anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import apsw

from postroom.store.shared.file import SharedFile
from postroom.store.shared.suppressions import entries, forget, known_entry, put
from postroom.store.shared.values import (
    COMPLAINT,
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
from postroom.store.shared.waves import with_wave
from postroom.store.sqlite.rows import named_rows


class SqliteEvidence:
    """`Evidence` of the interface, in the SQLite file shared.db."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file

    async def learn(
        self,
        facts: Sequence[Refused | Delivered],
        rules: Mapping[str, ProofRule],
        guard: WaveGuard,
        now: float | None = None,
    ) -> list[Learned]:
        def transaction(connection: apsw.Connection) -> list[Learned]:
            now_ms, proofs = self._file.now_ms(now), _Proofs(connection, rules)
            return [
                _delivered(connection, fact, proofs, now_ms)
                if isinstance(fact, Delivered)
                else _refused(connection, fact, proofs, guard, now_ms)
                for fact in facts
            ]

        return await self._file.write(transaction)

    async def history(self, recipient_hash: str, now: float | None = None) -> RecipientHistory:
        def transaction(connection: apsw.Connection) -> RecipientHistory:
            return RecipientHistory(
                tuple(entries(connection, recipient_hash, self._file.now_ms(now))),
                tuple(_refusals(connection, recipient_hash)),
                _good_at(connection, recipient_hash),
            )

        return await self._file.ask_aside(transaction)

    async def erase(self, recipient_hash: str, *, forget: bool) -> None:
        def transaction(connection: apsw.Connection) -> None:
            connection.pragma("secure_delete", True)
            for table, nobody in (
                ("suppressions", "domain = '', hint = '', evidence = ''"),
                ("refusals", "evidence = ''"),
                ("good", "domain = ''"),
            ):
                change = f"DELETE FROM {table}" if forget else f"UPDATE {table} SET {nobody}"
                connection.execute(f"{change} WHERE recipient_hash = ?", (recipient_hash,))
            connection.pragma("secure_delete", False)

        await self._file.write(transaction)

    async def sweep(self, now: float | None, budget: int) -> int:
        """Remove refusals and deliveries that are too old to matter."""

        def remove(connection: apsw.Connection, step: int) -> int:
            at, removed = self._file.now_ms(now) / 1000, 0
            for table, key, kept_s in (("refusals", "id", REFUSAL_KEPT_S), ("good", "recipient_hash", GOOD_KEPT_S)):
                connection.execute(
                    f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE at < ? ORDER BY at LIMIT ?)",
                    (at - kept_s, step - removed),
                )
                removed += connection.changes()
            return removed

        return await self._file.sweep(remove, budget)


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
    last_good = _good_at(connection, fact.recipient_hash)
    if last_good is not None and fact.at <= last_good:
        return Learned.OUTDATED
    if not _keep_refusal(connection, fact):
        return Learned.OUTDATED
    expires_at = proofs.until(fact.recipient_hash)
    if expires_at is None:
        return Learned.COUNTED
    known = known_entry(connection, fact.recipient_hash, "", now_ms)
    if known is not None and known.source != "bounce":
        if not (known.is_held and known.source == COMPLAINT):
            return Learned.KNOWN
        known = None  # a complaint nobody has looked at yet does not stand in the way of what is proof
    entry = Suppression(
        recipient_hash=fact.recipient_hash,
        domain=fact.domain,
        hint=fact.hint,
        cause=fact.cause,
        enhanced_status=fact.enhanced_status or None,
        evidence=fact.evidence,
        source="bounce",
        added_at=fact.at,
        expires_at=expires_at,
        rule=fact.rule,
        rule_version=fact.rule_version,
    )
    if known is None:
        entry, learned = with_wave(connection, entry, guard)
        put(connection, entry)
        return learned
    later = None if known.expires_at is None else max(expires_at, known.expires_at)
    put(
        connection,
        replace(entry, added_at=known.added_at, expires_at=later, wave=known.wave, is_held=known.is_held),
    )
    return Learned.KNOWN


def _keep_refusal(connection: apsw.Connection, fact: Refused) -> bool:
    """Keep a refusal; False when it is kept already."""
    connection.execute(
        "INSERT INTO refusals"
        " (id, recipient_hash, cause, rule, rule_version, enhanced_status, evidence, at, is_proof) VALUES"
        " (:id, :recipient_hash, :cause, :rule, :rule_version, :enhanced_status, :evidence, :at, :is_proof)"
        " ON CONFLICT DO NOTHING",
        asdict(fact),
    )
    if connection.changes() == 0:
        return False
    # The first stays, for the span is counted from there, and the last.
    of_its_kind = "recipient_hash = ?1 AND cause = ?2 AND is_proof = ?3"
    connection.execute(
        f"DELETE FROM refusals WHERE id IN (SELECT id FROM refusals WHERE {of_its_kind}"
        " ORDER BY at DESC, id DESC LIMIT 1 OFFSET 1)"
        f" AND (SELECT count(*) FROM refusals WHERE {of_its_kind}) > ?4",
        (fact.recipient_hash, fact.cause, fact.is_proof, MOST_REFUSALS),
    )
    return True


def _refusals(connection: apsw.Connection, recipient_hash: str) -> list[KeptRefusal]:
    """The refusals that count, the first one first."""
    rows = named_rows(
        connection,
        "SELECT cause, rule, rule_version, enhanced_status, evidence, at, is_proof FROM refusals"
        " WHERE recipient_hash = ? ORDER BY at, id",
        (recipient_hash,),
    )
    return [KeptRefusal(**row | {"is_proof": bool(row["is_proof"])}) for row in rows]


def _good_at(connection: apsw.Connection, recipient_hash: str) -> float | None:
    """When the recipient last got mail, or was lifted, if that was lately."""
    row = connection.execute("SELECT at FROM good WHERE recipient_hash = ?", (recipient_hash,)).fetchone()
    return None if row is None else row[0]
