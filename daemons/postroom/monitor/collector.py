"""Collects a snapshot of this host: beats, stores and Postfix's queue, each within its time."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from postroom.monitor.beats import BUDGET_S, HostBeats
from postroom.monitor.cached_query import CachedQuery
from postroom.monitor.snapshot import SLOT_S, SLOTS, Snapshot, Unanswered
from postroom.postfix.showq import count
from postroom.store.limits.interface import Demand, Takes
from postroom.store.shared.interface import Waves
from postroom.store.track.history import OutcomeCount
from postroom.store.track.reader import TrackReader

FRESH_S = 2.0
STORE_BUDGET_S = 2.0
QUEUE_BUDGET_S = 5.0
"""Postfix reads each queue file to answer."""

_NOBODY = Demand("monitor", "server:monitor", 1, 1, 1)
"""A counter nobody has: asking for it reads the file and counts nothing."""


class Collector:
    """Queries all sources at once.

    Args:
        now:   Unix seconds.
        clock: seconds that never go back, the same as of `beats`.
    """

    def __init__(
        self,
        beats: HostBeats,
        takes: Takes,
        waves: Waves,
        track: TrackReader,
        showq: Path,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._beats = beats
        self._track = track
        self._now = now
        self._clock = clock
        # Besides the regular reads, so that no daemon seems late only because its beat was not read yet.
        self._beats_query = CachedQuery(beats.read, 2 * BUDGET_S, FRESH_S, clock)
        self._limits_query = CachedQuery(lambda: takes.peek([_NOBODY]), STORE_BUDGET_S, FRESH_S, clock)
        self._waves_query = CachedQuery(waves.latest, STORE_BUDGET_S, FRESH_S, clock)
        self._outcomes_query = CachedQuery(self._outcomes_of_last_hour, STORE_BUDGET_S, FRESH_S, clock)
        # The queue's own deadline comes first: what was counted until then is worth more than nothing.
        self._queue_query = CachedQuery(lambda: count(showq, QUEUE_BUDGET_S), QUEUE_BUDGET_S + 1, FRESH_S, clock)

    async def collect(self) -> Snapshot:
        """Take a snapshot; takes as long as the slowest query, bounded by its budget."""
        _, limits, waves, hour, queue = await asyncio.gather(
            self._beats_query.answer(),
            self._limits_query.answer(),
            self._waves_query.answer(),
            self._outcomes_query.answer(),
            self._queue_query.answer(),
        )
        now, clock, totals = self._now(), self._clock(), self._beats.totals
        since, outcomes = (now - SLOT_S * SLOTS, hour) if isinstance(hour, Unanswered) else hour
        return Snapshot(
            at=now,
            since=since,
            shared=self._beats.trouble,
            limits=limits if isinstance(limits, Unanswered) else None,
            outcomes=outcomes,
            queue=queue,
            # Where shared.db cannot be read, the beats say so.
            waves=0 if isinstance(waves, Unanswered) else sum(wave.state == "open" and wave.held > 0 for wave in waves),
            ages=self._beats.ages(),
            gauges=self._beats.gauges(),
            totals=totals.totals(),
            grown=totals.last_hour(clock),
            watched_s=totals.watched_s(clock),
        )

    def close(self) -> None:
        """Cancel the queries that are under way."""
        for query in (
            self._beats_query,
            self._limits_query,
            self._waves_query,
            self._outcomes_query,
            self._queue_query,
        ):
            query.close()

    async def _outcomes_of_last_hour(self) -> tuple[float, Sequence[OutcomeCount]]:
        since = (self._now() // SLOT_S + 1 - SLOTS) * SLOT_S
        return since, await self._track.outcomes(since, SLOT_S, SLOTS)
