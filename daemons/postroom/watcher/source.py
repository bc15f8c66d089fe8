"""What a source of Postfix's log gives: batches of lines, each between two positions.

A source is read from one thread. It never waits: an empty batch at the end means that there is nothing new.
"""

from dataclasses import dataclass
from typing import Protocol

from postroom.store.track.facts import LogGap
from postroom.watcher.lines import Line

BATCH_LINES = 1_000

FIRST_LOOK_BACK_S = 3_600.0
"""How much of the log before it is read at the very first start."""


class SourceUnavailable(Exception):
    """The log cannot be read now; the text says why and how to mend."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines of a source, between two positions.

    Attributes:
        after:    the position they begin at; None where nothing was read before.
        position: the position behind them.
        gaps:     why lines may be missing just before them.
        lines:    only those that count; the others moved the position.
        read:     how many lines were read in all.
        is_at_end: nothing more was there.
    """

    after: str | None
    position: str
    gaps: tuple[LogGap, ...]
    lines: tuple[Line, ...]
    read: int
    is_at_end: bool


class LogSource(Protocol):
    """Where Postfix's log is read from: journal, file or standard input."""

    name: str
    """By which its position is stored."""
    proves: bool
    """Whether its lines prove who wrote them."""

    def resume(self, position: str | None) -> None:
        """Go on behind a position, or begin.

        Raises:
            SourceUnavailable: it cannot be read.
        """

    def read(self) -> Batch | None:
        """The next lines; None when there is nothing to read from yet.

        Raises:
            SourceUnavailable: it cannot be read.
        """

    def close(self) -> None:
        """Close what it is read from; `resume` may open it again."""
