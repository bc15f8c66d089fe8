"""The limiter within one process: exact as the store, bounded in memory, never too lax."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.store.limits.plain_limits import PlainLimits, Step, histories

from postroom.limits.fallback import LocalLimiter
from postroom.store.limits.interface import TAKE_KEPT_S, Demand, Verdict

NOW = 1_800_000_000.0
ALLOWED = Verdict(True, None, None, 0.0, False, ())


def hourly(limit: int, key: str = "client:192.0.2.1", cost: int = 1) -> Demand:
    return Demand("per_client", key, cost, limit, 3600)


def limiter(max_counters: int = 100, max_takes: int = 100) -> LocalLimiter:
    return LocalLimiter(lambda: NOW, max_counters, max_takes)


@settings(max_examples=150)
@given(histories())
def test_the_local_limiter_agrees_with_the_plain_model(steps: list[Step]) -> None:
    """The same verdicts to the unit as the plain model, and so as every engine of the store."""
    local, model = limiter(), PlainLimits()
    for step in steps:
        verdict = local.take(step.instance, "smtp", step.demands, now=step.at_ms / 1000)
        assert verdict == model.take(step.instance, step.demands, step.at_ms)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3), st.integers(0, 40_000)), max_size=60))
def test_a_key_pushed_out_of_memory_never_gets_more_than_its_limit(requests: list[tuple[int, int, int]]) -> None:
    """Six keys in room for two: what is allowed is never more than a limiter with room for all allows."""
    crowded, at_ms = limiter(max_counters=2), 1_800_000_000_000
    allowed: dict[int, list[tuple[int, int]]] = {}
    for number, (key, cost, pause_ms) in enumerate(requests):
        at_ms += pause_ms
        demand = Demand("minutely", f"client:{key}", cost, 6, 60, 4)
        if crowded.take(f"{number}", "smtp", [demand], now=at_ms / 1000).allowed:
            allowed.setdefault(key, []).append((at_ms, cost))
    for takes in allowed.values():
        for start, (first_ms, _) in enumerate(takes):
            total = 0
            for taken_ms, cost in takes[start:]:
                total += cost
                assert taken_ms - first_ms > 60_000 or total <= 6
                assert total * 60_000 <= 4 * 60_000 + (taken_ms - first_ms) * 6


def test_pressure_makes_new_keys_start_from_the_busiest_lost_and_only_so_high() -> None:
    """Twenty keys with one message each push out twenty others: a new one starts at 1 of 10, not at 20."""
    local = limiter(max_counters=20)
    for number in range(40):
        assert local.take(f"{number}", "smtp", [hourly(10, f"client:{number}")], now=NOW + number).allowed
    assert local.take("new", "smtp", [hourly(10, "client:new")], now=NOW + 40).usages[0].used == 2
    assert local.take("later", "smtp", [hourly(10, "client:later")], now=NOW + 2 * 3600).usages[0].used == 1


def test_a_key_in_use_is_not_the_one_that_makes_room() -> None:
    """A busy key stays while thirty others come and go, so its count does not become everybody's floor."""
    local = limiter(max_counters=20)
    for number in range(30):
        assert local.take(f"busy{number}", "smtp", [hourly(50, "client:busy")], now=NOW).allowed
        verdict = local.take(f"{number}", "smtp", [hourly(50, f"client:{number}")], now=NOW)
    assert verdict.usages[0].used == 2


def test_memory_stays_within_its_bounds() -> None:
    """After 1,000 keys and instances no more are held than asked for."""
    local = limiter(max_counters=10, max_takes=20)
    for number in range(1_000):
        local.take(f"{number}", "smtp", [hourly(10, f"client:{number}")], now=NOW + 90 * number)
    assert (len(local._counters), len(local._takes), len(local._floors)) == (10, 20, 1)


def test_the_same_instance_gets_its_first_verdict_within_a_day() -> None:
    """As with the store; after a day it is another message."""
    local = limiter()
    first = local.take("1", "smtp", [hourly(10)], now=NOW)
    assert local.take("1", "smtp", [hourly(10)], now=NOW + TAKE_KEPT_S) == first
    assert local.first_verdict("1", "smtp", now=NOW + 1) == first
    assert local.first_verdict("1", "socket", now=NOW + 1) is None
    assert local.first_verdict("1", "smtp", now=NOW + TAKE_KEPT_S + 1) is None


def test_what_the_store_allowed_is_noted_once_even_over_the_limit() -> None:
    """The store's word counts here too; an instance noted twice is counted once."""
    local = limiter()
    local.note("1", "smtp", [hourly(2, cost=3)], ALLOWED, now=NOW)
    local.note("1", "smtp", [hourly(2, cost=3)], ALLOWED, now=NOW)
    assert local.take("1", "smtp", [hourly(2)], now=NOW) == ALLOWED
    refused = local.take("2", "smtp", [hourly(2)], now=NOW)
    assert (refused.allowed, refused.usages[0].used) == (False, 3)


def test_without_a_time_its_clock_is_asked() -> None:
    """The window runs on with the clock that was given to it."""
    times = iter([NOW, NOW + 1, NOW + 3700])
    local = LocalLimiter(lambda: next(times))
    assert [local.take(f"{number}", "smtp", [hourly(1)]).allowed for number in range(3)] == [True, False, True]
