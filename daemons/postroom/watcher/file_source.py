"""Postfix's log as a file: followed over rotation, each line once.

A position is a file, by its first line (rotation.py), and an offset. So what was read is found again under whatever
name: renamed, copied, packed. The rest of it is read first, then what came after, in the order of their last
change, then the file itself.

It is a gap when the file that was being read is gone, or is packed and broken, or was truncated: what was written
between copy and truncation is lost without a trace (logrotate(8), "copytruncate"). When it is gone, those files are
read whose first line is not older than the last one that was read.

At the very first start the files that changed in the last hour are read.

A renamed file is read until the new one has its first line: until then whoever writes may still have the old one
open.

Source:  logrotate(8), MAILLOG_README.
Limits:  a line is complete with its line end; one over MAX_LINE octets is passed over, and so is one without a time or
         a pid (some containers' logs).
BUGS:    any local user can write perfect lines here (postlog(1), logger(1)): this source proves nothing.
         Two writers of one file may still write to the old one when the new one has lines: those are not read.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from postroom.store.track.facts import LogGap
from postroom.watcher.lines import Line, LineReader
from postroom.watcher.rotation import CHUNK, LogPart, close_all, is_whole, rotated
from postroom.watcher.source import BATCH_LINES, FIRST_LOOK_BACK_S, Batch, SourceUnavailable

MAX_LINE = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Position:
    """A place in a file.

    Attributes:
        head: what the file is known by, "" while it has no first line.
        at:   the time of the last line that was read (Unix seconds); 0 while there was none.
    """

    dev: int
    inode: int
    head: str
    offset: int
    at: float = 0.0  # 0.1 stored none

    def __str__(self) -> str:
        return json.dumps([self.dev, self.inode, self.head, self.offset, self.at])

    @staticmethod
    def parse(text: str) -> "_Position":
        return _Position(*json.loads(text))

    def is_in(self, part: LogPart) -> bool:
        """Whether this place is in that file, or in what it is a copy of."""
        if part.is_file(self.dev, self.inode) and not self.head:
            return True  # it has its first line by now
        return self.head != "" and part.head() == self.head and part.size() >= self.offset


class FileSource:
    """Follows the file at `path` over its rotations.

    Args:
        clock: the time now, aware, in the zone the log is written in.
    """

    proves = False

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self.name = f"file:{path}"
        self._path = path
        self._clock = clock
        self._part: LogPart | None = None
        self._position: _Position | None = None
        self._after: str | None = None
        self._gaps: list[str] = []
        self._is_left_behind = False
        """Whether it is known that another file comes behind this one."""

    def resume(self, position: str | None) -> None:
        self.close()
        self._after = position
        if position is None:
            since = self._clock().timestamp() - FIRST_LOOK_BACK_S
            recent, older = _split(rotated(self._path), lambda part: part.changed_at >= since)
            close_all(older)
            self._go_on(None, [*recent, *self._current()])
        else:
            self._find(_Position.parse(position))

    def close(self) -> None:
        if self._part is not None:
            self._part.close()
        self._part, self._position, self._gaps = None, None, []

    def read(self) -> Batch | None:
        if self._part is None and not self._enter_first(self._position, self._current()):
            return None
        assert self._part is not None
        assert self._position is not None
        # Looked at before the file is read: what is written later is in the next batch.
        is_followed = self._is_followed()
        octets = self._checked_chunk()
        if octets is None:
            return self._truncated()
        whole, lines = self._lines(octets)
        reader = LineReader(self._clock())
        parsed = [reader.line(line.decode("utf-8", "replace")) for line in lines]
        # Without time or pid it cannot be told whose session a line is of, nor when.
        counted = tuple(line for line in parsed if isinstance(line, Line) and line.pid and line.at)
        self._position = replace(
            self._position,
            head=self._position.head or self._part.head(),
            offset=self._position.offset + whole,
            at=counted[-1].at if counted else self._position.at,
        )
        is_at_end = whole == 0
        if is_at_end and is_followed:
            self._next_file()
            is_at_end = False
        batch = Batch(self._after, str(self._position), tuple(map(LogGap, self._gaps)), counted, len(lines), is_at_end)
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
        assert self._part is not None
        assert self._position is not None
        if not self._part.is_packed and (
            self._part.size() < self._position.offset
            or (self._position.head and self._part.head() != self._position.head)
        ):
            return None
        return self._part.read(self._position.offset, CHUNK)

    def _is_followed(self) -> bool:
        """Whether another file has taken this one's place, and has its first line."""
        assert self._position is not None
        if self._is_left_behind:
            return True
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return False
        if (status.st_dev, status.st_ino) == (self._position.dev, self._position.inode):
            return False
        current = self._current()
        is_begun = any(part.head() for part in current)
        close_all(current)
        return is_begun

    def _truncated(self) -> Batch | None:
        """The file was emptied under us: its copy may have the rest."""
        assert self._position is not None
        self._find(self._position)
        return self.read()

    def _find(self, wanted: _Position) -> None:
        """Open the file that holds the position; where there is none, what comes behind it."""
        found, behind = self._look_up(wanted)
        if found is None:
            self._gaps.append("the log file that was read last is gone")
            self._go_on(wanted, behind)
            return
        is_moved = not found.is_file(wanted.dev, wanted.inode)
        is_emptied = any(part.is_file(wanted.dev, wanted.inode) for part in behind)
        if is_moved and (is_emptied or not found.is_packed):
            self._gaps.append("the log file was copied and truncated")
        self._enter(found, replace(wanted, dev=found.dev, inode=found.inode), is_left_behind=_begun(behind))
        close_all(behind)

    def _next_file(self) -> None:
        """Leave this file, which was read to its end."""
        assert self._position is not None
        found, behind = self._look_up(self._position)
        if found is not None and not behind:
            # The same lines in another place (an editor, cp and mv): there they go on.
            behind = [found]
        elif found is not None:
            found.close()
        self._go_on(self._position, behind)

    def _look_up(self, wanted: _Position) -> tuple[LogPart | None, list[LogPart]]:
        """The file that holds the position, if it is there, and those that come behind it, the oldest first."""
        current = self._current()
        files = [*rotated(self._path), *current]
        holds = [index for index, part in enumerate(files) if wanted.is_in(part)]
        # The very file, before one with the same lines.
        holds.sort(key=lambda index: not files[index].is_file(wanted.dev, wanted.inode))
        if holds:
            found, before, behind = files[holds[0]], files[: holds[0]], files[holds[0] + 1 :]
        else:
            reader = LineReader(self._clock())
            found = None
            behind, before = _split(files, lambda part: part in current or _began_behind(part, wanted, reader))
        close_all(before)
        behind, broken = _split(behind, is_whole)
        close_all(broken)
        self._gaps += ["a packed log file is broken"] * len(broken)
        if found is not None and not is_whole(found):
            found.close()
            found = None
        return found, behind

    def _go_on(self, before: _Position | None, parts: Sequence[LogPart]) -> None:
        """Enter the first of these files; none of them is there when the log is about to be recreated."""
        if self._enter_first(before, parts):
            close_all(parts[1:])

    def _enter_first(self, before: _Position | None, parts: Sequence[LogPart]) -> bool:
        if not parts:
            if self._part is not None:
                self._part.close()
            self._part, self._position = None, before
            return False
        part, behind = parts[0], parts[1:]
        head, offset = part.head(), 0
        if before is not None and head and head == before.head:
            # The lines that were read last, in another file: each counts once, and what is behind them follows.
            offset = min(part.size(), before.offset)
            if offset < before.offset:
                self._gaps.append("the log file was replaced by a shorter one that begins as it did")
        at = 0.0 if before is None else before.at
        self._enter(part, _Position(part.dev, part.inode, head, offset, at), is_left_behind=_begun(behind))
        return True

    def _enter(self, part: LogPart, at: _Position, *, is_left_behind: bool) -> None:
        if self._part is not None:
            self._part.close()
        self._part, self._position, self._is_left_behind = part, at, is_left_behind

    def _current(self) -> list[LogPart]:
        """The file itself, if it is there."""
        try:
            return [LogPart(self._path)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SourceUnavailable(
                f"{self._path}: cannot be read ({error.strerror}); "
                "mend: let the watcher's user read it (on Debian: group adm), and check watcher.source"
            ) from error


def _begun(parts: Sequence[LogPart]) -> bool:
    return any(part.head() for part in parts)


def _began_behind(part: LogPart, wanted: _Position, reader: LineReader) -> bool:
    """Whether its first line is not older than the last line before the position."""
    first = part.first_line()
    began_at = None if first is None else reader.written_at(first.decode("utf-8", "replace"))
    return began_at is not None and 0 < wanted.at <= began_at


def _split(parts: Sequence[LogPart], is_wanted: Callable[[LogPart], bool]) -> tuple[list[LogPart], list[LogPart]]:
    """Those that are wanted, and those that are not."""
    wanted = [part for part in parts if is_wanted(part)]
    return wanted, [part for part in parts if part not in wanted]
