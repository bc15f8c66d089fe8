"""The store that daemons share, as its parts; whoever needs one part is given that part alone.

configured.py opens it. An engine fills in parts that fulfil the protocols, with what sweeps and closes them.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from postroom.store.limits.interface import Notes, Takes, Waiting
from postroom.store.shared.interface import Beats, Evidence, Suppressions, Waves

SweepPart = Callable[[float | None, int], Awaitable[int]]
"""Removes from one part what no longer counts at a time, at most so many rows; returns how many were removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedStore:
    """The parts of one open store, for one event loop."""

    takes: Takes
    notes: Notes
    waiting: Waiting
    suppressions: Suppressions
    evidence: Evidence
    waves: Waves
    beats: Beats
    sweep_parts: Sequence[SweepPart]
    close_parts: Sequence[Callable[[], Awaitable[None]]]

    async def sweep(self, now: float | None = None, budget: int = 5_000) -> int:
        """Remove what no longer counts: empty counters, old takes, notes and beats, expired suppressions.

        Works in small transactions, so that nobody waits for it.

        Args:
            budget: rows removed at most.

        Returns:
            Rows removed; fewer than `budget` means that nothing is left to remove.

        Raises:
            StoreUnavailable: a part gave no answer; what was removed until then is gone.
        """
        left = budget
        for sweep in self.sweep_parts:
            left -= await sweep(now, left)
        return budget - left

    async def close(self) -> None:
        """Finish what waits and let go of the store."""
        for close in self.close_parts:
            await close()
