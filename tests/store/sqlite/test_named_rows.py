"""rows.py: values keep the names of their columns on the way in and out."""

import apsw

from postroom.store.sqlite.rows import insert_row, named_rows


def test_a_row_comes_back_under_the_names_it_was_written_with() -> None:
    """Whatever their order, and with the default where a column is not named."""
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE mail (id INTEGER, sender TEXT, size INTEGER DEFAULT 7)")
    insert_row(connection, "mail", {"sender": "jane", "id": 1})
    assert named_rows(connection, "SELECT size, id, sender AS of FROM mail WHERE id = ?", (1,)) == [
        {"of": "jane", "id": 1, "size": 7}
    ]


def test_no_rows_are_an_empty_list() -> None:
    """SQLite names no columns of a statement that has ended."""
    connection = apsw.Connection(":memory:")
    assert named_rows(connection, "SELECT 1 AS one WHERE 0") == []
