"""shared.db: suppressed recipients.

Privacy: a recipient is kept as keyed hash, domain and masked hint; the address itself is nowhere.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import apsw

from postroom.store.shared.file import SharedFile
from postroom.store.shared.values import RANKS, Suppression

_COLUMNS = (
    "recipient_hash",
    "domain",
    "hint",
    "cause",
    "enhanced_status",
    "evidence",
    "source",
    "added_at",
    "expires_at",
    "rule",
    "rule_version",
    "stream",
    "wave",
    "is_held",
)
"""Named as the fields of Suppression."""
_ENTRIES = f"SELECT {', '.join(_COLUMNS)} FROM suppressions WHERE (expires_at IS NULL OR expires_at > :now)"
_PUT = f"REPLACE INTO suppressions ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in _COLUMNS)})"


class SqliteSuppressions:
    """`Suppressions` of the interface, in the SQLite file shared.db."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file

    async def suppressed(
        self, recipient_hashes: Sequence[str], stream: str = "", now: float | None = None
    ) -> Mapping[str, Suppression]:
        def transaction(connection: apsw.Connection) -> Mapping[str, Suppression]:
            rows = connection.execute(
                f"{_ENTRIES} AND recipient_hash IN (SELECT value FROM json_each(:hashes))"
                " AND stream IN ('', :stream) AND is_held = 0 ORDER BY stream DESC",
                {
                    "hashes": json.dumps(list(recipient_hashes)),
                    "stream": stream,
                    "now": self._file.now_ms(now) / 1000,
                },
            )
            # Where both hold, what is about all mail comes last, and is given.
            return {entry.recipient_hash: entry for entry in map(_entry, rows)}

        return await self._file.ask(transaction)

    async def suppress(self, suppressions: Sequence[Suppression], now: float | None = None) -> list[bool]:
        def transaction(connection: apsw.Connection) -> list[bool]:
            now_ms = self._file.now_ms(now)
            return [_suppress(connection, suppression, now_ms) for suppression in suppressions]

        return await self._file.write(transaction)

    async def lift(self, recipient_hash: str, stream: str | None = None, now: float | None = None) -> bool:
        def transaction(connection: apsw.Connection) -> bool:
            now_ms = self._file.now_ms(now)
            if not stream:
                forget(connection, recipient_hash, "", now_ms / 1000)
            which = "recipient_hash = ?1 AND ?2 IN (stream, '*')"
            bindings = recipient_hash, "*" if stream is None else stream
            found = connection.execute(
                f"SELECT 1 FROM suppressions WHERE {which} AND (expires_at IS NULL OR expires_at > ?3)",
                (*bindings, now_ms / 1000),
            ).fetchone()
            connection.execute(f"DELETE FROM suppressions WHERE {which}", bindings)
            return found is not None

        return await self._file.write(transaction)

    async def page(self, after: tuple[str, str], limit: int, now: float | None = None) -> list[Suppression]:
        def transaction(connection: apsw.Connection) -> list[Suppression]:
            recipient_hash, stream = after
            rows = connection.execute(
                f"{_ENTRIES} AND (recipient_hash, stream) > (:recipient_hash, :stream)"
                " ORDER BY recipient_hash, stream LIMIT :limit",
                {
                    "recipient_hash": recipient_hash,
                    "stream": stream,
                    "limit": limit,
                    "now": self._file.now_ms(now) / 1000,
                },
            )
            return [*map(_entry, rows)]

        return await self._file.ask_aside(transaction)

    async def sweep(self, now: float | None, budget: int) -> int:
        """Remove suppressions that have expired."""

        def remove(connection: apsw.Connection, step: int) -> int:
            connection.execute(
                "DELETE FROM suppressions WHERE (recipient_hash, stream) IN"
                " (SELECT recipient_hash, stream FROM suppressions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
                (self._file.now_ms(now) / 1000, step),
            )
            return connection.changes()

        return await self._file.sweep(remove, budget)


def put(connection: apsw.Connection, entry: Suppression) -> None:
    """Write an entry over the one of the same recipient and stream."""
    connection.execute(_PUT, asdict(entry))


def entries(connection: apsw.Connection, recipient_hash: str, now_ms: int) -> list[Suppression]:
    """What is said against this recipient, what is about all mail first; held ones too."""
    rows = connection.execute(
        f"{_ENTRIES} AND recipient_hash = :recipient_hash ORDER BY stream",
        {"recipient_hash": recipient_hash, "now": now_ms / 1000},
    )
    return [*map(_entry, rows)]


def known_entry(connection: apsw.Connection, recipient_hash: str, stream: str, now_ms: int) -> Suppression | None:
    """The entry of this recipient and stream, held or in effect; None when there is none, or it has expired."""
    row = connection.execute(
        f"{_ENTRIES} AND recipient_hash = :recipient_hash AND stream = :stream",
        {"recipient_hash": recipient_hash, "stream": stream, "now": now_ms / 1000},
    ).fetchone()
    return None if row is None else _entry(row)


def forget(connection: apsw.Connection, recipient_hash: str, domain: str, at: float) -> None:
    """What was said against this recipient up to this time counts no more.

    Args:
        domain: of mail that reached it; "" when it was lifted.
    """
    connection.execute(
        "INSERT INTO good (recipient_hash, domain, at) VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
        " SET domain = excluded.domain, at = excluded.at WHERE excluded.at > at",
        (recipient_hash, domain, at),
    )
    connection.execute("DELETE FROM refusals WHERE recipient_hash = ? AND at <= ?", (recipient_hash, at))


def _suppress(connection: apsw.Connection, suppression: Suppression, now_ms: int) -> bool:
    known = known_entry(connection, suppression.recipient_hash, suppression.stream, now_ms)
    if known is None:
        put(connection, suppression)
        return True
    if RANKS.index(suppression.source) < RANKS.index(known.source):
        return False
    ends = known.expires_at, suppression.expires_at
    expires_at = None if None in ends else max(end or 0 for end in ends)
    put(connection, replace(suppression, added_at=known.added_at, expires_at=expires_at))
    return known.is_held


def _entry(row: Sequence[Any]) -> Suppression:
    fields = dict(zip(_COLUMNS, row, strict=True))
    return Suppression(**fields | {"is_held": bool(fields["is_held"])})
