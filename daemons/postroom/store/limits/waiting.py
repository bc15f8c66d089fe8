"""limits.db: mail that waits for room under a limit, and mail held instead. Operations for one open transaction.

A message that Postfix has put back is a row until it passes; one that is held is a row until it is released.

Privacy: keys are stored as the caller gives them; callers hash what is private.
"""

from collections.abc import Sequence

import apsw

from postroom.store.shared.interface import HELD_KEPT_S, WAIT_KEPT_S, Door, HeldMail, Passage, WaitingCount

SCHEMA = """
CREATE TABLE waiting (
    instance TEXT NOT NULL,
    door     TEXT NOT NULL,
    key      TEXT NOT NULL,
    rule     TEXT NOT NULL,
    owner    TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    at_ms    INTEGER NOT NULL,  -- last refused, or held
    held_as  TEXT,              -- queue id, when it is held
    PRIMARY KEY (instance, door)
) STRICT, WITHOUT ROWID;
CREATE INDEX waiting_by_key ON waiting (key, at_ms) WHERE held_as IS NULL;
CREATE INDEX waiting_by_time ON waiting (at_ms);
CREATE INDEX waiting_by_queue_id ON waiting (held_as) WHERE held_as IS NOT NULL;
CREATE INDEX takes_by_queue_id ON takes (queue_id) WHERE queue_id IS NOT NULL;
"""


def wait(
    connection: apsw.Connection,
    instance: str,
    door: Door,
    rule: str,
    key: str,
    owner: str,
    at_most: int,
    now_ms: int,
) -> int:
    """See SharedStore.wait."""
    connection.execute(
        "INSERT INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?, NULL) ON CONFLICT DO UPDATE SET "
        "key = excluded.key, rule = excluded.rule, at_ms = excluded.at_ms, held_as = NULL",
        (instance, door, key, rule, owner, now_ms, now_ms),
    )
    row = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM waiting WHERE key = ? AND at_ms > ? AND held_as IS NULL LIMIT ?)",
        (key, now_ms - WAIT_KEPT_S * 1000, at_most + 1),
    ).fetchone()
    assert row is not None
    return int(row[0]) - 1


def hold(connection: apsw.Connection, instance: str, door: Door, queue_id: str, now_ms: int) -> None:
    """See SharedStore.hold."""
    connection.execute(
        "UPDATE waiting SET held_as = ?, at_ms = ? WHERE instance = ? AND door = ?", (queue_id, now_ms, instance, door)
    )


def passed(connection: apsw.Connection, instance: str, door: Door) -> None:
    """The message waits no more."""
    connection.execute("DELETE FROM waiting WHERE instance = ? AND door = ?", (instance, door))


def passage(connection: apsw.Connection, queue_id: str) -> Passage | None:
    """See SharedStore.passage."""
    row = connection.execute(
        "SELECT instance, owner FROM waiting WHERE held_as = ? ORDER BY at_ms DESC", (queue_id,)
    ).fetchone()
    if row is not None:
        return Passage("held", *row)
    taken = connection.execute("SELECT 1 FROM takes WHERE queue_id = ?", (queue_id,)).fetchone()
    return None if taken is None else Passage("taken")


def queues(connection: apsw.Connection, now_ms: int) -> list[WaitingCount]:
    """See SharedStore.queues."""
    rows = connection.execute(
        "SELECT key, rule, sum(held_as IS NULL), sum(held_as IS NOT NULL), min(since_ms) FROM waiting "
        "WHERE held_as IS NOT NULL OR at_ms > ? GROUP BY key, rule ORDER BY key, rule",
        (now_ms - WAIT_KEPT_S * 1000,),
    )
    return [WaitingCount(key, rule, waiting, held, since_ms / 1000) for key, rule, waiting, held, since_ms in rows]


def held(connection: apsw.Connection, key: str | None) -> list[HeldMail]:
    """See SharedStore.held."""
    rows = connection.execute(
        "SELECT held_as, key, rule, at_ms FROM waiting WHERE held_as IS NOT NULL AND (?1 IS NULL OR key = ?1) "
        "ORDER BY at_ms",
        (key,),
    )
    return [HeldMail(queue_id, held_key, rule, at_ms / 1000) for queue_id, held_key, rule, at_ms in rows]


def released(connection: apsw.Connection, queue_ids: Sequence[str]) -> int:
    """See SharedStore.released."""
    before = connection.total_changes()
    connection.executemany("DELETE FROM waiting WHERE held_as = ?", [(queue_id,) for queue_id in queue_ids])
    return connection.total_changes() - before


def sweep(connection: apsw.Connection, now_ms: int, step: int) -> int:
    """Remove at most `step` rows of mail that came no more; return how many it were."""
    connection.execute(
        "DELETE FROM waiting WHERE (instance, door) IN (SELECT instance, door FROM waiting "
        "WHERE at_ms <= ? AND (held_as IS NULL OR at_ms <= ?) ORDER BY at_ms LIMIT ?)",
        (now_ms - WAIT_KEPT_S * 1000, now_ms - HELD_KEPT_S * 1000, step),
    )
    return connection.changes()
