"""shared.db: the beats. Each process has one row, which it overwrites every few seconds."""

import json
from collections.abc import Mapping

import apsw

from postroom.store.clock import milliseconds
from postroom.store.shared.file import SharedFile
from postroom.store.shared.interface import BEAT_KEPT_S, Beat


class SqliteBeats:
    """`Beats` of the interface, in the SQLite file shared.db."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file

    async def beat(
        self, word: str, host: str, pid: int, samples: Mapping[str, float], now: float | None = None
    ) -> None:
        def transaction(connection: apsw.Connection) -> None:
            connection.execute(
                "REPLACE INTO beats (word, host, pid, at_ms, samples) VALUES (?, ?, ?, ?, ?)",
                (word, host, pid, self._file.now_ms(now), json.dumps(dict(samples))),
            )

        await self._file.write(transaction)

    async def recent(self, max_age_s: float, now: float | None = None) -> list[Beat]:
        def transaction(connection: apsw.Connection) -> list[Beat]:
            now_ms = self._file.now_ms(now)
            rows = connection.execute(
                "SELECT word, host, pid, at_ms, samples FROM beats WHERE at_ms >= ? ORDER BY word, host, pid",
                (now_ms - milliseconds(max_age_s),),
            )
            return [
                Beat(word, host, pid, at=at_ms / 1000, samples=json.loads(samples), age_s=(now_ms - at_ms) / 1000)
                for word, host, pid, at_ms, samples in rows
            ]

        return await self._file.ask(transaction)

    async def sweep(self, now: float | None, budget: int) -> int:
        """Remove beats of processes long silent."""

        def remove(connection: apsw.Connection, step: int) -> int:
            connection.execute(
                "DELETE FROM beats WHERE (word, host, pid) IN"
                " (SELECT word, host, pid FROM beats WHERE at_ms <= ? LIMIT ?)",
                (self._file.now_ms(now) - BEAT_KEPT_S * 1000, step),
            )
            return connection.changes()

        return await self._file.sweep(remove, budget)
