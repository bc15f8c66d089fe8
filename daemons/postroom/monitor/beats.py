"""The beats of this host's daemons, read from the shared store as often as they come.

Only those of this host: where several share a store each has its own monitor, and Prometheus, which asks them
all, would count the others' twice. What the monitor has counted itself is put beside them: it writes no beat, for it
may not write the store.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping

from postroom.monitor.counters import CounterTotals
from postroom.monitor.samples import Series, parse_samples
from postroom.monitor.snapshot import LATE_S, Unanswered
from postroom.runtime.metrics import BEAT_S
from postroom.store.errors import StoreUnavailable
from postroom.store.shared.interface import BEAT_KEPT_S, Beat, Beats

BUDGET_S = 2.0


class HostBeats:
    """Keeps the latest beats of one host, and the totals of their counters.

    Args:
        host:    as the daemons name it in their beats.
        word:    of the daemon this runs in.
        samples: what that daemon has counted.
        clock:   seconds that never go back.
    """

    def __init__(
        self,
        beats: Beats,
        host: str,
        word: str,
        samples: Callable[[], Mapping[str, float]],
        clock: Callable[[], float],
    ) -> None:
        self._store = beats
        self._host = host
        self._word = word
        self._samples = samples
        self._clock = clock
        self._beats: list[Beat] = []
        self._read_at = 0.0
        self.totals = CounterTotals()
        self.trouble: Unanswered | None = Unanswered("not asked yet")

    async def read(self) -> None:
        """Read the beats once; what keeps them from being read is `trouble` then."""
        try:
            async with asyncio.timeout(BUDGET_S):
                beats = await self._store.recent(BEAT_KEPT_S)
        except TimeoutError:
            self.trouble = Unanswered(f"no answer within {BUDGET_S:g} s")
        except StoreUnavailable as error:
            self.trouble = Unanswered(str(error))
        else:
            self._read_at = self._clock()
            # A beat of our word was written by a monitor of before, which is not this one.
            self._beats = [beat for beat in beats if beat.host == self._host and beat.word != self._word]
            self._beats.append(self._own())
            self.totals.observe(self._beats, self._read_at)
            self.trouble = None

    def _own(self) -> Beat:
        return Beat(self._word, self._host, os.getpid(), at=time.time(), samples=self._samples(), age_s=0.0)

    async def read_forever(self) -> None:
        """Read them again and again, until cancelled."""
        while True:
            await asyncio.sleep(BEAT_S)
            await self.read()

    def ages(self) -> dict[str, list[float]]:
        """Daemon → seconds since the last beat of each of its processes, the youngest first.

        A daemon without a beat in the last hour is not in it.
        """
        since_s = self._clock() - self._read_at
        ages: dict[str, list[float]] = {}
        for beat in self._beats:
            ages.setdefault(beat.word, []).append(beat.age_s + since_s)
        return {word: sorted(of_word) for word, of_word in ages.items()}

    def gauges(self) -> Mapping[Series, float]:
        """The gauges of the processes that live, summed."""
        since_s = self._clock() - self._read_at
        gauges: dict[Series, float] = {}
        for beat in self._beats:
            if beat.age_s + since_s <= LATE_S:
                for one, value in parse_samples(beat.samples).items():
                    if not one.is_counter:
                        gauges[one] = gauges.get(one, 0.0) + value
        return gauges
