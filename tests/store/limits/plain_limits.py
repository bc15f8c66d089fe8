"""A plain limiter that is obviously right: it remembers every take and counts anew each time.

The engines and the in-process limiter must agree with it to the unit. It shares nothing with
window.py: no slots that are carried along, no bucket that is drained, no integers scaled; moments
are found by search, not by a formula.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import strategies as st

from postroom.store.limits.interface import Demand, Usage, Verdict

START_MS = 1_800_000_000_000
"""When the histories begin: in 2027."""


@dataclass(frozen=True)
class Step:
    """One request of a history."""

    instance: str
    demands: tuple[Demand, ...]
    at_ms: int
    gives_back: str | None = None
    """The instance whose take is given back before this request."""


@dataclass(eq=False)
class _Take:
    """What was put into a counter, in slot and bucket; where `counts` is false, into the bucket only."""

    at_ms: int
    cost: int | Fraction
    counts: bool = True


@dataclass
class PlainLimits:
    """Every allowed take of each counter, and verdict and takes of each allowed instance."""

    takes: dict[tuple[str, str, int], list["_Take"]] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    parts: dict[str, list[tuple[Demand, "_Take"]]] = field(default_factory=dict)

    def take(self, instance: str, demands: Sequence[Demand], now_ms: int) -> Verdict:
        if instance in self.verdicts:
            return self.verdicts[instance]
        never = [demand for demand in demands if demand.cost > min(demand.limit, demand.burst or demand.limit)]
        if never:
            return self._refusal(never[0], 0, True, demands, now_ms)
        waits = {demand: self._wait_ms(demand, now_ms) for demand in demands}
        longest = max(demands, key=lambda demand: waits[demand])
        if waits[longest]:
            return self._refusal(longest, waits[longest], False, demands, now_ms)
        self.parts[instance] = [(demand, _Take(self._time(demand, now_ms), demand.cost)) for demand in demands]
        for demand, take in self.parts[instance]:
            self._of(demand).append(take)
        usages = tuple(self._usage(demand, now_ms) for demand in demands)
        self.verdicts[instance] = Verdict(True, None, None, 0.0, False, usages)
        return self.verdicts[instance]

    def give_back(self, instance: str) -> bool:
        """Undo the take of an instance. What a bucket has drained since was all of this take, nothing of others."""
        if self.verdicts.pop(instance, None) is None:
            return False
        for demand, take in self.parts.pop(instance):
            latest_ms = max(other.at_ms for other in self._of(demand))
            drained = Fraction(latest_ms - take.at_ms) * demand.limit / (demand.window_s * 1000)
            take.counts = False
            self._of(demand).append(_Take(latest_ms, -max(Fraction(0), take.cost - drained), counts=False))
        return True

    def usages(self, demands: Sequence[Demand], now_ms: int) -> list[Usage]:
        return [self._usage(demand, now_ms) for demand in demands]

    def _refusal(
        self, demand: Demand, wait_ms: int, never_fits: bool, demands: Sequence[Demand], now_ms: int
    ) -> Verdict:
        usages = tuple(self._usage(each, now_ms) for each in demands)
        return Verdict(False, demand.rule, demand.key, wait_ms / 1000, never_fits, usages)

    def _of(self, demand: Demand) -> list["_Take"]:
        return self.takes.setdefault((demand.key, demand.rule, demand.window_s), [])

    def _time(self, demand: Demand, at_ms: int) -> int:
        return max([at_ms, *(take.at_ms for take in self._of(demand))])

    def _used(self, demand: Demand, at_ms: int) -> int:
        """The costs whose slot of a 60th window is the present one or one of the 60 before."""
        slot_ms = Fraction(demand.window_s * 1000, 60)
        present = self._time(demand, at_ms) // slot_ms
        return sum(int(take.cost) for take in self._of(demand) if take.counts and take.at_ms // slot_ms >= present - 60)

    def _level(self, demand: Demand, at_ms: int) -> Fraction:
        """The burst bucket: each take fills it, and between them `limit` a window drains."""
        if demand.burst is None:
            return Fraction(0)
        drain = Fraction(demand.limit, demand.window_s * 1000)
        level, before_ms = Fraction(0), 0
        for take in [*self._of(demand), _Take(self._time(demand, at_ms), 0)]:
            level = max(Fraction(0), max(Fraction(0), level - (take.at_ms - before_ms) * drain) + take.cost)
            before_ms = take.at_ms
        return level

    def _fits(self, demand: Demand, cost: int, at_ms: int) -> bool:
        return self._used(demand, at_ms) + cost <= demand.limit and (
            demand.burst is None or self._level(demand, at_ms) + cost <= demand.burst
        )

    def _wait_ms(self, demand: Demand, now_ms: int) -> int:
        return self._first(demand, now_ms, lambda at_ms: self._fits(demand, demand.cost, at_ms)) - now_ms

    def _usage(self, demand: Demand, now_ms: int) -> Usage:
        remaining = max((cost for cost in range(1, demand.limit + 1) if self._fits(demand, cost, now_ms)), default=0)
        empty_ms = self._first(
            demand, now_ms, lambda at_ms: not self._used(demand, at_ms) and not self._level(demand, at_ms)
        )
        return Usage(
            demand.rule,
            demand.key,
            self._used(demand, now_ms),
            demand.limit,
            demand.window_s,
            remaining,
            (empty_ms - now_ms) / 1000,
        )

    def _first(self, demand: Demand, now_ms: int, holds: Callable[[int], bool]) -> int:
        """The first millisecond from now on at which it holds; once it does, it goes on to."""
        low, high = now_ms, self._time(demand, now_ms) + 3 * demand.window_s * 1000
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle + 1, high)
        return low


@st.composite
def histories(draw: st.DrawFn, forward_only: bool = False, gives_back: bool = False) -> list[Step]:
    """Requests of two keys under one to three rules: bursts, pauses, repeats, and a clock that slips back."""
    rules = draw(
        st.lists(
            st.tuples(
                st.integers(0, 9),
                st.sampled_from([1, 2, 7, 60, 61, 3600, 86_400]),
                st.none() | st.integers(1, 6),
            ),
            min_size=1,
            max_size=3,
        )
    )
    steps, at_ms = [], START_MS
    for number in range(draw(st.integers(1, 25))):
        window_ms = draw(st.sampled_from(rules))[1] * 1000
        at_ms += draw(st.just(0) | st.integers(0, window_ms // 30) | st.integers(0, window_ms * 5 // 4))
        if not forward_only and draw(st.integers(0, 9)) == 0:
            at_ms -= draw(st.integers(0, window_ms))
        key = draw(st.sampled_from(["client:192.0.2.1", "client:192.0.2.2"]))
        cost = draw(st.integers(1, 4))
        instance = draw(st.sampled_from([f"{number}", f"{number}", f"{number}", f"{number // 2}"]))
        demands = tuple(
            Demand(f"rule{index}", key, cost, limit, window_s, burst)
            for index, (limit, window_s, burst) in enumerate(rules)
        )
        returned = draw(st.none() | st.integers(0, number)) if gives_back else None
        steps.append(Step(instance, demands, at_ms, None if returned is None else f"{returned}"))
    return steps
