"""track.db, written by the watcher alone: what Postfix's log on this host says of our mail.

`apply` stores how far a source was read together with what was read, in one transaction, so a watcher that is
killed at any moment reads each line once. The file is 0640 in a folder 2750: a daemon of the group reads it
(reader.py) and none but the watcher writes. synchronous=NORMAL: a power cut costs the last commits,
cursor and facts together, and the lines are read again.

Operations: log.py (position and facts), reports.py (mails to the return path), sharing.py (what goes on to the shared
store), refusals.py (takes to be given back), witness.py (what shows that something was not queued), reconciliation.py
(after a gap).
"""

import os
from pathlib import Path

import apsw

from postroom.store.errors import StoreUnavailable
from postroom.store.lock import lock_file
from postroom.store.sqlite.file import open_file
from postroom.store.sqlite.sole_file import SoleFile
from postroom.store.sqlite.thread import StoreThread
from postroom.store.track import meta
from postroom.store.track.log import TrackLog
from postroom.store.track.reconciliation import TrackReconciliation
from postroom.store.track.refusals import TrackRefusals
from postroom.store.track.reports import TrackReports, end_unproven
from postroom.store.track.schema import TRACK
from postroom.store.track.sharing import TrackSharing
from postroom.store.track.witness import TrackWitness

SESSION_KEPT_S = 86_400.0
"""A session whose end was never logged is forgotten after this time."""

UNPROVEN_DELIVERY_KEPT_S = 86_400.0
"""A delivery that stands in a log file only is kept for submission to look into for so long, and forgotten then."""


class TrackStore:
    """The watcher's side of track.db. Made by `init`, opened by exactly one process."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self._lock_fd = lock_fd
        self._thread = StoreThread(path, lambda: _connect(path), sole=SoleFile(path))
        self.log = TrackLog(self._thread)
        self.reports = TrackReports(self._thread, path)
        self.sharing = TrackSharing(self._thread)
        self.refusals = TrackRefusals(self._thread)
        self.witness = TrackWitness(self._thread)
        self.reconciliation = TrackReconciliation(self._thread)

    @staticmethod
    def init(path: Path) -> bool:
        """Make the file (0640) in its folder (2750) where missing; returns whether it was made.

        Raises:
            StoreUnavailable: it cannot be made.
        """
        try:
            if not path.parent.exists():
                path.parent.mkdir(parents=True)
                path.parent.chmod(0o2750)
            made = not path.exists()
            # The files SQLite puts beside it get its mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
        except OSError as error:
            raise StoreUnavailable(
                f"{path}: cannot be made ({error.strerror}); mend: check owner and mode of the folders above it"
            ) from error
        _connect(path).close()
        return made

    @staticmethod
    def open(path: Path) -> "TrackStore":
        """Open it for this process alone.

        Raises:
            StoreUnavailable: missing, not ours, damaged, or open in another process.
        """
        lock_fd = lock_file(path, "watcher")
        try:
            _connect(path).close()
        except StoreUnavailable:
            os.close(lock_fd)
            raise
        return TrackStore(path, lock_fd)

    async def close(self) -> None:
        """Finish what waits, then let go of the file."""
        await self._thread.close()
        os.close(self._lock_fd)

    async def sweep(self, before: float, now: float, budget: int) -> int:
        """Delete up to `budget` mails that left Postfix before `before`, and what is old beside them.

        Returns:
            How many mails were deleted.
        """

        def operation(connection: apsw.Connection) -> int:
            connection.execute(
                "DELETE FROM queue WHERE id IN"
                " (SELECT id FROM queue WHERE seen_at < ? AND ended_at < ? ORDER BY seen_at LIMIT ?)",
                (before, before, budget),
            )
            deleted = connection.changes()
            connection.execute(
                "DELETE FROM share WHERE added_at < ? AND (proven = 0 OR shared_at < ?)", (before, before)
            )
            connection.execute(
                "DELETE FROM share WHERE added_at < ? AND cause = '' AND proven = 0", (now - UNPROVEN_DELIVERY_KEPT_S,)
            )
            end_unproven(connection, now, budget)
            connection.execute("DELETE FROM report WHERE taken_at < ?", (before,))
            connection.execute("DELETE FROM notice WHERE seen_at < ?", (before,))
            connection.execute("DELETE FROM foreign_mail WHERE seen_at < ?", (before,))
            connection.execute("DELETE FROM checkpoint WHERE began_at < ?", (before,))
            row = connection.execute("SELECT max(seen_at) FROM session WHERE seen_at < ?", (now - SESSION_KEPT_S,))
            forgotten = row.fetchall()[0][0]
            if forgotten is not None:
                connection.execute("DELETE FROM session WHERE seen_at <= ?", (forgotten,))
                # Those forgotten earlier began earlier.
                meta.set_value(connection, meta.FORGOTTEN_AT, forgotten)
            return deleted

        return await self._thread.run(operation)


def _connect(path: Path) -> apsw.Connection:
    connection = open_file(path, TRACK, synchronous="NORMAL")
    # Who may only read cannot make the -wal and -shm files: they stay when the watcher ends.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection
