"""One thread per store file: an event loop's operations, committed together.

The loop collects the operations that arrive in one turn and hands them over;
the thread runs all that wait in one transaction and commits once. That is the
group commit: sixteen accepted messages cost one fsync, not sixteen.

Each operation runs in a savepoint, so one that raises undoes only itself; a
trouble of the file (full, damaged, not to be read) fails the transaction whole.

A file that several processes have open is opened again when another lies in its place; what becomes of
one that this process has to itself, and of its WAL, sole_file.py says.
"""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import apsw

from postroom.store.errors import StoreUnavailable
from postroom.store.sqlite.file import identity_of, translated
from postroom.store.sqlite.sole_file import SoleFile, Standing

T = TypeVar("T")
Operation = Callable[[apsw.Connection], T]

MAX_BATCH = 512
"""Operations in one transaction at most: bounds how long the first one waits."""

_ITS_OWN = (apsw.ConstraintError, apsw.MismatchError, apsw.RangeError, apsw.SQLError, apsw.TooBigError)
"""Errors of the library that an operation brought on itself; all others are the file's."""


class _Job:
    __slots__ = ("error", "future", "lasting", "operation", "result")

    def __init__(self, operation: Operation[Any], future: "asyncio.Future[Any]", *, lasting: bool) -> None:
        self.operation = operation
        self.future = future
        self.lasting = lasting
        self.result: Any = None
        self.error: BaseException | None = None


class StoreThread:
    """Runs operations on one SQLite file for one event loop.

    Args:
        path: the file, for messages.
        connect: opens the connection; called in the thread. It raises StoreUnavailable.
        writes: whether its operations write; those that only read do not wait for others' writes (WAL).
        sole: watches over the file, where no other process has it open.
    """

    def __init__(
        self,
        path: Path,
        connect: Callable[[], apsw.Connection],
        *,
        writes: bool = True,
        sole: SoleFile | None = None,
    ) -> None:
        self._path = path
        self._begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
        self._connect = connect
        self._sole = sole
        self._connection: apsw.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._turn: list[_Job] = []
        self._queue: SimpleQueue[list[_Job] | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    async def run(self, operation: Operation[T], *, lasting: bool = False) -> T:
        """Run one operation in the next transaction; return when it is committed.

        Args:
            lasting: it is refused where what it stores would be gone with this process.

        Raises:
            StoreUnavailable: it was not committed (StoreFull: for want of space; StoreReplaced: or will not last).
            Whatever the operation itself raises; then it is undone, alone.
        """
        if self._closed:
            raise StoreUnavailable(f"{self._path}: already closed")
        loop = asyncio.get_running_loop()
        if self._thread is None:
            self._loop = loop
            self._thread = threading.Thread(target=self._work, name=f"store {self._path.name}", daemon=True)
            self._thread.start()
        job = _Job(operation, loop.create_future(), lasting=lasting)
        if not self._turn:
            loop.call_soon(self._hand_over_turn)
        self._turn.append(job)
        result: T = await job.future
        return result

    async def close(self) -> None:
        """Finish what waits, close the file, end the thread."""
        self._closed = True
        self._hand_over_turn()
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    def _hand_over_turn(self) -> None:
        if self._turn:
            self._queue.put(self._turn)
            self._turn = []

    def _work(self) -> None:
        closing = False
        while not closing:
            jobs = self._next_jobs()
            if jobs is None:
                break
            while len(jobs) < MAX_BATCH:
                try:
                    more = self._queue.get_nowait()
                except Empty:
                    break
                if more is None:
                    closing = True
                    break
                jobs = jobs + more
            for first in range(0, len(jobs), MAX_BATCH):
                batch = jobs[first : first + MAX_BATCH]
                self._transaction(batch)
                self._answer(batch)
        if self._connection is not None:
            if self._sole is not None:
                self._sole.before_close(self._connection)
            self._connection.close()
            self._connection = None

    def _next_jobs(self) -> list[_Job] | None:
        """What is to be done next; while nothing is, and in good time under a steady load, the WAL is emptied."""
        while self._sole is not None and self._connection is not None:
            due_in_s = self._sole.cut_due_in_s()
            if due_in_s == 0.0:
                self._sole.cut(self._connection)
                continue
            try:
                return self._queue.get(timeout=due_in_s)
            except Empty:
                continue
        return self._queue.get()

    def _transaction(self, jobs: list[_Job]) -> None:
        try:
            connection, is_gone = self._opened()
            if is_gone:
                jobs = self._only_those_that_need_not_last(jobs)
                if not jobs:
                    return
            connection.execute(self._begin)
            try:
                for job in jobs:
                    _run_alone(connection, job)
                connection.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself after some errors (SQLITE_FULL, SQLITE_IOERR).
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._see_it_last(jobs)
        except apsw.Error as error:
            _fail_all(jobs, translated(error, self._path, self._connection))
        except StoreUnavailable as error:
            _fail_all(jobs, error)

    def _opened(self) -> tuple[apsw.Connection, bool]:
        """The connection, opened if need be; whether its file has no name any more."""
        standing = Standing.OURS
        if self._connection is not None:
            if self._sole is not None:
                standing = self._sole.standing()
                self._look_after(self._sole, standing)
            elif identity_of(self._path) != self._identity:
                # Others who have the file open do the same, so that all work on one.
                self._connection.close()
                self._connection = None
        if self._connection is None:
            self._connection = self._connect()
            self._identity = identity_of(self._path)
            if self._sole is not None:
                self._sole.opened()
        return self._connection, standing is Standing.GONE

    def _look_after(self, sole: SoleFile, standing: Standing) -> None:
        """Refuse to go on with a file that is not ours any more; save what its WAL holds when that lost its name."""
        if standing is Standing.REPLACED or (standing is Standing.GONE and not sole.serves_when_gone):
            raise sole.error(standing)
        if standing is Standing.WITHOUT_WAL and self._connection is not None:
            sole.rescue(self._connection)
            self._connection = None

    def _only_those_that_need_not_last(self, jobs: list[_Job]) -> list[_Job]:
        """Refuse the others: the file has no name any more."""
        assert self._sole is not None
        _fail_all([job for job in jobs if job.lasting], self._sole.error(Standing.GONE))
        return [job for job in jobs if not job.lasting]

    def _see_it_last(self, jobs: list[_Job]) -> None:
        """They are committed: into a file that will be found again?"""
        if self._sole is None:
            return
        standing = self._sole.committed()
        if standing is Standing.GONE:
            _fail_all([job for job in jobs if job.lasting], self._sole.error(standing))
        self._look_after(self._sole, standing)

    def _answer(self, jobs: list[_Job]) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(_resolve, jobs)
        except RuntimeError:
            # The loop is closed: the process is ending and nobody waits for these answers.
            return


def _run_alone(connection: apsw.Connection, job: _Job) -> None:
    connection.execute("SAVEPOINT job")
    try:
        job.result = job.operation(connection)
    except Exception as error:  # it is the caller's: its future raises it
        if isinstance(error, apsw.Error) and not isinstance(error, _ITS_OWN):
            raise
        job.error = error
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")


def _fail_all(jobs: list[_Job], error: StoreUnavailable) -> None:
    for job in jobs:
        job.error = error


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
