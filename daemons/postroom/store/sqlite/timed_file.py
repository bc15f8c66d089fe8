"""A store file whose transactions go by a clock of its own (clock.py), shared by all processes that have it open."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import apsw

from postroom.store.limits.window import milliseconds
from postroom.store.sqlite import clock
from postroom.store.sqlite.file import open_file
from postroom.store.sqlite.thread import Operation

SWEEP_STEP = 200
"""Rows of one kind removed in one transaction: about a millisecond."""


class TimedFile:
    """Connections to one file, and the time in it.

    Args:
        schema:    its migrations; the first has clock.SCHEMA.
        latest_ms: the latest time the file has seen, 0 when it is new; asked only at a new boot.
        sources:   what the clock is made of; tests bring their own.
    """

    def __init__(
        self,
        path: Path,
        schema: tuple[str, ...],
        latest_ms: Callable[[apsw.Connection], int],
        sources: clock.TimeSources,
    ) -> None:
        self._path = path
        self._schema = schema
        self._latest_ms = latest_ms
        self._sources = sources
        self._clock: clock.Clock | None = None

    def connect(self, busy_timeout_ms: int) -> apsw.Connection:
        """Open a connection; see open_file."""
        connection = open_file(self._path, self._schema, synchronous="NORMAL", busy_timeout_ms=busy_timeout_ms)
        try:
            self._clock = clock.open_clock(connection, self._sources, lambda: self._latest_ms(connection))
        except BaseException:
            connection.close()
            raise
        return connection

    def now_ms(self, now: float | None) -> int:
        """The time `now` in Unix seconds, or the file's own. Read inside the transaction: who has the lock last has
        the later time."""
        if now is not None:
            return milliseconds(now)
        assert self._clock is not None, "operations run only on an open file"
        return self._clock.now_ms()


class _Run(Protocol):
    def __call__(self, operation: Operation[int], /) -> Awaitable[int]: ...


async def sweep_in_steps(run: _Run, remove: Callable[[apsw.Connection, int], int], budget: int) -> int:
    """Remove rows in transactions of SWEEP_STEP until none is left or the budget is used; return how many it were.

    Args:
        run:    runs one transaction.
        remove: removes at most so many rows, and returns how many it were.
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
