"""The store thread: many operations in few transactions, each undone alone, none half stored."""

import asyncio
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.store.event_loop import Run

from postroom.store.errors import StoreFull, StoreUnavailable
from postroom.store.sqlite.file import open_file
from postroom.store.sqlite.thread import MAX_BATCH, Operation, StoreThread

SCHEMA = ["CREATE TABLE letter (id INTEGER PRIMARY KEY, octets BLOB NOT NULL)"]


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


class Counted:
    """A store thread on a real file that counts its commits."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "letters.db"
        self.path.touch()
        self.commits = 0
        self.thread = StoreThread(self.path, self._connect)

    def _connect(self) -> apsw.Connection:
        connection = open_file(self.path, SCHEMA, synchronous="FULL")
        connection.set_commit_hook(self._count)
        return connection

    def _count(self) -> bool:
        self.commits += 1
        return False

    def stored(self) -> list[int]:
        """The ids of the letters in the file, as another connection sees them."""
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        ids = [id_ for (id_,) in connection.execute("SELECT id FROM letter ORDER BY id")]
        connection.close()
        return ids


@pytest.fixture
def counted(tmp_path: Path, run: Run) -> Iterator[Counted]:
    counted = Counted(tmp_path)
    yield counted
    run(counted.thread.close())


def letter(number: int, octets: bytes = b"x") -> Operation[int]:
    def operation(connection: apsw.Connection) -> int:
        connection.execute("INSERT INTO letter VALUES (?, ?)", (number, octets))
        return number

    return operation


def most_pages(count: int) -> Operation[None]:
    def operation(connection: apsw.Connection) -> None:
        connection.execute(f"PRAGMA max_page_count = {count}").fetchall()

    return operation


async def outcomes(thread: StoreThread, *operations: Operation[Any]) -> list[Any]:
    return await asyncio.gather(*map(thread.run, operations), return_exceptions=True)


def test_operations_of_one_turn_are_committed_together(counted: Counted, run: Run) -> None:
    """A hundred at once cost one commit, and each gets its own result."""
    assert run(outcomes(counted.thread, *map(letter, range(100)))) == list(range(100))
    assert counted.commits == 1
    assert counted.stored() == list(range(100))


def test_a_transaction_has_at_most_so_many_operations(counted: Counted, run: Run) -> None:
    """A turn of more than MAX_BATCH is cut: the first of them does not wait for the last."""
    assert run(outcomes(counted.thread, *map(letter, range(2 * MAX_BATCH + 1)))) == list(range(2 * MAX_BATCH + 1))
    assert counted.commits == 3


def test_what_arrives_during_a_commit_shares_the_next_one(counted: Counted, run: Run) -> None:
    """Fifty turns, while the thread is at work, become one transaction."""
    began, go_on = threading.Event(), threading.Event()

    def slow(connection: apsw.Connection) -> int:
        began.set()
        go_on.wait(10)
        return letter(1000)(connection)

    async def main() -> list[int]:
        waiting = [asyncio.create_task(counted.thread.run(slow))]
        await asyncio.to_thread(began.wait, 10)
        for number in range(50):
            await asyncio.sleep(0)
            waiting.append(asyncio.create_task(counted.thread.run(letter(number))))
        # One turn of the loop for the last task to begin, one for its operation to reach the thread.
        for _ in range(2):
            await asyncio.sleep(0)
        go_on.set()
        return await asyncio.gather(*waiting)

    assert run(main()) == [1000, *range(50)]
    assert counted.commits == 2


def test_one_that_raises_undoes_only_itself(counted: Counted, run: Run) -> None:
    """Its own error comes out of it; what it wrote is gone; its neighbours are stored."""

    def wrong(connection: apsw.Connection) -> None:
        letter(2)(connection)
        raise KeyError("no such thing")

    first, error, third = run(outcomes(counted.thread, letter(1), wrong, letter(3)))
    assert (first, type(error), third) == (1, KeyError, 3)
    assert counted.stored() == [1, 3]


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("INSERT INTO letter VALUES (1, x'00')", apsw.ConstraintError),
        ("INSERT INTO letter VALUES ('one', x'00')", apsw.MismatchError),
        ("SELECT * FROM no_such_table", apsw.SQLError),
    ],
)
def test_an_error_of_sql_is_the_operations_own(counted: Counted, run: Run, statement: str, kind: type) -> None:
    """A key used twice fails the one that used it, not the mail of everybody in the same transaction."""

    def wrong(connection: apsw.Connection) -> None:
        letter(2)(connection)
        connection.execute(statement)

    first, error, third = run(outcomes(counted.thread, letter(1), wrong, letter(3)))
    assert (first, type(error), third) == (1, kind, 3)
    assert counted.stored() == [1, 3]


def test_a_full_disk_fails_the_whole_transaction(counted: Counted, run: Run) -> None:
    """All of its operations get StoreFull, nothing of any is stored; when space returns the thread works on."""
    run(counted.thread.run(letter(1)))
    run(counted.thread.run(most_pages(10)))
    errors = run(outcomes(counted.thread, letter(2), letter(3, bytes(100_000)), letter(4)))
    assert [type(error) for error in errors] == [StoreFull] * 3
    assert str(errors[0]) == f"{counted.path}: no space left; mend: free space on its file system"
    assert counted.stored() == [1]
    run(counted.thread.run(most_pages(1000)))
    assert run(outcomes(counted.thread, letter(5), letter(6, bytes(100_000)))) == [5, 6]
    assert counted.stored() == [1, 5, 6]


@contextmanager
def largest_file(octets: int) -> Iterator[None]:
    """The kernel refuses this process larger files (EFBIG), as it does past a quota (EDQUOT)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_quota_that_is_used_up_is_a_full_disk(counted: Counted, run: Run) -> None:
    """A write that the kernel refuses for a quota stores nothing of the transaction; with more quota it works on."""
    run(counted.thread.run(letter(1)))
    with largest_file(300_000):
        errors = run(outcomes(counted.thread, letter(2), letter(3, bytes(400_000)), letter(4)))
        assert [type(error) for error in errors] == [StoreFull] * 3
        assert "quota" in str(errors[0])
    assert run(counted.thread.run(letter(5))) == 5
    assert counted.stored() == [1, 5]


def test_closing_finishes_what_waits(tmp_path: Path, run: Run) -> None:
    """What was asked for in the turn of the close is stored and answered; later ones are refused."""
    counted = Counted(tmp_path)

    async def main() -> list[int]:
        waiting = [asyncio.create_task(counted.thread.run(letter(number))) for number in range(10)]
        await asyncio.sleep(0)
        await counted.thread.close()
        return await asyncio.gather(*waiting)

    assert run(main()) == list(range(10))
    assert not counted.path.with_name("letters.db-wal").exists(), "the file is closed"
    assert counted.stored() == list(range(10))
    with pytest.raises(StoreUnavailable, match="already closed"):
        run(counted.thread.run(letter(11)))


def test_one_who_no_longer_waits_disturbs_nobody(counted: Counted, run: Run) -> None:
    """A cancelled caller's operation may be stored; its neighbours get their answers."""

    async def main() -> list[Any]:
        tasks = [asyncio.create_task(counted.thread.run(letter(number))) for number in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = run(main())
    assert (first, type(second), third) == (0, asyncio.CancelledError, 2)
    assert run(counted.thread.run(letter(3))) == 3


def test_a_file_that_is_away_at_first_is_opened_when_it_comes_back(tmp_path: Path, run: Run) -> None:
    """Each transaction without a connection tries to open it, so no restart is needed."""
    path = tmp_path / "letters.db"
    thread = StoreThread(path, lambda: open_file(path, SCHEMA, synchronous="FULL"))
    with pytest.raises(StoreUnavailable, match="store init"):
        run(thread.run(letter(1)))
    path.touch()
    assert run(thread.run(letter(1))) == 1
    run(thread.close())


def test_a_writer_elsewhere_is_waited_for_and_then_told(tmp_path: Path, run: Run) -> None:
    """Past the busy timeout the operation is refused, not stored; when the other lets go it works."""
    path = tmp_path / "letters.db"
    path.touch()
    other = open_file(path, SCHEMA, synchronous="FULL")
    thread = StoreThread(path, lambda: open_file(path, SCHEMA, synchronous="FULL", busy_timeout_ms=20))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        run(thread.run(letter(1)))
    other.execute("COMMIT")
    assert run(thread.run(letter(1))) == 1
    other.close()
    run(thread.close())
