"""The watcher's clock: Unix seconds that never go back.

What the witness proves rests on comparing times that two daemons of one host took from the wall clock. When that
is set back, times from before and after mean different things: the clock here stands still until the wall clock has
caught up, and says so once, so that what was proved with the old times is dropped.
"""

from collections.abc import Callable

STEP_S = 0.1
"""A wall clock that falls back by less was only corrected."""


class ForwardClock:
    """A clock that stands still while the wall clock is behind its latest time.

    Args:
        wall:  the time in Unix seconds.
        start: the latest time that an earlier process has seen.
    """

    def __init__(self, wall: Callable[[], float], start: float) -> None:
        self._wall = wall
        self._latest = self._last_wall = start

    def now(self) -> float:
        """The time in Unix seconds."""
        self._latest = max(self._latest, self._wall())
        return self._latest

    def went_back(self) -> bool:
        """Whether the wall clock was set back since this was asked last."""
        wall, before = self._wall(), self._last_wall
        self._last_wall = wall
        return wall < before - STEP_S
