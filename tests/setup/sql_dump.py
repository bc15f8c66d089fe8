"""A SQLite file as text that a diff shows and git keeps: made the same from the same content, and read back whole."""

from contextlib import closing
from pathlib import Path
from typing import Any

import apsw


def dumped(path: Path) -> str:
    """The statements that make the file anew: version, tables with their rows in order, then indexes and triggers."""
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        version: Any = connection.pragma("user_version")
        lines = [f"PRAGMA user_version = {version};"]
        objects: list[Any] = connection.execute(
            "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
            " ORDER BY type <> 'table', name = 'sqlite_sequence', name"
        ).fetchall()
        for kind, name, sql in objects:
            # SQLite makes that one itself, and counts in it while the rows before are read back.
            lines.append("DELETE FROM sqlite_sequence;" if name == "sqlite_sequence" else f"{sql};")
            if kind == "table":
                lines += _rows(connection, name)
    return "\n".join([*lines, ""])


def loaded(path: Path, text: str) -> None:
    """Make the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("synchronous", "OFF")
        with connection:
            connection.execute(text).fetchall()


def _rows(connection: apsw.Connection, table: str) -> list[str]:
    columns: list[Any] = connection.execute(f"SELECT name FROM pragma_table_info('{table}')").fetchall()
    values = " || ', ' || ".join(f"quote({name})" for (name,) in columns)
    rows: list[Any] = connection.execute(f"SELECT {values} FROM {table}").fetchall()
    return sorted(f"INSERT INTO {table} VALUES ({row});" for (row,) in rows)
