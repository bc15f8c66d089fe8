"""The limiter within one process, for the time the shared store is lost.

Counts exactly as the store does (the same arithmetic), but knows only what this process
has let through. While the store answers, what it allows is noted here too, so that
a process that loses the store goes on from there and not from nothing.

Memory:  bounded. Of `max_counters` the one unused for longest makes room. It is not
         forgotten: each rule keeps a floor, no lower than any counter it lost, and a key that
         comes (back) starts from the floor. So pressure never over-admits; it makes limits
         stricter for keys not seen of late, as if each were the busiest of those lost,
         and by one message more each time as many new keys as there is room for have passed.
BUGS:    what is given back in the store (Takes.give_back) stays counted here: too strict, never too lax.
         each process counts alone: several together may let through a limit each; and
         the store never learns what was let through here.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from postroom.store.clock import milliseconds
from postroom.store.limits import window
from postroom.store.limits.interface import TAKE_KEPT_S, Demand, Door, Verdict, counter_ids

_CounterId = tuple[str, str, int]


class LocalLimiter:
    """Takes as the store does (Takes.take), in memory.

    Args:
        clock:        seconds that only run on (CLOCK_BOOTTIME), asked when a call brings no `now`.
        max_counters: counters of all rules kept at once; 1 kB each, 8 kB when in steady use.
        max_takes:    verdicts kept for repeated instances; one pushed out too early is
                      counted again if asked again: too strict, never too lax.
    """

    def __init__(self, clock: Callable[[], float], max_counters: int = 10_000, max_takes: int = 10_000) -> None:
        self._clock = clock
        self._max_counters = max_counters
        self._max_takes = max_takes
        self._counters: OrderedDict[_CounterId, tuple[Demand, window.Counter]] = OrderedDict()
        self._floors: dict[tuple[str, int], window.Counter] = {}
        self._takes: OrderedDict[tuple[Door, str], tuple[int, Verdict]] = OrderedDict()

    def take(self, instance: str, door: Door, demands: Sequence[Demand], now: float | None = None) -> Verdict:
        """Take all demands or none; the same instance gets its first verdict again if that allowed it."""
        now_ms = self._now_ms(now)
        if (first := self._first(instance, door, now_ms)) is not None:
            return first
        ids = counter_ids(demands)
        verdict, after = window.decide(demands, [self._counter(counter_id) for counter_id in ids], now_ms)
        if verdict.allowed:
            self._keep(instance, door, verdict, zip(ids, demands, after, strict=True), now_ms)
        return verdict

    def note(
        self, instance: str, door: Door, demands: Sequence[Demand], verdict: Verdict, now: float | None = None
    ) -> None:
        """Count what the store has allowed, once for an instance, whether it fits here or not."""
        now_ms = self._now_ms(now)
        if self._first(instance, door, now_ms) is not None:
            return
        after = [
            (counter_id, demand, window.taken(window.aged(self._counter(counter_id), demand, now_ms), demand))
            for counter_id, demand in zip(counter_ids(demands), demands, strict=True)
        ]
        self._keep(instance, door, verdict, after, now_ms)

    def first_verdict(self, instance: str, door: Door, now: float | None = None) -> Verdict | None:
        """The verdict that allowed this instance earlier, if it is still kept."""
        return self._first(instance, door, self._now_ms(now))

    def _now_ms(self, now: float | None) -> int:
        return milliseconds(self._clock() if now is None else now)

    def _first(self, instance: str, door: Door, now_ms: int) -> Verdict | None:
        at_ms, verdict = self._takes.get((door, instance), (0, None))
        return verdict if now_ms - at_ms <= TAKE_KEPT_S * 1000 else None

    def _counter(self, counter_id: _CounterId) -> window.Counter:
        if counter_id in self._counters:
            return self._counters[counter_id][1]
        _, rule, window_s = counter_id
        return self._floors.get((rule, window_s), window.EMPTY)

    def _keep(
        self,
        instance: str,
        door: Door,
        verdict: Verdict,
        after: Iterable[tuple[_CounterId, Demand, window.Counter]],
        now_ms: int,
    ) -> None:
        self._takes[door, instance] = now_ms, verdict
        if len(self._takes) > self._max_takes:
            self._takes.popitem(last=False)
        for counter_id, demand, counter in after:
            self._counters[counter_id] = demand, counter
            self._counters.move_to_end(counter_id)
        while len(self._counters) > self._max_counters:
            _, (demand, counter) = self._counters.popitem(last=False)
            self._raise_floor(demand, counter)

    def _raise_floor(self, demand: Demand, lost: window.Counter) -> None:
        rule = demand.rule, demand.window_s
        floor = self._floors.get(rule, window.EMPTY)
        at_ms = max(floor.at_ms, lost.at_ms)
        self._floors[rule] = window.stricter(window.aged(floor, demand, at_ms), window.aged(lost, demand, at_ms))
