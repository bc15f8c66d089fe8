"""The files a log consists of: those it was rotated to, packed ones too, and the file itself.

A file is known by its first line, which no other file has (its time stands in it), so it is found again under
whatever name: after a rename (logrotate, `postfix logrotate`), in the copy that copytruncate makes, and packed.
Files of the same first line are one file. Offsets in a packed file are those of what is in it.

They stand in the order of their last change, which rotation and packing keep.

Source:  logrotate(8), postfix(1) `logrotate`, gzip(1) (the packed file keeps the time of the file).
Limits:  gzip, bzip2 and xz are unpacked; a file packed otherwise is not seen. One that is broken off is not either, as
         while it is being packed: what it is made of is there until it is whole.
"""

import bz2
import gzip
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, cast

HEAD = 4_096
"""Octets of the first line that are looked at."""
CHUNK = 256 * 1024
LISTINGS = 10
"""So often the folder is listed again when it changed while its files were opened."""

_UNPACKERS: dict[str, Callable[[BinaryIO], object]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)


class LogPart:
    """One file of the log, open. Whoever has it closes it.

    Raises:
        OSError: there is no such file, or it may not be read.
    """

    def __init__(self, path: Path) -> None:
        # A pipe that is named as the log is must not keep us waiting.
        self._file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
        status = os.fstat(self._file.fileno())
        if not stat.S_ISREG(status.st_mode):
            self._file.close()
            raise FileNotFoundError(f"{path} is not a file")
        self.dev, self.inode, self.changed_at = status.st_dev, status.st_ino, status.st_mtime
        unpacker = _UNPACKERS.get(path.suffix)
        self._unpacked = None if unpacker is None else cast("BinaryIO", unpacker(self._file))
        self._packed_size: int | None = None

    @property
    def is_packed(self) -> bool:
        return self._unpacked is not None

    def close(self) -> None:
        if self._unpacked is not None:
            self._unpacked.close()
        self._file.close()

    def is_file(self, dev: int, inode: int) -> bool:
        """Whether it is this very file, not another one with its lines."""
        return (self.dev, self.inode) == (dev, inode)

    def first_line(self) -> bytes | None:
        """As much of its first line as is looked at; None while there is none."""
        octets = self.read(0, HEAD)
        first, end, _ = octets.partition(b"\n")
        return first if end or len(octets) == HEAD else None

    def head(self) -> str:
        """What it is known by; "" while it has no first line."""
        first = self.first_line()
        return "" if first is None else sha256(first).hexdigest()[:32]

    def size(self) -> int:
        """How many octets are in it. Those of a packed file are counted once, which shows too that it is whole."""
        if self._unpacked is None:
            return os.fstat(self._file.fileno()).st_size
        if self._packed_size is None:
            self._unpacked.seek(0)
            self._packed_size = sum(map(len, iter(lambda: self.read(self._tell(), CHUNK), b"")))
        return self._packed_size

    def read(self, offset: int, count: int) -> bytes:
        """Octets from an offset on; none at its end."""
        if self._unpacked is None:
            return os.pread(self._file.fileno(), count, offset)
        if self._tell() != offset:
            self._unpacked.seek(offset)
        return self._unpacked.read(count)

    def _tell(self) -> int:
        assert self._unpacked is not None
        return self._unpacked.tell()


def rotated(path: Path) -> list[LogPart]:
    """The files that the log at `path` was rotated to and that have a first line: the oldest first, each once."""
    parts: list[LogPart] = []
    for _ in range(LISTINGS):
        listed = _listed(path)
        parts = list(filter(None, map(_opened, listed.values())))
        # One may have been renamed or packed between the listing and its opening: then it is looked for again.
        if _listed(path).keys() == listed.keys():
            break
        close_all(parts)
        parts = []
    return _each_once(sorted(parts, key=lambda part: part.changed_at))


def _listed(path: Path) -> dict[tuple[Path, int], Path]:
    found = {}
    for one in sorted(path.parent.glob(f"{path.name}[.-]*")):
        with suppress(OSError):
            found[one, one.stat().st_ino] = one
    return found


def _opened(path: Path) -> LogPart | None:
    part = None
    try:
        part = LogPart(path)
        if part.first_line() is not None:
            return part
    except _BROKEN:
        pass
    if part is not None:
        part.close()
    return None


def _each_once(parts: list[LogPart]) -> list[LogPart]:
    """Without copies: of those with one first line the longest stays, and of those the first that is not packed."""
    by_head: dict[str, list[LogPart]] = {}
    for part in parts:
        by_head.setdefault(part.head(), []).append(part)
    kept = []
    for same in by_head.values():
        best = same[0] if len(same) == 1 else max(same, key=lambda part: (_whole_size(part), not part.is_packed))
        close_all(part for part in same if part is not best)
        kept.append(best)
    return kept


def is_whole(part: LogPart) -> bool:
    """Whether it can be read to its end."""
    return _whole_size(part) >= 0


def _whole_size(part: LogPart) -> int:
    try:
        return part.size()
    except _BROKEN:
        return -1


def close_all(parts: Iterable[LogPart]) -> None:
    for part in parts:
        part.close()
