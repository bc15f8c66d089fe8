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
from postroom.store.limits.interface import LOG_CLOCK_SLACK_S, TAKE_KEPT_S, Demand, Door, Usage, Verdict, counter_ids

EXPIRY_STEP_S = 600
"""A counter in steady use moves in the index of expiry only once in so many seconds."""

_COSTS = struct.Struct("<qqq")
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
            verdict = _first_verdict(connection, instance, door, queue_id, now_ms)
            if verdict is None:
                counters = [_counter(connection, counter_id) for counter_id in ids]
                verdict, after = window.decide(demands, counters, now_ms)
                if verdict.allowed:
                    connection.execute(
                        "INSERT INTO takes (instance, door, at_ms, queue_id, named_ms, usages, costs)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (
                            instance,
                            door,
                            now_ms,
                            queue_id,
                            now_ms,
                            _JSON.encode(verdict.usages),
                            _costs(demands, after),
                        ),
                    )
                    take_id = connection.last_insert_rowid()
                    for counter_id, demand, counter in zip(ids, demands, after, strict=True):
                        _keep(connection, counter_id, demand, counter, take_id)
            if verdict.allowed:
                connection.execute("DELETE FROM waiting WHERE instance = ? AND door = ?", (instance, door))
            return verdict

        return await self._file.run(transaction)

    async def give_back(self, queue_id: str, began_at: float, ended_at: float, now: float | None = None) -> bool:
        def transaction(connection: apsw.Connection) -> bool:
            took = connection.execute(
                "SELECT id, usages, costs FROM takes WHERE queue_id = ? AND named_ms BETWEEN ? AND ?"
                " ORDER BY named_ms DESC LIMIT 1",
                (
                    queue_id,
                    self._file.logged_ms(began_at - LOG_CLOCK_SLACK_S, now),
                    self._file.logged_ms(ended_at + LOG_CLOCK_SLACK_S, now),
                ),
            ).fetchone()
            if took is None:
                return False
            take_id, usages, costs = took[0], json.loads(took[1]), list(_COSTS.iter_unpack(took[2]))
            if len(costs) != len(usages):
                return False
            # Its row stays until it is swept: were its id used again, the order of ids would not be that of time.
            connection.execute(
                "UPDATE takes SET instance = ?, queue_id = NULL, usages = '[]', costs = x'' WHERE id = ?",
                (f"given back {take_id}", take_id),
            )
            for usage, part in zip(map(Usage._make, usages), map(window.Taken._make, costs), strict=True):
                _give_back(connection, usage, part, take_id)
            return True

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


def _first_verdict(
    connection: apsw.Connection, instance: str, door: Door, queue_id: str | None, now_ms: int
) -> Verdict | None:
    """The verdict that allowed this instance before, which goes by this queue id from now on."""
    first = connection.execute(
        "SELECT usages, queue_id FROM takes WHERE instance = ? AND door = ?", (instance, door)
    ).fetchone()
    if first is None:
        return None
    if queue_id not in {None, first[1]}:  # what it had before came to nothing
        connection.execute(
            "UPDATE takes SET queue_id = ?, named_ms = ? WHERE instance = ? AND door = ?",
            (queue_id, now_ms, instance, door),
        )
    usages = tuple(map(Usage._make, json.loads(first[0])))
    return Verdict(True, None, None, 0.0, False, usages)


def _counter(connection: apsw.Connection, counter_id: tuple[str, str, int]) -> window.Counter:
    row = connection.execute(
        "SELECT at_ms, level, slots FROM counters WHERE key = ? AND rule = ? AND window_s = ?", counter_id
    ).fetchone()
    if row is None:
        return window.EMPTY
    return window.Counter(row[0], row[1], _unpacked(row[2]))


def _costs(demands: Sequence[Demand], after: Sequence[window.Counter]) -> bytes:
    return b"".join(
        [
            _COSTS.pack(demand.cost, 0 if demand.burst is None else demand.cost, counter.at_ms)
            for demand, counter in zip(demands, after, strict=True)
        ]
    )


def _give_back(connection: apsw.Connection, usage: Usage, part: window.Taken, take_id: int) -> None:
    counter_id = usage.key, usage.rule, usage.window_s
    row = connection.execute(
        "SELECT at_ms, level, slots FROM counters WHERE key = ? AND rule = ? AND window_s = ? AND first_take <= ?",
        (*counter_id, take_id),
    ).fetchone()
    if row is not None:
        before = window.Counter(row[0], row[1], _unpacked(row[2]))
        counter = window.given_back(before, part, usage.limit, usage.window_s)
        connection.execute(
            "UPDATE counters SET level = ?, slots = ? WHERE key = ? AND rule = ? AND window_s = ?",
            (counter.level, _packed(counter), *counter_id),
        )


def _packed(counter: window.Counter) -> bytes:
    return struct.pack(f"<{2 * len(counter.slots)}q", *chain.from_iterable(counter.slots))


def _unpacked(slots: bytes) -> tuple[tuple[int, int], ...]:
    return tuple(struct.iter_unpack("<qq", slots))


def _keep(
    connection: apsw.Connection,
    counter_id: tuple[str, str, int],
    demand: Demand,
    counter: window.Counter,
    take_id: int,
) -> None:
    steps = -(-window.empty_at(demand, counter) // (EXPIRY_STEP_S * 1000))
    connection.execute(
        "INSERT INTO counters (key, rule, window_s, at_ms, level, slots, expires_s, first_take)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET"
        " at_ms = excluded.at_ms, level = excluded.level, slots = excluded.slots, expires_s = excluded.expires_s",
        (*counter_id, counter.at_ms, counter.level, _packed(counter), steps * EXPIRY_STEP_S, take_id),
    )
