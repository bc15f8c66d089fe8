"""limits.db: the recipients of messages that are not counted yet.

They lie beside the counters because the same daemon asks for both while Postfix waits.

Privacy: a recipient is kept as keyed hash and domain, and not for long.
"""

from collections.abc import Mapping

import apsw

from postroom.store.limits.file import LimitsFile
from postroom.store.limits.interface import NOTE_KEPT_S, Door


class SqliteNotes:
    """`Notes` of the interface, in the SQLite file limits.db."""

    def __init__(self, file: LimitsFile) -> None:
        self._file = file

    async def note(self, instance: str, door: Door, recipient_hash: str, domain: str, now: float | None = None) -> None:
        def transaction(connection: apsw.Connection) -> None:
            connection.execute(
                "REPLACE INTO notes (instance, door, recipient_hash, domain, at_ms) VALUES (?, ?, ?, ?, ?)",
                (instance, door, recipient_hash, domain, self._file.now_ms(now)),
            )

        await self._file.run(transaction)

    async def noted(self, instance: str, door: Door, now: float | None = None) -> Mapping[str, str]:
        def transaction(connection: apsw.Connection) -> Mapping[str, str]:
            return dict(
                connection.execute(
                    "SELECT recipient_hash, domain FROM notes WHERE instance = ? AND door = ? AND at_ms > ?",
                    (instance, door, self._file.now_ms(now) - NOTE_KEPT_S * 1000),
                )
            )

        return await self._file.run(transaction)

    async def sweep(self, now: float | None, budget: int) -> int:
        """Remove notes that have lapsed."""

        def remove(connection: apsw.Connection, step: int) -> int:
            connection.execute(
                "DELETE FROM notes WHERE (instance, door, recipient_hash) IN"
                " (SELECT instance, door, recipient_hash FROM notes WHERE at_ms <= ? ORDER BY at_ms LIMIT ?)",
                (self._file.now_ms(now) - NOTE_KEPT_S * 1000, step),
            )
            return connection.changes()

        return await self._file.sweep(remove, budget)
