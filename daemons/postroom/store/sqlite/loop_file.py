"""A store file called on the event loop itself: for transactions under a millisecond.

A hop to the store thread and back costs more than a take, so a take runs on the loop, at
once. (Tried: one transaction for all takes of a turn, as the store thread does it, saves 5 %:
without an fsync the commit is not what costs.) A writer elsewhere must not stop the loop:
after BUSY_ON_LOOP_MS the operation moves to a StoreThread, which waits there for the
file, and those that arrive meanwhile follow it.

A caller whose time ends first cancels: an operation that still waits is then not carried out.

The WAL is copied back (checkpoint, with its fsync) in another thread, never on the loop.

Flow:   limits/file.py, shared/file.py -> LoopFile -> apsw | StoreThread -> apsw
Source: SQLite "WAL mode" (checkpointing), "PRAGMA busy_timeout".
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import apsw

from postroom.store.errors import StoreUnavailable
from postroom.store.sqlite.file import identity_of, translated
from postroom.store.sqlite.thread import Operation, StoreThread

T = TypeVar("T")

BUSY_ON_LOOP_MS = 20
"""How long the loop may stand still for another process's write."""

BUSY_IN_THREAD_MS = 5_000
"""How long the thread waits for the file before the store counts as lost."""

CHECKPOINT_PAGES = 1_000
"""Size of the WAL, in pages of 4 KiB, at which it is copied back (SQLite's own default)."""

RESTART_PAGES = 4_000
"""Size of the WAL at which writers are held up for the moment that it takes to restart it.

Under a steady load a copy that holds up nobody never meets a moment without new pages.
"""


class _GivenUp(Exception):
    """Whoever asked no longer waits."""


class LoopFile:
    """Runs operations on one SQLite file for one event loop.

    Args:
        path:    the file.
        connect: opens a connection that waits so many ms for another's write; it raises
                 StoreUnavailable. Called on the loop and in the threads.
        writes:  whether its operations write; those that only read do not wait for others' writes (WAL).
    """

    def __init__(self, path: Path, connect: Callable[[int], apsw.Connection], *, writes: bool = True) -> None:
        self._path = path
        self._begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
        self._connect = connect
        self._connection: apsw.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._thread = StoreThread(path, lambda: connect(BUSY_IN_THREAD_MS), writes=writes)
        self._waiting: set[asyncio.Task[Any]] = set()
        self._copier = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"store {path.name} wal")
        self._copying: Future[None] | None = None
        self._closed = False

    async def run(self, operation: Operation[T]) -> T:
        """Run one operation in a transaction; return when it is committed.

        Raises:
            StoreUnavailable: it was not committed.
            Whatever the operation itself raises; then it is undone.
        """
        if self._closed:
            raise StoreUnavailable(f"{self._path}: already closed")
        if not self._waiting:
            try:
                return self._transaction(operation)
            except apsw.BusyError:
                pass
            except apsw.Error as error:
                raise translated(error, self._path, self._connection) from error
            except StoreUnavailable as error:
                if not isinstance(error.__cause__, apsw.BusyError):
                    raise
        return await self._wait_in_thread(operation)

    async def run_aside(self, operation: Operation[T]) -> T:
        """As `run`, but in the thread from the start: for longer work."""
        return await self._thread.run(operation)

    async def close(self) -> None:
        """Finish what waits, close the file."""
        self._closed = True
        await self._thread.close()
        await asyncio.to_thread(self._copier.shutdown)
        if self._connection is not None:
            # The last connection to leave copies the WAL back, which may take its time.
            await asyncio.to_thread(self._connection.close)
            self._connection = None

    def _transaction(self, operation: Operation[T]) -> T:
        connection = self._opened()
        connection.execute(self._begin)
        try:
            result = operation(connection)
            connection.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself after some errors (SQLITE_FULL, SQLITE_IOERR).
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    async def _wait_in_thread(self, operation: Operation[T]) -> T:
        given_up = False

        def unless_given_up(connection: apsw.Connection) -> T:
            if given_up:
                raise _GivenUp
            return operation(connection)

        # Shielded: while the thread still waits for the file, even for one who has given up,
        # the loop must not stand still for it again.
        task = asyncio.create_task(self._thread.run(unless_given_up))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            given_up = True
            raise

    def _opened(self) -> apsw.Connection:
        """The connection, opened if need be, or opened again when another file lies in its place.

        Without that look a process would count on in a deleted file, unseen by the others.
        """
        if self._connection is not None and self._identity != identity_of(self._path):
            self._connection.close(True)
            self._connection = None
        if self._connection is None:
            connection = self._connect(BUSY_ON_LOOP_MS)
            connection.wal_autocheckpoint(0)
            connection.set_wal_hook(self._wal_grew)
            self._connection = connection
            self._identity = identity_of(self._path)
        return self._connection

    def _wal_grew(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        if pages >= CHECKPOINT_PAGES and (self._copying is None or self._copying.done()):
            self._copying = self._copier.submit(self._copy_wal_back, pages)
        return apsw.SQLITE_OK

    def _copy_wal_back(self, pages: int) -> None:
        try:
            with closing(self._connect(BUSY_ON_LOOP_MS)) as connection:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                if pages >= RESTART_PAGES:
                    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        except (apsw.Error, StoreUnavailable):
            # Busy: another process is at it, and the next commit asks again. Anything worse
            # the next operation meets itself.
            return
