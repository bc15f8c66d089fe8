"""A store file that one process has open to itself, as it lies in its folder: still there, ours, its WAL short.

SQLite works on with the files it has opened, whatever becomes of their names: what it commits into a deleted mail.db
or mail.db-wal is gone with the process. So the names are looked at before each transaction and after its commit, before
anybody is told that it is stored (tried: 2 µs a name, three names).

    it is gone, or moved         it can be read and written as long as it is open, but nothing is promised in it
    another lies in its place    nothing is written any more: who works with the other knows nothing of it
    it was overwritten           the same; the pages in memory and in the WAL belong to what was there before
    its WAL or index is gone     nothing is lost yet: all is copied into the file itself, and it is opened again

The WAL keeps deleted rows in clear until it is written over, so it is copied back and emptied (a truncating checkpoint)
a moment after the last write, and under a steady load within CUT_WITHIN_S.

Limits:  overwriting is told by size and time of modification, so `touch` is taken for it, and what is overwritten in
         the very moment of a commit of ours is not noticed; no other process may copy the WAL back (erasure.py leaves
         it to the daemon).
Source:  SQLite "WAL mode", "How To Corrupt An SQLite Database File" §4.
"""

import contextlib
import time
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import apsw

from postroom.store.errors import StoreReplaced
from postroom.store.sqlite.file import BUSY_TIMEOUT_MS, identity_of

CUT_AFTER_S = 2.0
"""The WAL is emptied when nothing was written for so long."""
CUT_WITHIN_S = 30.0
"""It is emptied at the latest so long after the first write, however much is written."""
CUT_AGAIN_S = 5.0
"""When a reader holds it, the next try comes after so long."""
LOOK_S = 2.0
"""How often a file without work is looked at: another process may have written to its WAL (store/erasure.py)."""


class Standing(Enum):
    """What has become of the file in its folder."""

    OURS = auto()
    WITHOUT_WAL = auto()
    GONE = auto()
    REPLACED = auto()


@dataclass(frozen=True, slots=True)
class _Seen:
    identity: tuple[int, int]
    size: int
    changed_ns: int


class SoleFile:
    """Watches over one file for the thread that has it open; used by that thread alone.

    Args:
        serves_when_gone: whether operations that promise nothing go on while the file has no name.
    """

    def __init__(self, path: Path, *, serves_when_gone: bool = False) -> None:
        self._path = path
        self._wal, self._index = (path.with_name(f"{path.name}-{word}") for word in ("wal", "shm"))
        self.serves_when_gone = serves_when_gone
        self._seen: _Seen | None = None
        self._was_gone = False
        self._beside: tuple[object, object] = (None, None)
        self._wal_written: tuple[int, int] = (0, 0)
        self._last_write_at = 0.0
        self._first_write_at: float | None = None
        self._cut_not_before = 0.0

    def opened(self) -> None:
        """The connection was opened.

        Raises:
            StoreReplaced: it is not the file it was before.
        """
        seen = _seen(self._path)
        if seen is None or (self._seen is not None and seen.identity != self._seen.identity):
            raise self.error(Standing.REPLACED)
        self._seen = seen
        self._beside = (identity_of(self._wal), identity_of(self._index))

    def standing(self) -> Standing:
        """What has become of it since it was opened and last written."""
        seen = _seen(self._path)
        if seen is None:
            self._was_gone = True
            return Standing.GONE
        if self._was_gone:
            # The same file may be back; what we wrote to it in between could not be seen.
            self._take_changes()
            self._was_gone = False
        if seen != self._seen:
            return Standing.REPLACED
        return Standing.OURS if self._is_beside() else Standing.WITHOUT_WAL

    def committed(self) -> Standing:
        """A transaction of ours was committed: take what it wrote for ours; what has become of the file meanwhile."""
        self._take_changes()
        return self.standing()

    def error(self, standing: Standing) -> StoreReplaced:
        """What is wrong, and how to mend it."""
        if standing is Standing.GONE:
            return StoreReplaced(
                f"{self._path}: was deleted or moved away while this daemon has it open; mend: put the same file back; "
                "if it is lost, run `postroom store init` and restart the daemon"
            )
        return StoreReplaced(
            f"{self._path}: was replaced or overwritten while this daemon has it open; mend: stop the daemon, put the "
            f"right file there ({self._wal.name} and {self._index.name} belong to the file they were written with: "
            "with a backup, take them away), and start it again"
        )

    def rescue(self, connection: apsw.Connection) -> None:
        """Its WAL or index lost its name: copy all into the file itself, and close the connection.

        Raises:
            apsw.Error: it cannot be done now; nothing is lost, and the connection stays open.
        """
        self._checkpoint(connection)
        connection.close()
        self._take_changes()
        # What lies there now was written with another file.
        for path in (self._wal, self._index):
            path.unlink(missing_ok=True)

    def cut_due_in_s(self) -> float:
        """Seconds until `cut` is to be called."""
        now = time.monotonic()
        wal = _seen(self._wal)
        written = (0, 0) if wal is None else (wal.size, wal.changed_ns)
        if written[0] == 0:
            self._first_write_at = None
        elif written != self._wal_written:
            self._last_write_at = now
            self._first_write_at = self._first_write_at or now
        self._wal_written = written
        if self._first_write_at is None:
            return LOOK_S
        due = min(self._last_write_at + CUT_AFTER_S, self._first_write_at + CUT_WITHIN_S)
        return max(0.0, max(due, self._cut_not_before) - now)

    def cut(self, connection: apsw.Connection) -> None:
        """Copy the WAL back and empty it, unless a reader holds it or the file is another's."""
        if self.standing() is not Standing.REPLACED:
            with contextlib.suppress(apsw.Error):  # whatever it is, the next operation meets it
                self._checkpoint(connection)
                self._first_write_at = None
                return
        self._cut_not_before = time.monotonic() + CUT_AGAIN_S

    def overdue_s(self) -> float:
        """For how long the WAL should have been emptied; 0 when it is not overdue. On any thread."""
        first = self._first_write_at
        return 0.0 if first is None else max(0.0, time.monotonic() - first - CUT_WITHIN_S)

    def before_close(self, connection: apsw.Connection) -> None:
        """Keep SQLite from copying a WAL back into a file it does not belong to."""
        standing = self.standing()
        if standing is Standing.GONE:
            # It may have been moved without its WAL: it is whole by itself then.
            with contextlib.suppress(apsw.Error):
                self._checkpoint(connection)
        if standing is not Standing.OURS:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)

    def _checkpoint(self, connection: apsw.Connection) -> None:
        # Without waiting for readers: whoever stores something waits for this thread.
        connection.set_busy_timeout(0)
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        finally:
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            self._take_changes()

    def _take_changes(self) -> None:
        """What was written to the file just now was our doing."""
        seen = _seen(self._path)
        if seen is not None and self._seen is not None and seen.identity == self._seen.identity:
            self._seen = seen

    def _is_beside(self) -> bool:
        return self._beside == (identity_of(self._wal), identity_of(self._index))


def _seen(path: Path) -> _Seen | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return _Seen((status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns)
