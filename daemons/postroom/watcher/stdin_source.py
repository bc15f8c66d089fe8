"""Postfix's log on standard input: what a container's Postfix writes, without a place to go back to.

    postfix start-fg | postroom watcher          with maillog_file = /dev/stdout in main.cf

A position is only how many lines were read. What was written while no watcher read, and what a killed one had read and
not stored, is lost: each start but the first is a gap, and the queue is asked what it hides.

Source:  MAILLOG_README, "Logging to stdout".
Limits:  a line is complete with its line end; one over MAX_LINE octets is passed over, and so is one without a pid.
         One without a time is of the moment it was read.
BUGS:    whoever else may write there is believed as Postfix is: this source proves nothing.
"""

import os
import select
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from postroom.store.track.facts import LogGap
from postroom.watcher.lines import Line, LineReader
from postroom.watcher.source import BATCH_LINES, Batch, SourceUnavailable

CHUNK = 64 * 1024
MAX_LINE = 64 * 1024


class StdinSource:
    """Reads the lines that come through a pipe.

    Args:
        fd:    the pipe's end; it stays open.
        clock: the time now, aware, in the zone the log is written in.
    """

    name = "stdin"
    proves = False

    def __init__(self, fd: int, clock: Callable[[], datetime]) -> None:
        self._fd = fd
        self._clock = clock
        self._after: str | None = None
        self._gaps: tuple[LogGap, ...] = ()
        self._octets = b""
        self._is_cut = False
        """Whether the beginning of a line that is too long was passed over."""

    def resume(self, position: str | None) -> None:
        self._after = position
        self._gaps = () if position is None else (LogGap("standard input was restarted"),)

    def close(self) -> None:
        """Leaves the pipe open: only who made it closes it."""

    def read(self) -> Batch | None:
        lines = self._lines()
        if not lines:
            return None
        now = self._clock()
        reader = LineReader(now)
        parsed = (reader.line(line.decode("utf-8", "replace")) for line in lines)
        counted = tuple(
            line if line.at else replace(line, at=now.timestamp())
            for line in parsed
            if isinstance(line, Line) and line.pid
        )
        position = str(int(self._after or 0) + len(lines))
        batch = Batch(self._after, position, self._gaps, counted, len(lines), is_at_end=len(lines) < BATCH_LINES)
        self._after, self._gaps = position, ()
        return batch

    def _lines(self) -> list[bytes]:
        """Whole lines, as many as there are and a batch takes."""
        while self._octets.count(b"\n") < BATCH_LINES and self._has_more():
            octets = os.read(self._fd, CHUNK)
            if not octets and b"\n" in self._octets:
                break
            if not octets:
                raise SourceUnavailable(
                    "standard input has ended; mend: restart the watcher together with what writes to it"
                )
            self._octets += octets
            if len(self._octets) > MAX_LINE and b"\n" not in self._octets:
                # No line of Postfix is so long.
                self._octets, self._is_cut = b"", True
        *lines, self._octets = self._octets.split(b"\n", BATCH_LINES)
        if lines and self._is_cut:
            lines[0], self._is_cut = b"", False
        return lines

    def _has_more(self) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(0))
