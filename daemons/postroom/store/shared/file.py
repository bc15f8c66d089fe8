"""shared.db, open: where suppressions.py, evidence.py, waves.py and beats.py run their transactions.

They write in the file's thread, all that arrives in one turn of the loop with one commit (sqlite/thread.py). What
somebody waits for is asked on the event loop, beside the thread, so that a question of Postfix does not queue up
behind anybody's write.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw

from postroom.store.clock import TimeSources
from postroom.store.shared.schema import SHARED
from postroom.store.sqlite.loop_file import BUSY_IN_THREAD_MS, LoopFile
from postroom.store.sqlite.thread import Operation, StoreThread
from postroom.store.sqlite.timed_file import TimedFile, sweep_in_steps

T = TypeVar("T")


class SharedFile:
    """The file, for one event loop.

    Args:
        read_only: what writes raises StoreUnavailable.
    """

    def __init__(self, path: Path, sources: TimeSources, *, read_only: bool = False) -> None:
        self._file = TimedFile(path, SHARED, _latest_ms, sources, read_only=read_only)
        self._writer = StoreThread(path, lambda: self._file.connect(BUSY_IN_THREAD_MS))
        self._reader = LoopFile(path, self._file.connect, writes=False)
        self.now_ms = self._file.now_ms
        self.write = self._writer.run
        """Runs a transaction in the thread, with one commit for all that wait."""

    async def ask(self, operation: Operation[T]) -> T:
        """Run one that only reads, and takes less than a millisecond."""
        return await self._reader.run(self._file.timed(operation))

    async def ask_aside(self, operation: Operation[T]) -> T:
        """Run a longer one that only reads, in a thread of its own."""
        return await self._reader.run_aside(self._file.timed(operation))

    async def sweep(self, remove: Callable[[apsw.Connection, int], int], budget: int) -> int:
        """Remove at most `budget` rows in small transactions; see sweep_in_steps."""
        return await sweep_in_steps(self._writer.run, remove, budget)

    async def close(self) -> None:
        """Finish what waits, close the file."""
        await self._reader.close()
        await self._writer.close()


def _latest_ms(connection: apsw.Connection) -> int:
    """The latest time the table of beats has seen, 0 when it is empty."""
    row = connection.execute("SELECT ifnull(max(at_ms), 0) FROM beats").fetchone()
    return 0 if row is None else int(row[0])
