"""A store file whose transactions go by a clock (store/clock.py) that all processes share which have it open."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

import apsw

from postroom.store.clock import Anchor, Clock, TimeSources, anchored, milliseconds
from postroom.store.sqlite.file import open_file, open_file_to_read
from postroom.store.sqlite.thread import Operation

T = TypeVar("T")

CLOCK_SCHEMA = """
CREATE TABLE clock (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    boot_id   TEXT NOT NULL,
    offset_ms INTEGER NOT NULL  -- Unix time minus CLOCK_BOOTTIME, fixed for this boot
) STRICT;
"""

SWEEP_STEP = 200
"""Rows of one kind removed in one transaction: about a millisecond."""


class TimedFile:
    """Connections to one file, and the time in it.

    Args:
        schema:    its migrations; the first has CLOCK_SCHEMA.
        latest_ms: the latest time the file has seen, 0 when it is new; asked only at a new boot.
        sources:   what the clock is made of; tests bring their own.
        read_only: others write it; this process may not.
    """

    def __init__(
        self,
        path: Path,
        schema: tuple[str, ...],
        latest_ms: Callable[[apsw.Connection], int],
        sources: TimeSources,
        *,
        read_only: bool = False,
    ) -> None:
        self._path = path
        self._read_only = read_only
        self._schema = schema
        self._latest_ms = latest_ms
        self._sources = sources
        self._clock: Clock | None = None

    def connect(self, busy_timeout_ms: int) -> apsw.Connection:
        """Open a connection; see open_file, and open_file_to_read."""
        if self._read_only:
            return open_file_to_read(self._path, self._schema, busy_timeout_ms=busy_timeout_ms)
        connection = open_file(
            self._path, self._schema, synchronous="NORMAL", busy_timeout_ms=busy_timeout_ms, keeps_wal=True
        )
        try:
            self._clock = _open_clock(connection, self._sources, lambda: self._latest_ms(connection))
        except BaseException:
            connection.close()
            raise
        return connection

    def timed(self, operation: Operation[T]) -> Operation[T]:
        """The operation, with the clock at hand that it reads. Who only reads the file cannot set that clock for this
        boot, and looks each time whether another process has."""
        if not self._read_only:
            return operation

        def run(connection: apsw.Connection) -> T:
            anchor = anchored(_kept(connection), self._sources, lambda: self._latest_ms(connection))
            self._clock = Clock(anchor, self._sources)
            return operation(connection)

        return run

    def now_ms(self, now: float | None) -> int:
        """The time `now` in Unix seconds, or the file's own. Read inside the transaction: who has the lock last has
        the later time."""
        if now is not None:
            return milliseconds(now)
        assert self._clock is not None, "operations run only on an open file"
        return self._clock.now_ms()

    def logged_ms(self, at: float, now: float | None) -> int:
        """A time by the system's clock in the file's own; with `now` it is of the clock `now` is of."""
        if now is not None:
            return milliseconds(at)
        return self.now_ms(None) - (self._sources.realtime_ms() - milliseconds(at))


class _Run(Protocol):
    def __call__(self, operation: Operation[int], /) -> Awaitable[int]: ...


async def sweep_in_steps(run: _Run, remove: Callable[[apsw.Connection, int], int], budget: int) -> int:
    """Remove rows in transactions of SWEEP_STEP until none is left or the budget is used; return how many.

    Args:
        run:    runs one transaction.
        remove: removes at most so many rows, and returns how many were removed.
    """
    left = budget
    while step := min(left, SWEEP_STEP):
        removed = await run(_step(remove, step))
        left -= removed
        if removed < step:
            break
    return budget - left


def _step(remove: Callable[[apsw.Connection, int], int], step: int) -> Operation[int]:
    return lambda connection: remove(connection, step)


def _open_clock(connection: apsw.Connection, sources: TimeSources, latest_ms: Callable[[], int]) -> Clock:
    """The clock of a store file with the table of CLOCK_SCHEMA; the first to open the file in a boot sets it."""
    anchor = anchored(_kept(connection), sources, latest_ms)
    if anchor != _kept(connection):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Decided again under the lock: another process may have set it meanwhile.
            anchor = anchored(_kept(connection), sources, latest_ms)
            connection.execute("REPLACE INTO clock VALUES (1, ?, ?)", (anchor.boot_id, anchor.offset_ms))
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    return Clock(anchor, sources)


def _kept(connection: apsw.Connection) -> Anchor | None:
    row = connection.execute("SELECT boot_id, offset_ms FROM clock").fetchone()
    return None if row is None else Anchor(*row)
