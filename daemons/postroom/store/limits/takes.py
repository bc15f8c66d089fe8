"""limits.db: the counters and the takes, in SQL. Operations for one open transaction.

A counter's slots lie packed in one row, so that a demand costs one read and one write,
and window.py alone decides.

Flow:    sqlite.py -> takes.py -> window.decide
Privacy: keys are stored as the caller gives them; callers hash what is private.
"""

import json
import struct
from collections.abc import Sequence
from itertools import chain

import apsw

from postroom.store.limits import window
from postroom.store.shared.interface import TAKE_KEPT_S, Demand, Door, Usage, Verdict, counter_ids
from postroom.store.sqlite import clock

SCHEMA = (
    clock.SCHEMA
    + """
CREATE TABLE counters (
    key       TEXT NOT NULL,
    rule      TEXT NOT NULL,
    window_s  INTEGER NOT NULL,
    at_ms     INTEGER NOT NULL,  -- last take
    level     INTEGER NOT NULL,  -- burst bucket, units * window_s * 1000
    slots     BLOB NOT NULL,     -- pairs of slot number and units, 64 bit little-endian
    expires_s INTEGER NOT NULL,  -- from then on nothing counts; rounded up to EXPIRY_STEP_S
    PRIMARY KEY (key, rule, window_s)
) STRICT, WITHOUT ROWID;
CREATE INDEX counters_by_expiry ON counters (expires_s);
CREATE TABLE takes (
    id       INTEGER PRIMARY KEY,  -- in order of time
    instance TEXT NOT NULL,
    door     TEXT NOT NULL,
    at_ms    INTEGER NOT NULL,
    queue_id TEXT,
    usages   TEXT NOT NULL,        -- of the verdict, as JSON
    UNIQUE (instance, door)
) STRICT;
"""
)

EXPIRY_STEP_S = 600
"""A counter in steady use moves in the index of expiry only once in so many seconds."""

_JSON = json.JSONEncoder(separators=(",", ":"), check_circular=False)


def take(
    connection: apsw.Connection, instance: str, door: Door, demands: Sequence[Demand], queue_id: str | None, now_ms: int
) -> Verdict:
    """See SharedStore.take."""
    ids = counter_ids(demands)
    first = connection.execute(
        "SELECT usages, queue_id FROM takes WHERE instance = ? AND door = ?", (instance, door)
    ).fetchone()
    if first is not None:
        if queue_id not in {None, first[1]}:  # what it had before came to nothing
            connection.execute(
                "UPDATE takes SET queue_id = ? WHERE instance = ? AND door = ?", (queue_id, instance, door)
            )
        return Verdict(True, None, None, 0.0, False, tuple(Usage(*usage) for usage in json.loads(first[0])))
    counters = [_counter(connection, counter_id) for counter_id in ids]
    verdict, after = window.decide(demands, counters, now_ms)
    if verdict.allowed:
        for counter_id, demand, counter in zip(ids, demands, after, strict=True):
            _keep(connection, counter_id, demand, counter)
        usages = [
            (usage.rule, usage.key, usage.used, usage.limit, usage.window_s, usage.remaining, usage.reset_s)
            for usage in verdict.usages
        ]
        connection.execute(
            "INSERT INTO takes (instance, door, at_ms, queue_id, usages) VALUES (?, ?, ?, ?, ?)",
            (instance, door, now_ms, queue_id, _JSON.encode(usages)),
        )
    return verdict


def peek(connection: apsw.Connection, demands: Sequence[Demand], now_ms: int) -> tuple[Usage, ...]:
    """See SharedStore.peek."""
    return tuple(
        window.usage(demand, window.aged(_counter(connection, counter_id), demand, now_ms), now_ms)
        for demand, counter_id in zip(demands, counter_ids(demands), strict=True)
    )


def reset(connection: apsw.Connection, key: str) -> int:
    """See SharedStore.reset."""
    connection.execute("DELETE FROM counters WHERE key = ?", (key,))
    return connection.changes()


def sweep_counters(connection: apsw.Connection, now_ms: int, step: int) -> int:
    """Remove at most `step` counters in which nothing counts any more; return how many it were."""
    connection.execute(
        "DELETE FROM counters WHERE (key, rule, window_s) IN "
        "(SELECT key, rule, window_s FROM counters WHERE expires_s <= ? ORDER BY expires_s LIMIT ?)",
        (now_ms // 1000, step),
    )
    return connection.changes()


def sweep_takes(connection: apsw.Connection, now_ms: int, step: int) -> int:
    """Remove at most `step` takes older than TAKE_KEPT_S; return how many it were."""
    # The oldest lie in front: no index on time, and no search past the first one to keep.
    connection.execute(
        "DELETE FROM takes WHERE id IN (SELECT id FROM takes ORDER BY id LIMIT ?) AND at_ms <= ?",
        (step, now_ms - TAKE_KEPT_S * 1000),
    )
    return connection.changes()


def latest_ms(connection: apsw.Connection) -> int:
    """The latest time the file has seen, 0 when it is new. Reads all counters: for a new boot only."""
    row = connection.execute(
        "SELECT max(ifnull((SELECT max(at_ms) FROM counters), 0), ifnull((SELECT max(at_ms) FROM takes), 0))"
    ).fetchone()
    return 0 if row is None else int(row[0])


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
        "INSERT INTO counters VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "at_ms = excluded.at_ms, level = excluded.level, slots = excluded.slots, expires_s = excluded.expires_s",
        (*counter_id, counter.at_ms, counter.level, packed, steps * EXPIRY_STEP_S),
    )
