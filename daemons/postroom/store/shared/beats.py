"""shared.db: the beats, in SQL. Operations for one open transaction.

Each process has one row, which it overwrites every few seconds.
"""

import json
from collections.abc import Mapping

import apsw

from postroom.store.shared.interface import BEAT_KEPT_S, Beat

SCHEMA = """
CREATE TABLE beats (
    word    TEXT NOT NULL,
    host    TEXT NOT NULL,
    pid     INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL,
    samples TEXT NOT NULL,  -- JSON, metric name -> value
    PRIMARY KEY (word, host, pid)
) STRICT, WITHOUT ROWID;
"""


def beat(
    connection: apsw.Connection, word: str, host: str, pid: int, samples: Mapping[str, float], now_ms: int
) -> None:
    """See SharedStore.beat."""
    connection.execute(
        "REPLACE INTO beats VALUES (?, ?, ?, ?, ?)", (word, host, pid, now_ms, json.dumps(dict(samples)))
    )


def beats(connection: apsw.Connection, max_age_ms: int, now_ms: int) -> list[Beat]:
    """See SharedStore.beats."""
    rows = connection.execute(
        "SELECT word, host, pid, at_ms, samples FROM beats WHERE at_ms >= ? ORDER BY word, host, pid",
        (now_ms - max_age_ms,),
    )
    return [
        Beat(word, host, pid, at_ms / 1000, json.loads(samples), (now_ms - at_ms) / 1000)
        for word, host, pid, at_ms, samples in rows
    ]


def sweep(connection: apsw.Connection, now_ms: int, step: int) -> int:
    """Remove at most `step` beats of processes long silent; return how many it were."""
    connection.execute(
        "DELETE FROM beats WHERE (word, host, pid) IN (SELECT word, host, pid FROM beats WHERE at_ms <= ? LIMIT ?)",
        (now_ms - BEAT_KEPT_S * 1000, step),
    )
    return connection.changes()


def latest_ms(connection: apsw.Connection) -> int:
    """The latest time the table has seen, 0 when it is empty."""
    row = connection.execute("SELECT ifnull(max(at_ms), 0) FROM beats").fetchone()
    return 0 if row is None else int(row[0])
