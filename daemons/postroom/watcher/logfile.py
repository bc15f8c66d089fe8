"""Postfix's log as a file: followed over rotation, each line once.

A file is known by its first line, which no other file has (its time stands in it), and a position is a file and
an offset. So what was read is found again under whatever name: after a rename (logrotate, `postfix logrotate`)
as well as in the copy that copytruncate makes. The rest of it is read first, then what came after, in the order
of their last change, then the file itself.

What is a gap: the file we were in is nowhere (deleted, compressed), or it was truncated: what was written between
copy and truncation is lost without a trace (logrotate(8), "copytruncate").

A file that was renamed is left when the new one has its first line: until then whoever writes may still have the
old one open.

Source:  logrotate(8), MAILLOG_README.
Limits:  a line is complete with its line end; one over MAX_LINE octets is passed over, and so is one without a time or
         a pid (some containers' logs).
BUGS:    any local user can write perfect lines here (postlog(1), logger(1)): this source proves nothing.
         Two writers of one file may still write to the old one when the new one has lines: those are not read.
"""

import json
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from postroom.watcher.lines import Line, LineReader
from postroom.watcher.source import BATCH_LINES, Batch, SourceUnavailable

CHUNK = 256 * 1024
MAX_LINE = 64 * 1024
HEAD = 4_096
"""Octets of the first line that are looked at."""


@dataclass(frozen=True, slots=True)
class _Position:
    """A place in a file; `head` is what the file is known by, "" while it has no first line."""

    dev: int
    inode: int
    head: str
    offset: int

    def __str__(self) -> str:
        return json.dumps([self.dev, self.inode, self.head, self.offset])

    @staticmethod
    def parse(text: str) -> "_Position":
        return _Position(*json.loads(text))


class LogFile:
    """Follows the file at `path`.

    Args:
        clock: the time now, aware, in the zone the log is written in.
    """

    proves = False

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self.name = f"file:{path}"
        self._path = path
        self._clock = clock
        self._fd: int | None = None
        self._at: _Position | None = None
        self._after: str | None = None
        self._gaps: list[str] = []
        self._later: list[int] = []
        """Open files that come behind this one, before the file at `path` itself."""

    def resume(self, position: str | None) -> None:
        self.close()
        self._after = position
        if position is None:
            self._open_current()
            return
        self._find(_Position.parse(position))

    def close(self) -> None:
        for fd in (self._fd, *self._later):
            if fd is not None:
                os.close(fd)
        self._fd, self._at, self._later, self._gaps = None, None, [], []

    def read(self) -> Batch | None:
        if self._fd is None and not self._open_current():
            return None
        assert self._fd is not None
        assert self._at is not None
        # Looked at before the file is read: what is written later is in the next batch.
        is_followed = self._is_followed()
        octets = self._checked_chunk()
        if octets is None:
            return self._truncated()
        whole, lines = self._lines(octets)
        self._at = _Position(self._at.dev, self._at.inode, self._at.head or _head(self._fd), self._at.offset + whole)
        is_at_end = whole == 0
        if is_at_end and is_followed:
            self._next_file()
            is_at_end = False
        reader = LineReader(self._clock())
        parsed = (reader.line(line.decode("utf-8", "replace")) for line in lines)
        batch = Batch(
            self._after,
            str(self._at),
            tuple(self._gaps),
            # Without time or pid it cannot be told whose session a line is of, nor when.
            tuple(line for line in parsed if isinstance(line, Line) and line.pid and line.at),
            len(lines),
            is_at_end,
        )
        self._after, self._gaps = batch.position, []
        return batch

    def _lines(self, octets: bytes) -> tuple[int, list[bytes]]:
        """How many octets are whole lines, and the lines."""
        end = octets.rfind(b"\n") + 1
        if end == 0:
            # No line of Postfix is so long: what there is of it is passed over.
            return (len(octets), []) if len(octets) >= MAX_LINE else (0, [])
        lines = octets[: end - 1].split(b"\n")
        if len(lines) > BATCH_LINES:
            lines = lines[:BATCH_LINES]
            end = sum(len(line) + 1 for line in lines)
        return end, lines

    def _checked_chunk(self) -> bytes | None:
        """What comes next in the file; None when it is no longer the file it was."""
        assert self._fd is not None
        assert self._at is not None
        size = os.fstat(self._fd).st_size
        if size < self._at.offset or (self._at.head and _head(self._fd) != self._at.head):
            return None
        return os.pread(self._fd, CHUNK, self._at.offset)

    def _is_followed(self) -> bool:
        """Whether another file has taken this one's place, and has its first line."""
        assert self._at is not None
        if self._later:
            return True
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return False
        if (status.st_dev, status.st_ino) == (self._at.dev, self._at.inode):
            return False
        fd = _opened(self._path)
        if fd is None:
            return False
        try:
            return _head(fd) != ""
        finally:
            os.close(fd)

    def _next_file(self) -> None:
        assert self._fd is not None
        assert self._at is not None
        before = self._at
        os.close(self._fd)
        self._fd = None
        if self._later:
            self._enter(self._later.pop(0), 0)
        elif self._open_current() and self._at.head == before.head:
            # The same lines in another place (an editor, cp and mv).
            assert self._fd is not None
            size = os.fstat(self._fd).st_size
            if size < before.offset:
                # Fewer of them: what was read counts once, and what is written from now on follows.
                self._gaps.append("the log file was replaced by a shorter one that begins as it did")
            self._at = replace(self._at, offset=min(size, before.offset))

    def _truncated(self) -> Batch | None:
        """The file was emptied under us: its copy may have the rest."""
        assert self._fd is not None
        assert self._at is not None
        os.close(self._fd)
        self._fd = None
        self._find(self._at)
        return self.read()

    def _find(self, wanted: _Position) -> None:
        """Open the file that holds the position, and those behind it; where there is none, begin with the file."""
        rotated, current = self._candidates()
        files = [*rotated, *current]
        index = _index(files, wanted)
        for fd in files[: len(files) if index is None else index]:
            os.close(fd)
        if index is None:
            self._gaps.append("the log file that was read last is gone")
            self._open_current()
            return
        status = os.fstat(files[index])
        if (status.st_dev, status.st_ino) != (wanted.dev, wanted.inode):
            self._gaps.append("the log file was copied and truncated")
        self._enter(files[index], wanted.offset)
        self._later = files[index + 1 : len(rotated)]
        if index < len(rotated):
            # The file itself is opened when its turn comes, as in following.
            for fd in current:
                os.close(fd)

    def _candidates(self) -> tuple[list[int], list[int]]:
        """Those the file was rotated to, open, the oldest first; and the file itself, if it is there."""
        opened: list[tuple[float, int]] = []
        for path in self._path.parent.glob(f"{self._path.name}[.-]*"):
            fd = _opened(path) if path.suffix not in {".gz", ".xz", ".bz2", ".zst"} else None
            if fd is not None:
                opened.append((os.fstat(fd).st_mtime, fd))
        current = _opened(self._path)
        return [fd for _, fd in sorted(opened)], [] if current is None else [current]

    def _open_current(self) -> bool:
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise SourceUnavailable(
                f"{self._path}: cannot be read ({error.strerror}); "
                "mend: let the watcher's user read it (on Debian: group adm), and check watcher.source"
            ) from error
        self._enter(fd, 0)
        return True

    def _enter(self, fd: int, offset: int) -> None:
        status = os.fstat(fd)
        self._fd, self._at = fd, _Position(status.st_dev, status.st_ino, _head(fd), offset)


def _index(files: Sequence[int], wanted: _Position) -> int | None:
    """Which of the files holds the position: the very file, else one with the same lines."""
    found = None
    for index, fd in enumerate(files):
        status = os.fstat(fd)
        is_same = (status.st_dev, status.st_ino) == (wanted.dev, wanted.inode)
        if status.st_size < wanted.offset or not (is_same or wanted.head) or _head(fd) != wanted.head:
            continue
        if is_same:
            return index
        found = index if found is None else found
    return found


def _head(fd: int) -> str:
    """What a file is known by; "" while it has no first line."""
    octets = os.pread(fd, HEAD, 0)
    first, end, _ = octets.partition(b"\n")
    return sha256(first).hexdigest()[:32] if end or len(octets) == HEAD else ""


def _opened(path: Path) -> int | None:
    try:
        # A pipe that is named as the log is must not keep us waiting.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None
