"""The arithmetic of limits, held to the promise itself: raw times of takes, no slots."""

from hypothesis import given
from hypothesis import strategies as st
from tests.store.limits.plain_limits import START_MS, Step, histories

from postroom.store.clock import milliseconds
from postroom.store.limits import window
from postroom.store.limits.interface import Demand

Taken = tuple[int, int]
"""Time in ms and cost of one allowed take."""


def played(steps: list[Step], index: int) -> tuple[Demand | None, list[Taken], list[Taken]]:
    """One rule and key of a history, alone: its last demand, what was allowed and what was made to wait."""
    counter, allowed, waited, last = window.EMPTY, [], [], None
    for step in steps:
        if not step.demands[index].key.endswith("1"):
            continue
        last = step.demands[index]
        verdict, (counter,) = window.decide([last], [counter], step.at_ms)
        if verdict.allowed:
            allowed.append((step.at_ms, last.cost))
        elif not verdict.never_fits:
            waited.append((step.at_ms, last.cost))
    return last, allowed, waited


@given(histories(forward_only=True))
def test_no_span_of_the_window_holds_more_than_the_limit(steps: list[Step]) -> None:
    """Counted from each take on, both ends included: never over."""
    for index in range(len(steps[0].demands)):
        demand, allowed, _ = played(steps, index)
        for first_ms, _ in allowed:
            assert demand is not None
            end_ms = first_ms + demand.window_s * 1000
            assert sum(cost for at_ms, cost in allowed if first_ms <= at_ms <= end_ms) <= demand.limit


@given(histories(forward_only=True))
def test_no_span_holds_more_than_the_burst_and_what_drains_meanwhile(steps: list[Step]) -> None:
    """Between any two takes: at most `burst`, and `limit` a window on top."""
    for index in range(len(steps[0].demands)):
        demand, allowed, _ = played(steps, index)
        if demand is None or demand.burst is None:
            continue
        for start, (first_ms, _) in enumerate(allowed):
            total = 0
            for at_ms, cost in allowed[start:]:
                total += cost
                drained = (at_ms - first_ms) * demand.limit
                assert total * demand.window_s * 1000 <= demand.burst * demand.window_s * 1000 + drained


@given(histories(forward_only=True))
def test_a_unit_comes_free_at_most_a_slot_late(steps: list[Step]) -> None:
    """Who has to wait under a limit alone would exceed it within the last window and one slot more."""
    for index in range(len(steps[0].demands)):
        demand, allowed, waited = played(steps, index)
        if demand is None or demand.burst is not None:
            continue
        for now_ms, cost in waited:
            since_ms = now_ms - demand.window_s * 1000 * 61 / 60
            assert sum(taken for at_ms, taken in allowed if since_ms < at_ms <= now_ms) + cost > demand.limit


@given(histories())
def test_retry_after_is_the_first_millisecond_that_fits(steps: list[Step]) -> None:
    """At that moment the demand passes if nothing else was taken, and a millisecond earlier it does not."""
    counters: dict[Demand, window.Counter] = {}
    for step in steps:
        for demand in step.demands:
            counter = counters.get(demand, window.EMPTY)
            verdict, (counters[demand],) = window.decide([demand], [counter], step.at_ms)
            if verdict.retry_after_s:
                fits_ms = step.at_ms + milliseconds(verdict.retry_after_s)
                assert window.decide([demand], [counter], fits_ms)[0].allowed
                assert not window.decide([demand], [counter], fits_ms - 1)[0].allowed


counters_of_a_minute = st.builds(
    lambda slots, level: window.Counter(START_MS, level, tuple(sorted(slots.items()))),
    st.dictionaries(st.integers(START_MS // 1000 - 60, START_MS // 1000), st.integers(1, 5), max_size=6),
    st.integers(0, 5 * 60_000),
)


@given(counters_of_a_minute, counters_of_a_minute, st.integers(0, 130_000), st.integers(1, 5))
def test_the_stricter_of_two_counters_refuses_what_either_would_and_no_more_than_the_sum_asks(
    one: window.Counter, other: window.Counter, later_ms: int, cost: int
) -> None:
    """At each later moment as much is used of it as of the fuller one of the two, neither less nor more."""
    demand = Demand("rule", "client:192.0.2.1", cost, 12, 60, 5)
    both = window.stricter(one, other)
    used, *either = (
        window.usage(demand, window.aged(counter, demand, START_MS + later_ms), START_MS + later_ms)
        for counter in (both, one, other)
    )
    assert used.used == max(usage.used for usage in either)
    assert used.remaining == min(usage.remaining for usage in either)


@given(st.integers(1, 2**41))
def test_a_whole_millisecond_survives_as_seconds(at_ms: int) -> None:
    """1.1 s lies below 1100 ms as a float, and is 1100 ms all the same."""
    assert milliseconds(at_ms / 1000) == at_ms
