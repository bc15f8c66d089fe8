"""The beats of this host's daemons, read as often as they come.

Only those of this host: where several share a store each has its own monitor, and Prometheus, which asks them
all, would count the others' twice.
"""

import asyncio
from collections.abc import Callable, Mapping

from postroom.monitor.counters import CounterTotals
from postroom.monitor.samples import Series, readable
from postroom.monitor.snapshot import LATE_S, Unanswered
from postroom.runtime.metrics import BEAT_S
from postroom.store.errors import StoreUnavailable
from postroom.store.shared.interface import BEAT_KEPT_S, Beat, SharedStore

BUDGET_S = 2.0


class HostBeats:
    """Listens to the beats.

    Args:
        host:  as the daemons name it in their beats.
        clock: seconds that never go back.
    """

    def __init__(self, shared: SharedStore, host: str, clock: Callable[[], float]) -> None:
        self._shared = shared
        self._host = host
        self._clock = clock
        self._beats: list[Beat] = []
        self._heard_at = 0.0
        self.totals = CounterTotals()
        self.trouble: Unanswered | None = Unanswered("not asked yet")

    async def listen(self) -> None:
        """Read the beats once."""
        try:
            async with asyncio.timeout(BUDGET_S):
                beats = await self._shared.beats(BEAT_KEPT_S)
        except TimeoutError:
            self.trouble = Unanswered(f"no answer within {BUDGET_S:g} s")
        except StoreUnavailable as error:
            self.trouble = Unanswered(str(error))
        else:
            self._heard_at = self._clock()
            self._beats = [beat for beat in beats if beat.host == self._host]
            self.totals.observe(self._beats, self._heard_at)
            self.trouble = None

    async def listen_forever(self) -> None:
        """Read them again and again, until cancelled."""
        while True:
            await asyncio.sleep(BEAT_S)
            await self.listen()

    def ages(self) -> dict[str, list[float]]:
        """Word → seconds since the last beat of each of its processes, the youngest first; none of the last hour
        without one."""
        since_s = self._clock() - self._heard_at
        ages: dict[str, list[float]] = {}
        for beat in self._beats:
            ages.setdefault(beat.word, []).append(beat.age_s + since_s)
        return {word: sorted(of_word) for word, of_word in ages.items()}

    def gauges(self) -> Mapping[Series, float]:
        """What the living processes say of now, summed."""
        since_s = self._clock() - self._heard_at
        gauges: dict[Series, float] = {}
        for beat in self._beats:
            if beat.age_s + since_s <= LATE_S:
                for one, value in readable(beat.samples).items():
                    if not one.is_counter:
                        gauges[one] = gauges.get(one, 0.0) + value
        return gauges
