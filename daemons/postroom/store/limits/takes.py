"""limits.db: the counters and the takes.

A counter's slots lie packed in one row, so that a demand costs one read and one write,
and window.py alone decides.

Privacy: keys are stored as the caller gives them; callers hash what is private.
"""

import json
import struct
from collections.abc import Sequence
from itertools import chain

import apsw

from postroom.store.limits import window
from postroom.store.limits.file import LimitsFile
from postroom.store.limits.interface import TAKE_KEPT_S, Demand, Door, Usage, Verdict, counter_ids

EXPIRY_STEP_S = 600
"""A counter in steady use moves in the index of expiry only once in so many seconds."""

_JSON = json.JSONEncoder(separators=(",", ":"), check_circular=False)


class SqliteTakes:
    """`Takes` of the interface, in the SQLite file limits.db."""

    def __init__(self, file: LimitsFile) -> None:
        self._file = file

    async def take(
        self,
        instance: str,
        door: Door,
        demands: Sequence[Demand],
        queue_id: str | None = None,
        now: float | None = None,
    ) -> Verdict:
        def transaction(connection: apsw.Connection) -> Verdict:
            now_ms = self._file.now_ms(now)
            ids = counter_ids(demands)
            verdict = _first_verdict(connection, instance, door, queue_id)
            if verdict is None:
                counters = [_counter(connection, counter_id) for counter_id in ids]
                verdict, after = window.decide(demands, counters, now_ms)
                if verdict.allowed:
                    for counter_id, demand, counter in zip(ids, demands, after, strict=True):
                        _keep(connection, counter_id, demand, counter)
                    connection.execute(
                        "INSERT INTO takes (instance, door, at_ms, queue_id, usages) VALUES (?, ?, ?, ?, ?)",
                        (instance, door, now_ms, queue_id, _JSON.encode(verdict.usages)),
                    )
            if verdict.allowed:
                connection.execute("DELETE FROM waiting WHERE instance = ? AND door = ?", (instance, door))
            return verdict

        return await self._file.run(transaction)

    async def peek(self, demands: Sequence[Demand], now: float | None = None) -> tuple[Usage, ...]:
        def transaction(connection: apsw.Connection) -> tuple[Usage, ...]:
            now_ms = self._file.now_ms(now)
            return tuple(
                window.usage(demand, window.aged(_counter(connection, counter_id), demand, now_ms), now_ms)
                for demand, counter_id in zip(demands, counter_ids(demands), strict=True)
            )

        return await self._file.run(transaction)

    async def reset(self, key: str) -> int:
        def transaction(connection: apsw.Connection) -> int:
            connection.execute("DELETE FROM counters WHERE key = ?", (key,))
            return connection.changes()

        return await self._file.run(transaction)

    async def sweep(self, now: float | None, budget: int) -> int:
        """Remove counters in which nothing counts any more, and takes older than TAKE_KEPT_S."""

        def remove_counters(connection: apsw.Connection, step: int) -> int:
            connection.execute(
                "DELETE FROM counters WHERE (key, rule, window_s) IN "
                "(SELECT key, rule, window_s FROM counters WHERE expires_s <= ? ORDER BY expires_s LIMIT ?)",
                (self._file.now_ms(now) // 1000, step),
            )
            return connection.changes()

        def remove_takes(connection: apsw.Connection, step: int) -> int:
            # The oldest lie in front: no index on time, and no search past the first one to keep.
            connection.execute(
                "DELETE FROM takes WHERE id IN (SELECT id FROM takes ORDER BY id LIMIT ?) AND at_ms <= ?",
                (step, self._file.now_ms(now) - TAKE_KEPT_S * 1000),
            )
            return connection.changes()

        removed = await self._file.sweep(remove_counters, budget)
        return removed + await self._file.sweep(remove_takes, budget - removed)


def _first_verdict(connection: apsw.Connection, instance: str, door: Door, queue_id: str | None) -> Verdict | None:
    """The verdict that allowed this instance before, which goes by this queue id from now on."""
    first = connection.execute(
        "SELECT usages, queue_id FROM takes WHERE instance = ? AND door = ?", (instance, door)
    ).fetchone()
    if first is None:
        return None
    if queue_id not in {None, first[1]}:  # what it had before came to nothing
        connection.execute("UPDATE takes SET queue_id = ? WHERE instance = ? AND door = ?", (queue_id, instance, door))
    usages = tuple(map(Usage._make, json.loads(first[0])))
    return Verdict(True, None, None, 0.0, False, usages)


def _counter(connection: apsw.Connection, counter_id: tuple[str, str, int]) -> window.Counter:
    row = connection.execute(
        "SELECT at_ms, level, slots FROM counters WHERE key = ? AND rule = ? AND window_s = ?", counter_id
    ).fetchone()
    if row is None:
        return window.EMPTY
    return window.Counter(row[0], row[1], tuple(struct.iter_unpack("<qq", row[2])))


def _keep(
    connection: apsw.Connection, counter_id: tuple[str, str, int], demand: Demand, counter: window.Counter
) -> None:
    packed = struct.pack(f"<{2 * len(counter.slots)}q", *chain.from_iterable(counter.slots))
    steps = -(-window.empty_at(demand, counter) // (EXPIRY_STEP_S * 1000))
    connection.execute(
        "INSERT INTO counters (key, rule, window_s, at_ms, level, slots, expires_s) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET"
        " at_ms = excluded.at_ms, level = excluded.level, slots = excluded.slots, expires_s = excluded.expires_s",
        (*counter_id, counter.at_ms, counter.level, packed, steps * EXPIRY_STEP_S),
    )
