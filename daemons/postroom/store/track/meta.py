"""track.db: single values by their names, and the count of gaps, which is one. For one open transaction."""

import apsw

COVERED_SINCE = "covered_since"
"""Since when the log is whole (Unix seconds); not set while that is not known."""
FORGOTTEN_AT = "forgotten_at"
"""The beginning of the youngest session that was forgotten though its end was never logged."""
GAPS = "gaps"
INSTANCE = "instance"
"""The syslog_name of the Postfix instance that last took up mail of ours."""
READ_AT = "read_at"
"""When the watcher last read anything."""
RECONCILED_AT, RECONCILED_GAPS = "reconciled_at", "reconciled_gaps"
STANDING = "standing"
"""Boot and source that are read."""
STOPPING = "stopping"
"""The instance that is being stopped."""


def value(connection: apsw.Connection, name: str) -> str | int | float | None:
    """A value by its name; None when it is not set."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else row[0]


def set_value(connection: apsw.Connection, name: str, new: float | str) -> None:
    """Set a value in place of an earlier one."""
    connection.execute("REPLACE INTO meta (name, value) VALUES (?, ?)", (name, new))


def gaps(connection: apsw.Connection) -> int:
    """How many gaps there were so far."""
    return int(value(connection, GAPS) or 0)


def add_gap(connection: apsw.Connection) -> None:
    """The log is not known to be whole any more."""
    connection.execute("DELETE FROM meta WHERE name = ?", (COVERED_SINCE,))
    set_value(connection, GAPS, gaps(connection) + 1)
