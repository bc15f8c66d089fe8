"""shared.db: suppressed recipients, in SQL. Operations for one open transaction.

Privacy: a recipient is kept as keyed hash, domain and masked hint; the address itself is nowhere.
"""

import json
from collections.abc import Mapping, Sequence

import apsw

from postroom.store.shared.interface import Suppression

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

_HOLDS = "(expires_at IS NULL OR expires_at > ?)"


def suppressed(connection: apsw.Connection, hashes: Sequence[str], now_ms: int) -> Mapping[str, Suppression]:
    """See SharedStore.suppressed."""
    rows = connection.execute(
        f"SELECT * FROM suppressions WHERE recipient_hash IN (SELECT value FROM json_each(?)) AND {_HOLDS}",
        (json.dumps(list(hashes)), now_ms / 1000),
    )
    return {row[0]: Suppression(*row) for row in rows}


def suppress(connection: apsw.Connection, suppression: Suppression, now_ms: int) -> bool:
    """See SharedStore.suppress."""
    known = suppressed(connection, [suppression.recipient_hash], now_ms).get(suppression.recipient_hash)
    if known is not None and known.source == "operator" and suppression.source == "watcher":
        return False
    added_at, expires_at = suppression.added_at, suppression.expires_at
    if known is not None:
        added_at = known.added_at
        expires_at = None if None in (known.expires_at, expires_at) else max(known.expires_at or 0, expires_at or 0)
    connection.execute(
        "REPLACE INTO suppressions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
        ),
    )
    return known is None


def lift(connection: apsw.Connection, recipient_hash: str, now_ms: int) -> bool:
    """See SharedStore.lift."""
    holds = bool(suppressed(connection, [recipient_hash], now_ms))
    connection.execute("DELETE FROM suppressions WHERE recipient_hash = ?", (recipient_hash,))
    return holds


def suppressions(connection: apsw.Connection, after: str, limit: int, now_ms: int) -> list[Suppression]:
    """See SharedStore.suppressions."""
    rows = connection.execute(
        f"SELECT * FROM suppressions WHERE recipient_hash > ? AND {_HOLDS} ORDER BY recipient_hash LIMIT ?",
        (after, now_ms / 1000, limit),
    )
    return [Suppression(*row) for row in rows]


def sweep(connection: apsw.Connection, now_ms: int, step: int) -> int:
    """Remove at most `step` suppressions that have expired; return how many it were."""
    connection.execute(
        "DELETE FROM suppressions WHERE recipient_hash IN"
        " (SELECT recipient_hash FROM suppressions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
        (now_ms / 1000, step),
    )
    return connection.changes()
