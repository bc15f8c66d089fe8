"""limits.db: mail that waits for room under a limit, and mail held instead.

A message that Postfix has put back is a row until it passes; one that is held is a row until it is released.

Privacy: keys are stored as the caller gives them; callers hash what is private.
"""

from collections.abc import Sequence

import apsw

from postroom.store.limits.file import LimitsFile
from postroom.store.limits.interface import HELD_KEPT_S, WAIT_KEPT_S, Door, HeldMail, Passage, WaitingCount


class SqliteWaiting:
    """`Waiting` of the interface, in the SQLite file limits.db."""

    def __init__(self, file: LimitsFile) -> None:
        self._file = file

    async def wait(
        self, instance: str, door: Door, rule: str, key: str, owner: str, at_most: int, now: float | None = None
    ) -> int:
        def transaction(connection: apsw.Connection) -> int:
            now_ms = self._file.now_ms(now)
            connection.execute(
                "INSERT INTO waiting (instance, door, key, rule, owner, since_ms, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET"
                " key = excluded.key, rule = excluded.rule, at_ms = excluded.at_ms, held_as = NULL",
                (instance, door, key, rule, owner, now_ms, now_ms),
            )
            row = connection.execute(
                "SELECT count(*) FROM (SELECT 1 FROM waiting WHERE key = ? AND at_ms > ? AND held_as IS NULL LIMIT ?)",
                (key, now_ms - WAIT_KEPT_S * 1000, at_most + 1),
            ).fetchone()
            assert row is not None
            return int(row[0]) - 1

        return await self._file.run(transaction)

    async def hold(self, instance: str, door: Door, queue_id: str, now: float | None = None) -> None:
        def transaction(connection: apsw.Connection) -> None:
            connection.execute(
                "UPDATE waiting SET held_as = ?, at_ms = ? WHERE instance = ? AND door = ?",
                (queue_id, self._file.now_ms(now), instance, door),
            )

        await self._file.run(transaction)

    async def passage(self, queue_id: str) -> Passage | None:
        def transaction(connection: apsw.Connection) -> Passage | None:
            row = connection.execute(
                "SELECT instance, owner FROM waiting WHERE held_as = ? ORDER BY at_ms DESC", (queue_id,)
            ).fetchone()
            if row is not None:
                return Passage("held", *row)
            taken = connection.execute("SELECT 1 FROM takes WHERE queue_id = ?", (queue_id,)).fetchone()
            return None if taken is None else Passage("taken")

        return await self._file.run(transaction)

    async def counts(self, now: float | None = None) -> list[WaitingCount]:
        def transaction(connection: apsw.Connection) -> list[WaitingCount]:
            rows = connection.execute(
                "SELECT key, rule, sum(held_as IS NULL), sum(held_as IS NOT NULL), min(since_ms) FROM waiting"
                " WHERE held_as IS NOT NULL OR at_ms > ? GROUP BY key, rule ORDER BY key, rule",
                (self._file.now_ms(now) - WAIT_KEPT_S * 1000,),
            )
            return [
                WaitingCount(key, rule, waiting, held, since_ms / 1000) for key, rule, waiting, held, since_ms in rows
            ]

        return await self._file.run_aside(transaction)

    async def held(self, key: str | None) -> list[HeldMail]:
        def transaction(connection: apsw.Connection) -> list[HeldMail]:
            rows = connection.execute(
                "SELECT held_as, key, rule, at_ms FROM waiting"
                " WHERE held_as IS NOT NULL AND (?1 IS NULL OR key = ?1) ORDER BY at_ms",
                (key,),
            )
            return [HeldMail(queue_id, held_key, rule, at_ms / 1000) for queue_id, held_key, rule, at_ms in rows]

        return await self._file.run_aside(transaction)

    async def released(self, queue_ids: Sequence[str]) -> int:
        def transaction(connection: apsw.Connection) -> int:
            before = connection.total_changes()
            connection.executemany("DELETE FROM waiting WHERE held_as = ?", [(queue_id,) for queue_id in queue_ids])
            return connection.total_changes() - before

        return await self._file.run_aside(transaction)

    async def sweep(self, now: float | None, budget: int) -> int:
        """Remove mail that came no more."""

        def remove(connection: apsw.Connection, step: int) -> int:
            now_ms = self._file.now_ms(now)
            connection.execute(
                "DELETE FROM waiting WHERE (instance, door) IN (SELECT instance, door FROM waiting"
                " WHERE at_ms <= ? AND (held_as IS NULL OR at_ms <= ?) ORDER BY at_ms LIMIT ?)",
                (now_ms - WAIT_KEPT_S * 1000, now_ms - HELD_KEPT_S * 1000, step),
            )
            return connection.changes()

        return await self._file.sweep(remove, budget)
