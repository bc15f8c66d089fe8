"""shared.db: suppressed recipients, in SQL. Operations for one open transaction.

Privacy: a recipient is kept as keyed hash, domain and masked hint; the address itself is nowhere.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import apsw

from postroom.store.shared.suppression import RANKS, Suppression

SCHEMA = """
CREATE TABLE suppressions (
    recipient_hash  TEXT PRIMARY KEY,
    domain          TEXT NOT NULL,
    hint            TEXT NOT NULL,
    cause           TEXT NOT NULL,
    enhanced_status TEXT,
    evidence        TEXT NOT NULL,
    source          TEXT NOT NULL,
    added_at        REAL NOT NULL,  -- Unix seconds
    expires_at      REAL            -- NULL is never
) STRICT, WITHOUT ROWID;
CREATE INDEX suppressions_by_expiry ON suppressions (expires_at) WHERE expires_at IS NOT NULL;
"""

WITH_RULES = """
ALTER TABLE suppressions RENAME TO suppressions_before;
DROP INDEX suppressions_by_expiry;
CREATE TABLE suppressions (
    recipient_hash  TEXT NOT NULL,
    domain          TEXT NOT NULL,
    hint            TEXT NOT NULL,
    cause           TEXT NOT NULL,
    enhanced_status TEXT,
    evidence        TEXT NOT NULL,
    source          TEXT NOT NULL,
    added_at        REAL NOT NULL,
    expires_at      REAL,
    rule            TEXT NOT NULL,     -- '' where no rule judged
    rule_version    INTEGER NOT NULL,
    stream          TEXT NOT NULL,     -- '' is all mail
    wave            INTEGER,
    is_held         INTEGER NOT NULL,  -- 1: waits for review, not in effect
    PRIMARY KEY (recipient_hash, stream)
) STRICT, WITHOUT ROWID;
INSERT INTO suppressions
    SELECT recipient_hash, domain, hint, cause, enhanced_status, evidence,
           CASE source WHEN 'watcher' THEN 'bounce' ELSE 'manual' END, added_at, expires_at, '', 0, '', NULL, 0
    FROM suppressions_before;
DROP TABLE suppressions_before;
CREATE INDEX suppressions_by_expiry ON suppressions (expires_at) WHERE expires_at IS NOT NULL;
"""
"""The second schema: entries tell their rule, stream and wave."""

_NOT_EXPIRED = "(expires_at IS NULL OR expires_at > ?)"


def suppressed(
    connection: apsw.Connection, hashes: Sequence[str], stream: str, now_ms: int
) -> Mapping[str, Suppression]:
    """See SharedStore.suppressed."""
    rows = connection.execute(
        "SELECT * FROM suppressions WHERE recipient_hash IN (SELECT value FROM json_each(?))"
        f" AND stream IN ('', ?) AND is_held = 0 AND {_NOT_EXPIRED} ORDER BY stream DESC",
        (json.dumps(list(hashes)), stream, now_ms / 1000),
    )
    # Where both hold, what is about all mail comes last, and is told.
    return {row[0]: entry(row) for row in rows}


def suppress(connection: apsw.Connection, suppressions: Sequence[Suppression], now_ms: int) -> list[bool]:
    """See SharedStore.suppress."""
    return [_suppress(connection, suppression, now_ms) for suppression in suppressions]


def _suppress(connection: apsw.Connection, suppression: Suppression, now_ms: int) -> bool:
    known = known_entry(connection, suppression.recipient_hash, suppression.stream, now_ms)
    added_at, expires_at = suppression.added_at, suppression.expires_at
    if known is not None:
        if RANKS.index(suppression.source) < RANKS.index(known.source):
            return False
        added_at = known.added_at
        expires_at = None if None in (known.expires_at, expires_at) else max(known.expires_at or 0, expires_at or 0)
    put(connection, suppression, added_at, expires_at)
    return known is None or known.is_held


def put(connection: apsw.Connection, suppression: Suppression, added_at: float, expires_at: float | None) -> None:
    """Write an entry over the one of the same recipient and stream, with these times."""
    connection.execute(
        "REPLACE INTO suppressions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            suppression.recipient_hash,
            suppression.domain,
            suppression.hint,
            suppression.cause,
            suppression.enhanced_status,
            suppression.evidence,
            suppression.source,
            added_at,
            expires_at,
            suppression.rule,
            suppression.rule_version,
            suppression.stream,
            suppression.wave,
            suppression.is_held,
        ),
    )


def known_entry(connection: apsw.Connection, recipient_hash: str, stream: str, now_ms: int) -> Suppression | None:
    """The entry of this recipient and stream, held or in effect; None when there is none, or it has expired."""
    row = connection.execute(
        f"SELECT * FROM suppressions WHERE recipient_hash = ? AND stream = ? AND {_NOT_EXPIRED}",
        (recipient_hash, stream, now_ms / 1000),
    ).fetchone()
    return None if row is None else entry(row)


def remove(connection: apsw.Connection, recipient_hash: str, stream: str | None, now_ms: int) -> bool:
    """Remove the entries of this recipient, of all mail and all streams or of one; says whether there were any."""
    which, bindings = "recipient_hash = ?1 AND ?2 IN (stream, '*')", (recipient_hash, "*" if stream is None else stream)
    row = connection.execute(
        f"SELECT 1 FROM suppressions WHERE {which} AND (expires_at IS NULL OR expires_at > ?3)",
        (*bindings, now_ms / 1000),
    ).fetchone()
    connection.execute(f"DELETE FROM suppressions WHERE {which}", bindings)
    return row is not None


def entries(connection: apsw.Connection, recipient_hash: str, now_ms: int) -> list[Suppression]:
    """What is said against this recipient, what is about all mail first; held ones too."""
    rows = connection.execute(
        f"SELECT * FROM suppressions WHERE recipient_hash = ? AND {_NOT_EXPIRED} ORDER BY stream",
        (recipient_hash, now_ms / 1000),
    )
    return [entry(row) for row in rows]


def suppressions(connection: apsw.Connection, after: tuple[str, str], limit: int, now_ms: int) -> list[Suppression]:
    """See SharedStore.suppressions."""
    rows = connection.execute(
        f"SELECT * FROM suppressions WHERE (recipient_hash, stream) > (?, ?) AND {_NOT_EXPIRED}"
        " ORDER BY recipient_hash, stream LIMIT ?",
        (*after, now_ms / 1000, limit),
    )
    return [entry(row) for row in rows]


def sweep(connection: apsw.Connection, now_ms: int, step: int) -> int:
    """Remove at most `step` suppressions that have expired; return how many it were."""
    connection.execute(
        "DELETE FROM suppressions WHERE (recipient_hash, stream) IN"
        " (SELECT recipient_hash, stream FROM suppressions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
        (now_ms / 1000, step),
    )
    return connection.changes()


def entry(row: Sequence[Any]) -> Suppression:
    """A row of the table as a value."""
    return Suppression(*[*row[:-1], bool(row[-1])])
