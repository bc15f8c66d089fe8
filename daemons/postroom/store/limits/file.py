"""limits.db, open: where takes.py, notes.py and waiting.py run their transactions.

They are called on the event loop (sqlite/loop_file.py); what takes longer runs in the file's thread.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw

from postroom.store.clock import TimeSources
from postroom.store.limits.schema import LIMITS
from postroom.store.sqlite.loop_file import LoopFile
from postroom.store.sqlite.thread import Operation
from postroom.store.sqlite.timed_file import TimedFile, sweep_in_steps

T = TypeVar("T")


class LimitsFile:
    """The file, for one event loop.

    Args:
        read_only: what writes raises StoreUnavailable.
    """

    def __init__(self, path: Path, sources: TimeSources, *, read_only: bool = False) -> None:
        self._file = TimedFile(path, LIMITS, _latest_ms, sources, read_only=read_only)
        self._loop_file = LoopFile(path, self._file.connect, writes=not read_only)
        self.now_ms = self._file.now_ms
        self.logged_ms = self._file.logged_ms

    async def run(self, operation: Operation[T]) -> T:
        """Run a transaction that takes less than a millisecond."""
        return await self._loop_file.run(self._file.timed(operation))

    async def run_aside(self, operation: Operation[T]) -> T:
        """Run a longer one, in the thread."""
        return await self._loop_file.run_aside(self._file.timed(operation))

    async def sweep(self, remove: Callable[[apsw.Connection, int], int], budget: int) -> int:
        """Remove at most `budget` rows in small transactions; see sweep_in_steps."""
        return await sweep_in_steps(self._loop_file.run_aside, remove, budget)

    async def close(self) -> None:
        """Finish what waits, close the file."""
        await self._loop_file.close()


def _latest_ms(connection: apsw.Connection) -> int:
    """The latest time the file has seen, 0 when it is new. Reads all counters: for a new boot only."""
    row = connection.execute(
        "SELECT max(ifnull((SELECT max(at_ms) FROM counters), 0), ifnull((SELECT max(at_ms) FROM takes), 0))"
    ).fetchone()
    return 0 if row is None else int(row[0])
