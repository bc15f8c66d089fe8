"""Looks at everything: beats, stores and Postfix's queue, each within its time."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from postroom.monitor.beats import BUDGET_S, HostBeats
from postroom.monitor.cached_query import CachedQuery
from postroom.monitor.snapshot import SLOT_S, SLOTS, Snapshot, Unanswered
from postroom.postfix.showq import count
from postroom.store.shared.interface import Demand, SharedStore
from postroom.store.track.facts import OutcomeCount
from postroom.store.track.reader import TrackReader

FRESH_S = 2.0
STORE_BUDGET_S = 2.0
QUEUE_BUDGET_S = 5.0
"""Postfix reads each queue file to answer."""

_NOBODY = Demand("monitor", "server:monitor", 1, 1, 1)
"""A counter nobody has: to ask for it reads the file and counts nothing."""


class Collector:
    """Looks.

    Args:
        now:   Unix seconds.
        clock: seconds that never go back, as the pulse's.
    """

    def __init__(
        self,
        pulse: HostBeats,
        shared: SharedStore,
        track: TrackReader,
        showq: Path,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._pulse = pulse
        self._track = track
        self._now = now
        self._clock = clock
        # Beside the pulse's own rhythm, so that no daemon seems late for want of a look.
        self._beats = CachedQuery(pulse.listen, 2 * BUDGET_S, FRESH_S, clock)
        self._limits = CachedQuery(lambda: shared.peek([_NOBODY]), STORE_BUDGET_S, FRESH_S, clock)
        self._waves = CachedQuery(shared.waves, STORE_BUDGET_S, FRESH_S, clock)
        self._outcomes = CachedQuery(self._hour, STORE_BUDGET_S, FRESH_S, clock)
        # The queue's own deadline comes first: what was counted until then is worth more than nothing.
        self._queue = CachedQuery(lambda: count(showq, QUEUE_BUDGET_S), QUEUE_BUDGET_S + 1, FRESH_S, clock)

    async def look(self) -> Snapshot:
        """Look at everything; takes as long as the slowest of them, bounded by its budget."""
        _, limits, waves, hour, queue = await asyncio.gather(
            self._beats.answer(),
            self._limits.answer(),
            self._waves.answer(),
            self._outcomes.answer(),
            self._queue.answer(),
        )
        now, clock, totals = self._now(), self._clock(), self._pulse.totals
        since, outcomes = (now - SLOT_S * SLOTS, hour) if isinstance(hour, Unanswered) else hour
        return Snapshot(
            at=now,
            since=since,
            shared=self._pulse.trouble,
            limits=limits if isinstance(limits, Unanswered) else None,
            outcomes=outcomes,
            queue=queue,
            # Where shared.db cannot be read, the beats say so.
            waves=0 if isinstance(waves, Unanswered) else sum(wave.state == "open" and wave.held > 0 for wave in waves),
            ages=self._pulse.ages(),
            gauges=self._pulse.gauges(),
            totals=totals.totals(),
            grown=totals.last_hour(clock),
            watched_s=totals.watched_s(clock),
        )

    def close(self) -> None:
        """Look no longer."""
        for question in (self._beats, self._limits, self._waves, self._outcomes, self._queue):
            question.close()

    async def _hour(self) -> tuple[float, Sequence[OutcomeCount]]:
        since = (self._now() // SLOT_S + 1 - SLOTS) * SLOT_S
        return since, await self._track.outcomes(since, SLOT_S, SLOTS)
