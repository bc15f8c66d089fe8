"""limits.db: the recipients of messages that are not counted yet, in SQL. Operations for one open transaction.

They lie beside the counters because the same daemon asks for both while Postfix waits.

Privacy: a recipient is kept as keyed hash and domain, and not for long.
"""

from collections.abc import Mapping

import apsw

from postroom.store.shared.interface import NOTE_KEPT_S, Door

SCHEMA = """
CREATE TABLE notes (
    instance       TEXT NOT NULL,
    door           TEXT NOT NULL,
    recipient_hash TEXT NOT NULL,
    domain         TEXT NOT NULL,
    at_ms          INTEGER NOT NULL,
    PRIMARY KEY (instance, door, recipient_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX notes_by_time ON notes (at_ms);
"""


def note(connection: apsw.Connection, instance: str, door: Door, recipient_hash: str, domain: str, now_ms: int) -> None:
    """See SharedStore.note."""
    connection.execute("REPLACE INTO notes VALUES (?, ?, ?, ?, ?)", (instance, door, recipient_hash, domain, now_ms))


def noted(connection: apsw.Connection, instance: str, door: Door, now_ms: int) -> Mapping[str, str]:
    """See SharedStore.noted."""
    return dict(
        connection.execute(
            "SELECT recipient_hash, domain FROM notes WHERE instance = ? AND door = ? AND at_ms > ?",
            (instance, door, now_ms - NOTE_KEPT_S * 1000),
        )
    )


def sweep(connection: apsw.Connection, now_ms: int, step: int) -> int:
    """Remove at most `step` notes that have lapsed; return how many it were."""
    connection.execute(
        "DELETE FROM notes WHERE (instance, door, recipient_hash) IN"
        " (SELECT instance, door, recipient_hash FROM notes WHERE at_ms <= ? ORDER BY at_ms LIMIT ?)",
        (now_ms - NOTE_KEPT_S * 1000, step),
    )
    return connection.changes()
