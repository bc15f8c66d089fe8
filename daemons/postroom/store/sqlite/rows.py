"""Rows by the names of their columns, read and written, so that no value is taken for its neighbour.

store/shared/suppressions.py does without: it lists its columns once, for several queries and a REPLACE whose values are
bound by name, and that list names the values of a row as well.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import apsw

SQLiteValue = str | bytes | int | float | None
Row = dict[str, Any]


def named_rows(connection: apsw.Connection, query: str, values: Sequence[SQLiteValue] = ()) -> list[Row]:
    """The rows of a query, each as column → value; the query gives every column a name of its own (AS)."""
    cursor = connection.execute(query, values)
    try:
        columns = [column for column, *_ in cursor.get_description()]
    except apsw.ExecutionCompleteError:
        return []  # no row: the statement has ended, and has no columns any more
    return [dict(zip(columns, row, strict=True)) for row in cursor]


def insert_row(connection: apsw.Connection, table: str, row: Mapping[str, SQLiteValue]) -> None:
    """Insert one row; columns that are not named get their default."""
    connection.execute(_insert(table, tuple(row)), tuple(row.values()))


@cache
def _insert(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
