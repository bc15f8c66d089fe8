"""What every engine promises of takes: exact limits, all or none, and the same answer to the same instance."""

import asyncio

import pytest
from hypothesis import given, settings
from tests.store.event_loop import Run
from tests.store.limits.plain_limits import PlainLimits, Step, histories

from postroom.store.limits.interface import Demand, Takes

NOW = 1_800_000_000.0
HOUR = 3600


def hourly(limit: int, cost: int = 1, key: str = "client:192.0.2.1", burst: int | None = None) -> Demand:
    return Demand("per_client", key, cost, limit, HOUR, burst)


def test_every_verdict_agrees_with_the_plain_model(takes: Takes, run: Run) -> None:
    """Whatever comes: allowed or not, by which rule, until when, and all figures are those of the model."""
    examples = iter(range(10_000_000))

    @settings(max_examples=150)
    @given(histories())
    def agree(steps: list[Step]) -> None:
        # A name of its own for each example keeps its instances apart; its keys are emptied.
        example = next(examples)
        run(takes.reset("client:192.0.2.1"))
        run(takes.reset("client:192.0.2.2"))
        model = PlainLimits()
        for step in steps:
            verdict = run(takes.take(f"{example}.{step.instance}", "smtp", step.demands, now=step.at_ms / 1000))
            assert verdict == model.take(step.instance, step.demands, step.at_ms)

    agree()


def test_one_more_than_the_limit_is_refused_until_the_first_slot_comes_free(takes: Takes, run: Run) -> None:
    """After 100 of 100/1h the next waits 61 slots of a minute, from the first minute on."""
    verdict = run(takes.take("all", "smtp", [hourly(100, cost=100)], now=NOW + 59.5))
    assert verdict.allowed
    refused = run(takes.take("one more", "smtp", [hourly(100)], now=NOW + 120))
    assert (refused.allowed, refused.rule, refused.key) == (False, "per_client", "client:192.0.2.1")
    assert refused.retry_after_s == 61 * 60 - 120
    assert not run(takes.take("early", "smtp", [hourly(100)], now=NOW + 61 * 60 - 0.001)).allowed
    assert run(takes.take("in time", "smtp", [hourly(100)], now=NOW + 61 * 60)).allowed


def test_a_burst_is_bounded_and_refills_evenly(takes: Takes, run: Run) -> None:
    """100/1h with burst 20: 20 at once, then one every 36 seconds."""
    assert run(takes.take("burst", "smtp", [hourly(100, cost=20, burst=20)], now=NOW)).allowed
    refused = run(takes.take("21st", "smtp", [hourly(100, burst=20)], now=NOW))
    assert (refused.allowed, refused.never_fits, refused.retry_after_s) == (False, False, 36)
    assert run(takes.take("after 36 s", "smtp", [hourly(100, burst=20)], now=NOW + 36)).allowed
    assert not run(takes.take("too soon", "smtp", [hourly(100, burst=20)], now=NOW + 71.999)).allowed


@pytest.mark.parametrize("demand", [hourly(5, cost=6), hourly(50, cost=6, burst=5), hourly(0)])
def test_what_can_never_fit_is_told_apart(takes: Takes, run: Run, demand: Demand) -> None:
    """More than the limit or the burst can hold: waiting does not help, and nothing is counted."""
    verdict = run(takes.take("large", "smtp", [demand], now=NOW))
    assert (verdict.allowed, verdict.never_fits, verdict.rule, verdict.retry_after_s) == (False, True, "per_client", 0)
    assert run(takes.peek([demand], now=NOW))[0].used == 0


def test_all_windows_are_taken_or_none(takes: Takes, run: Run) -> None:
    """A take that one of three windows refuses leaves no trace in the other two."""
    full = Demand("per_login", "login:a", 1, 1, 60)
    others = [hourly(10), Demand("all", "all:", 1, 10, 86_400)]
    assert run(takes.take("first", "smtp", [full], now=NOW)).allowed
    refused = run(takes.take("second", "smtp", [others[0], full, others[1]], now=NOW))
    assert (refused.allowed, refused.rule) == (False, "per_login")
    assert [usage.used for usage in refused.usages] == [0, 1, 0]
    assert [usage.used for usage in run(takes.peek(others, now=NOW))] == [0, 0]


def test_the_same_instance_gets_its_first_verdict_and_is_counted_once(takes: Takes, run: Run) -> None:
    """Postfix asks again after a lost reply: the same answer with the same figures, one count."""
    first = run(takes.take("1.2.3", "smtp", [hourly(10)], queue_id="4XyZ1k2", now=NOW))
    assert run(takes.take("other", "smtp", [hourly(10)], now=NOW)).usages[0].used == 2
    again = run(takes.take("1.2.3", "smtp", [hourly(10)], queue_id="4XyZ1k2", now=NOW + 1))
    assert again == first
    assert run(takes.peek([hourly(10)], now=NOW + 1))[0].used == 2


def test_the_same_instance_at_another_door_is_another_message(takes: Takes, run: Run) -> None:
    """Instances are Postfix's at one door and ours at another, so a door's word tells them apart."""
    run(takes.take("1", "smtp", [hourly(10)], now=NOW))
    assert run(takes.take("1", "socket", [hourly(10)], now=NOW)).usages[0].used == 2


def test_a_refused_instance_is_decided_anew(takes: Takes, run: Run) -> None:
    """A refusal counted nothing, so asked again when there is room the instance passes, once."""
    run(takes.take("first", "smtp", [hourly(1)], now=NOW))
    assert not run(takes.take("second", "smtp", [hourly(1)], now=NOW)).allowed
    assert run(takes.take("second", "smtp", [hourly(1)], now=NOW + 2 * HOUR)).allowed
    assert run(takes.take("second", "smtp", [hourly(1)], now=NOW + 2 * HOUR)).allowed


def test_a_take_without_demands_is_allowed(takes: Takes, run: Run) -> None:
    """No rule applies: nothing is counted, nothing refused."""
    verdict = run(takes.take("free", "sendmail", [], now=NOW))
    assert verdict.allowed
    assert verdict.usages == ()


def test_two_demands_for_one_counter_are_an_error_of_the_caller(takes: Takes, run: Run) -> None:
    """They are not counted one by one by chance; the caller adds them up. The key stays out of the message."""
    with pytest.raises(ValueError, match="two demands for one counter among the rules per_client") as caught:
        run(takes.take("twice", "smtp", [hourly(10), hourly(10, cost=2)], now=NOW))
    assert "192.0.2.1" not in str(caught.value)
    assert run(takes.take("after", "smtp", [hourly(10)], now=NOW)).usages[0].used == 1


def test_takes_of_one_turn_of_the_loop_do_not_share_a_slot(takes: Takes, run: Run) -> None:
    """Of 50 tasks that ask at once for 20 slots exactly 20 get one."""

    async def rush() -> int:
        asked = [takes.take(f"{number}", "smtp", [hourly(20)], now=NOW) for number in range(50)]
        return sum(verdict.allowed for verdict in await asyncio.gather(*asked))

    assert run(rush()) == 20


def test_peek_counts_nothing(takes: Takes, run: Run) -> None:
    """Peeking shows used, remaining and reset, in order, again and again the same."""
    run(takes.take("1", "smtp", [hourly(10, cost=3)], now=NOW))
    demands = [hourly(10, key="client:192.0.2.9"), hourly(10)]
    usages = run(takes.peek(demands, now=NOW + 60))
    assert [(usage.used, usage.remaining, usage.reset_s) for usage in usages] == [(0, 10, 0), (3, 7, HOUR)]
    assert run(takes.peek(demands, now=NOW + 60)) == usages


def test_a_lowered_limit_goes_on_with_the_counts_there_are(takes: Takes, run: Run) -> None:
    """8 used of 10, then the limit is 5: nothing remains, and the wait ends when there is room under 5."""
    for minute in range(8):
        run(takes.take(f"{minute}", "smtp", [hourly(10)], now=NOW + minute * 60))
    refused = run(takes.take("after", "smtp", [hourly(5)], now=NOW + 480))
    assert (refused.usages[0].used, refused.usages[0].remaining) == (8, 0)
    assert refused.retry_after_s == (3 + 61) * 60 - 480


def test_reset_forgets_one_key_under_all_rules(takes: Takes, run: Run) -> None:
    """Reset tells how many counters went; other keys keep theirs."""
    daily = Demand("daily", "client:192.0.2.1", 1, 1, 86_400)
    other = hourly(1, key="client:192.0.2.2")
    run(takes.take("1", "smtp", [hourly(1), daily], now=NOW))
    run(takes.take("2", "smtp", [other], now=NOW))
    assert run(takes.reset("client:192.0.2.1")) == 2
    assert run(takes.reset("client:192.0.2.1")) == 0
    assert run(takes.take("3", "smtp", [hourly(1), daily], now=NOW)).allowed
    assert not run(takes.take("4", "smtp", [other], now=NOW)).allowed


def test_without_a_time_the_store_uses_its_own_clock(takes: Takes, run: Run) -> None:
    """Two takes at the store's own time share its window, and peeking agrees."""
    run(takes.take("1", "smtp", [hourly(2)]))
    run(takes.take("2", "smtp", [hourly(2)]))
    refused = run(takes.take("3", "smtp", [hourly(2)]))
    assert not refused.allowed
    assert HOUR - 10 < refused.retry_after_s <= HOUR + 60
    assert run(takes.peek([hourly(2)]))[0].used == 2


@pytest.mark.parametrize(
    "numbers", [(0, 1, 60, None), (1, -1, 60, None), (1, 1, 0, None), (1, 1, 60, 0), (1, 1, 86_400, 2**30)]
)
def test_a_demand_out_of_range_is_refused_when_it_is_made(numbers: tuple[int, int, int, int | None]) -> None:
    """A wrong number is an error of the configuration, found before any message meets it."""
    with pytest.raises(ValueError, match="rule strange: "):
        Demand("strange", "client:192.0.2.1", *numbers)
