"""Rows by the names of their columns, read and written, so that no value is taken for its neighbour."""

from collections.abc import Mapping, Sequence
from typing import Any

import apsw

SQLiteValue = str | bytes | int | float | None
Row = dict[str, Any]


def named_rows(connection: apsw.Connection, query: str, values: Sequence[SQLiteValue] = ()) -> list[Row]:
    """The rows of a query, each as column → value; the query gives every column a name of its own (AS)."""
    cursor = connection.cursor()
    cursor.row_trace = _named
    rows: list[Any] = cursor.execute(query, values).fetchall()
    return rows


def insert_row(connection: apsw.Connection, table: str, row: Mapping[str, SQLiteValue]) -> None:
    """Insert one row; columns that are not named get their default."""
    columns, values = ", ".join(row), ", ".join(f":{column}" for column in row)
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({values})", row)


def _named(cursor: apsw.Cursor, values: tuple[SQLiteValue, ...]) -> Row:
    return {column: value for (column, *_), value in zip(cursor.get_description(), values, strict=True)}
