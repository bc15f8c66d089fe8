"""Opening a store file: its pragmas, its schema version, and every way in which it can be no store file."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

import postroom
from postroom.store.errors import StoreBroken, StoreFull, StoreUnavailable
from postroom.store.sqlite.file import OLDEST_SQLITE, open_file

SOURCES = Path(postroom.__file__).parent.parent
FIRST = "CREATE TABLE letter (id INTEGER PRIMARY KEY, octets BLOB NOT NULL)"
SECOND = "CREATE TABLE stamp (letter INTEGER REFERENCES letter (id)); INSERT INTO letter VALUES (1000, x'00')"

WITHOUT_ROOTS_WAY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""Root passes by the modes of files; a process started so does not."""


def made(path: Path, *schema: str) -> Path:
    """A store file of this schema, FIRST when none is given."""
    path.touch()
    open_file(path, schema or [FIRST], synchronous="FULL").close()
    return path


def refusal(path: Path, schema: tuple[str, ...] = (FIRST,)) -> StoreUnavailable:
    with pytest.raises(StoreUnavailable) as caught:
        open_file(path, schema, synchronous="FULL").close()
    assert str(caught.value).startswith(f"{path}: ")
    return caught.value


def test_the_library_is_none_that_corrupts_shared_files() -> None:
    """The SQLite that apsw brings has the fix of the WAL-reset bug."""
    assert tuple(map(int, apsw.sqlite_lib_version().split("."))) >= OLDEST_SQLITE


@pytest.mark.parametrize(("word", "number"), [("FULL", 2), ("NORMAL", 1)])
def test_what_was_asked_for_is_in_force_on_the_connection(tmp_path: Path, word: str, number: int) -> None:
    """synchronous as asked (2 is FULL), always a WAL, foreign keys checked."""
    connection = open_file(made(tmp_path / "a.db"), [FIRST], synchronous=word, secure_delete=True)
    assert [connection.pragma(name) for name in ("synchronous", "journal_mode", "foreign_keys", "secure_delete")] == [
        number,
        "wal",
        1,
        1,
    ]
    connection.close()


def test_migrations_are_applied_once_and_in_order(tmp_path: Path) -> None:
    """A file of an older schema gets what it lacks and keeps its rows; opened again, nothing is repeated."""
    path = made(tmp_path / "a.db")
    with apsw.Connection(str(path)) as old:
        old.execute("INSERT INTO letter VALUES (1, x'61')")
    old.close()
    for _ in range(2):
        connection = open_file(path, [FIRST, SECOND], synchronous="FULL")
        assert connection.pragma("user_version") == 2
        assert connection.execute("SELECT id FROM letter ORDER BY id").fetchall() == [(1,), (1000,)]
        connection.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """The migrations of one start are one transaction."""
    path = made(tmp_path / "a.db")
    refusal(path, (FIRST, SECOND, "CREATE TABLE stamp (twice)"))
    connection = open_file(path, [FIRST], synchronous="FULL")
    assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("letter",)]
    connection.close()


def test_a_missing_file_is_not_made_by_the_way(tmp_path: Path) -> None:
    """Only `store init` makes it: an empty outbox in the place of a lost one would hide the loss."""
    error = refusal(tmp_path / "a.db")
    assert not isinstance(error, StoreBroken)
    assert "mend: `postroom store init`" in str(error)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_a_newer_postroom_is_refused(tmp_path: Path) -> None:
    """It is not touched, and the text says which schema it has and which one is known."""
    path = made(tmp_path / "a.db", FIRST, SECOND)
    before = path.read_bytes()
    error = refusal(path)
    assert isinstance(error, StoreBroken)
    assert "newer Postroom (schema 2, this one knows 1)" in str(error)
    assert "mend: upgrade Postroom" in str(error)
    assert path.read_bytes() == before


def scrambled(octets: bytes) -> bytes:
    return octets[:100] + bytes(octet ^ 0x5A for octet in octets[100:])


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _octets: b"Dear Sir or Madam,\n" * 500, id="plain text"),
        pytest.param(lambda _octets: b"abc", id="three octets"),
        pytest.param(lambda octets: octets[: len(octets) // 2], id="half of it"),
        pytest.param(scrambled, id="scrambled"),
    ],
)
def test_a_file_that_is_damaged_or_no_store_is_broken(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """StoreBroken, with what to do; the file is left as it was found."""
    path = made(tmp_path / "a.db")
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    error = refusal(path)
    assert isinstance(error, StoreBroken)
    assert "mend: restore it from a backup" in str(error)
    assert path.read_bytes() == damaged


def test_a_folder_in_its_place_is_unavailable(tmp_path: Path) -> None:
    """A directory of that name is told by its path, not by a traceback."""
    (tmp_path / "a.db").mkdir()
    assert "cannot be opened" in str(refusal(tmp_path / "a.db"))


def opened_without_roots_way(path: Path) -> str:
    script = (
        "import sys; from pathlib import Path; from postroom.store.errors import StoreUnavailable;"
        "from postroom.store.sqlite.file import open_file\n"
        f"try: open_file(Path(sys.argv[1]), [{FIRST!r}], synchronous='FULL'); print('opened')\n"
        "except StoreUnavailable as error: print(type(error).__name__, error)"
    )
    return subprocess.run(
        [*WITHOUT_ROOTS_WAY, sys.executable, "-c", script, str(path)],
        env={"PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.mark.process
def test_a_file_that_may_only_be_read_is_refused_at_once(tmp_path: Path) -> None:
    """SQLite would open it for reading and fail at the first write: a daemon would start, and accept nothing."""
    path = made(tmp_path / "a.db")
    assert opened_without_roots_way(path) == "opened"
    path.chmod(0o400)
    assert opened_without_roots_way(path) == (
        f"StoreUnavailable {path}: cannot be written; mend: check its owner and mode, and its file system"
    )


@pytest.mark.process
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    """Another user's file is unavailable, not broken."""
    path = made(tmp_path / "a.db")
    path.chmod(0)
    told = opened_without_roots_way(path)
    assert told.startswith(f"StoreUnavailable {path}: cannot be opened (")
    assert "check its owner and mode" in told


def test_no_room_for_the_schema_is_full(tmp_path: Path) -> None:
    """A migration that finds no space is StoreFull and leaves no part of itself."""
    path = made(tmp_path / "a.db")
    with pytest.raises(StoreFull, match="no space left; mend: free space"):
        open_file(
            path,
            [FIRST, "PRAGMA max_page_count = 3; INSERT INTO letter VALUES (1, zeroblob(100000))"],
            synchronous="FULL",
        )
    connection = open_file(path, [FIRST], synchronous="FULL")
    assert connection.execute("SELECT count(*) FROM letter").fetchall() == [(0,)]
    connection.close()


def test_what_is_deleted_is_overwritten(tmp_path: Path) -> None:
    """With secure_delete the octets of a deleted row are nowhere in the file; without it they stay (the control)."""
    octets = b"a letter nobody else may read; " * 400
    for secure in (True, False):
        path = made(tmp_path / f"{secure}.db")
        connection = open_file(path, [FIRST], synchronous="FULL", secure_delete=secure)
        connection.execute("INSERT INTO letter VALUES (1, ?)", (octets,))
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        assert octets[:31] in path.read_bytes()
        connection.execute("DELETE FROM letter")
        connection.close()
        assert (octets[:31] in path.read_bytes()) is not secure
        assert not path.with_name(f"{path.name}-wal").exists()
