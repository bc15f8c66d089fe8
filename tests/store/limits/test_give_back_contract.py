"""What every engine promises of giving back: a mail that was not queued has cost nothing, and no other is touched."""

import asyncio
import time

import pytest
from hypothesis import given, settings
from tests.store.event_loop import Run
from tests.store.limits.plain_limits import START_MS, PlainLimits, Step, histories

from postroom.store.limits.interface import Demand, Takes
from postroom.store.shared_store import SharedStore

NOW = 1_800_000_000.0
HOUR = 3600
KEY = "client:192.0.2.1"
QUEUE_ID = "4A1B2C3D"


def hourly(limit: int, cost: int = 1, burst: int | None = None, key: str = KEY) -> Demand:
    return Demand("per_client", key, cost, limit, HOUR, burst)


@pytest.fixture
def used(takes: Takes, run: Run) -> "Used":
    return Used(takes, run)


class Used:
    """Takes under a queue id, and what is used afterwards."""

    def __init__(self, takes: Takes, run: Run) -> None:
        self._takes = takes
        self._run = run

    def take(self, instance: str, *demands: Demand, queue_id: str = QUEUE_ID, at: float = NOW) -> bool:
        return self._run(self._takes.take(instance, "smtp", demands, queue_id, now=at)).allowed

    def give_back(self, queue_id: str = QUEUE_ID, began_at: float = NOW, ended_at: float = NOW + 1) -> bool:
        return self._run(self._takes.give_back(queue_id, began_at, ended_at, now=NOW + 2))

    def now(self, *demands: Demand, at: float = NOW + 2) -> list[int]:
        return [usage.used for usage in self._run(self._takes.peek(demands, now=at))]


def test_every_verdict_agrees_with_the_plain_model_whatever_is_given_back(takes: Takes, run: Run) -> None:
    """Some instances are given back at some time, once or again, late, or never taken: to the unit."""
    examples = iter(range(10_000_000))

    @settings(max_examples=100)
    @given(histories(gives_back=True))
    def agree(steps: list[Step]) -> None:
        example = next(examples)
        run(takes.reset("client:192.0.2.1"))
        run(takes.reset("client:192.0.2.2"))
        model = PlainLimits()
        for step in steps:
            if step.gives_back is not None:
                queue_id = f"{example}.{step.gives_back}"
                given_back = run(takes.give_back(queue_id, 0.0, step.at_ms / 1000 + 1e9, now=step.at_ms / 1000))
                assert given_back == model.give_back(step.gives_back)
            name = f"{example}.{step.instance}"
            verdict = run(takes.take(name, "smtp", step.demands, name, now=step.at_ms / 1000))
            assert verdict == model.take(step.instance, step.demands, step.at_ms)

    agree()


def test_the_count_is_what_it_was_before(used: Used) -> None:
    """In each of its windows, with its own cost, and the mail of others stays counted."""
    demands = hourly(10, cost=3), Demand("daily", KEY, 1, 5, 86_400), Demand("all", "server:x", 2, 99, 60, 50)
    used.take("other", *demands, queue_id="4OTHER0")
    used.take("refused", *demands)
    assert used.now(*demands) == [6, 2, 4]
    assert used.give_back()
    assert used.now(*demands) == [3, 1, 2]


def test_it_is_given_back_once(used: Used) -> None:
    """Whoever is killed in between repeats it."""
    used.take("other", hourly(10), queue_id="4OTHER0")
    used.take("refused", hourly(10))
    assert [used.give_back() for _ in range(3)] == [True, False, False]
    assert used.now(hourly(10)) == [1]


def test_the_bucket_of_a_burst_gets_its_units_back(used: Used) -> None:
    """Where nothing else was taken in between all of them; three of three fit again, and no fourth."""
    used.take("refused", hourly(10, cost=3, burst=3))
    assert not used.take("full", hourly(10, burst=3), queue_id="4FULL")
    assert used.give_back()
    assert used.take("again", hourly(10, cost=3, burst=3), queue_id="4AGAIN", at=NOW + 2)
    assert not used.take("full", hourly(10, burst=3), queue_id="4FULL", at=NOW + 2)


def test_what_has_drained_since_is_not_taken_from_others(used: Used) -> None:
    """The refused mail's unit had drained when three others filled the bucket: theirs stay in it."""
    used.take("refused", hourly(3600, burst=3))
    used.take("others", hourly(3600, cost=3, burst=3), queue_id="4OTHER0", at=NOW + 10)
    assert used.give_back(ended_at=NOW + 11)
    assert not used.take("one more", hourly(3600, burst=3), queue_id="4MORE", at=NOW + 10)


@settings(max_examples=100, deadline=None)
@given(histories(forward_only=True, gives_back=True))
def test_the_model_never_lets_more_pass_than_if_that_mail_had_never_come(steps: list[Step]) -> None:
    """Window: the same room as without it. Burst: the same or less, so no rule is ever passed by a refused mail."""
    model, kept, at_ms = PlainLimits(), PlainLimits(), START_MS
    for step in steps:
        if step.gives_back is not None:
            model.give_back(step.gives_back)
        model.take(step.instance, step.demands, step.at_ms)
        at_ms = step.at_ms
    for parts in model.parts.values():
        for demand, take in parts:
            kept.takes.setdefault((demand.key, demand.rule, demand.window_s), []).append(take)
    for demand in steps[-1].demands:
        (real,), (ideal,) = model.usages([demand], at_ms), kept.usages([demand], at_ms)
        assert real.used == ideal.used
        assert real.remaining <= ideal.remaining


def test_the_same_instance_is_decided_anew_afterwards(used: Used) -> None:
    """Postfix asks with the instance of a refused mail again where the client goes on in that transaction."""
    assert used.take("1.2", hourly(1))
    assert used.give_back()
    assert used.take("1.2", hourly(1), queue_id="4AGAIN", at=NOW + 2)
    assert not used.take("other", hourly(1), queue_id="4OTHER0", at=NOW + 2)
    assert not used.give_back()


def test_an_instance_that_has_another_queue_id_by_now_stays_counted(used: Used) -> None:
    """It was asked for again before the refusal of its first try was known."""
    used.take("1.2", hourly(1))
    used.take("1.2", hourly(1), queue_id="4AGAIN", at=NOW + 1)
    assert not used.give_back()
    assert used.now(hourly(1)) == [1]
    assert used.give_back("4AGAIN", NOW + 1, NOW + 2)
    assert used.now(hourly(1)) == [0]


@pytest.mark.parametrize(("began_at", "ended_at"), [(NOW + 1, NOW + 2), (NOW - 9, NOW - 1)])
def test_a_queue_id_that_is_used_again_is_another_mails(used: Used, began_at: float, ended_at: float) -> None:
    """Short ones come back within seconds; the take of an earlier mail, or of a later one, stays."""
    used.take("kept", hourly(9))
    assert not used.give_back(began_at=began_at, ended_at=ended_at)
    assert used.now(hourly(9)) == [1]


def test_of_two_mails_with_one_queue_id_the_one_of_that_time_is_given_back(used: Used) -> None:
    """Each has its cost; so has the later one's, given back first."""
    used.take("first", hourly(9, cost=2), at=NOW - 10)
    used.take("second", hourly(9, cost=3))
    assert used.give_back()
    assert used.now(hourly(9)) == [2]
    assert used.give_back(began_at=NOW - 10, ended_at=NOW - 9)
    assert used.now(hourly(9)) == [0]


def test_a_counter_that_was_reset_loses_nothing(used: Used, takes: Takes, run: Run) -> None:
    """Its take is forgotten already: what was counted after the reset is others' mail."""
    used.take("refused", hourly(9, cost=3, burst=9), Demand("all", "server:x", 1, 9, 60))
    run(takes.reset(KEY))
    used.take("other", hourly(9, cost=2, burst=9), queue_id="4OTHER0", at=NOW + 1)
    assert used.give_back()
    assert used.now(hourly(9), Demand("all", "server:x", 1, 9, 60)) == [2, 0]
    assert not used.take("more", hourly(9, cost=8, burst=9), queue_id="4MORE", at=NOW + 1)


def test_a_rule_with_another_window_by_now_loses_nothing(used: Used) -> None:
    """It is another counter; the old one gets it back."""
    daily = Demand("per_client", KEY, 1, 9, 86_400)
    used.take("refused", hourly(9, cost=3))
    used.take("other", daily, queue_id="4OTHER0")
    assert used.give_back()
    assert used.now(hourly(9), daily) == [0, 1]


def test_what_counts_no_more_is_not_given_back(used: Used, takes: Takes, run: Run) -> None:
    """Its slot has gone by and others were taken since."""
    later = NOW + 2 * HOUR
    used.take("refused", hourly(9, cost=3))
    used.take("other", hourly(9, cost=2), queue_id="4OTHER0", at=later)
    assert run(takes.give_back(QUEUE_ID, NOW, later, now=later))
    assert used.now(hourly(9), at=later) == [2]


def test_a_mail_given_back_is_none_that_passed(used: Used, shared_store: SharedStore, run: Run) -> None:
    """Its queue id tells nothing any more of how a mail came by."""
    used.take("refused", hourly(9))
    assert run(shared_store.waiting.passage(QUEUE_ID)) is not None
    used.give_back()
    assert run(shared_store.waiting.passage(QUEUE_ID)) is None


def test_taking_and_giving_back_at_once_let_exactly_the_limit_pass(takes: Takes, run: Run) -> None:
    """50 ask for 20 slots while the first ten are given back: 20 stay, and ten were given back."""

    async def rush() -> tuple[int, int]:
        first = [await takes.take(f"r{n}", "smtp", [hourly(20)], f"4R{n}", now=NOW) for n in range(10)]
        assert all(verdict.allowed for verdict in first)
        asked = [takes.take(f"{n}", "smtp", [hourly(20)], f"4A{n}", now=NOW) for n in range(10)]
        returned = [takes.give_back(f"4R{n % 10}", NOW, NOW, now=NOW) for n in range(20)]
        results = await asyncio.gather(*asked, *returned)
        more = [await takes.take(f"m{n}", "smtp", [hourly(20)], f"4M{n}", now=NOW) for n in range(40)]
        return sum(verdict.allowed for verdict in more), sum(result is True for result in results)

    assert run(rush()) == (10, 10)


def test_without_a_time_the_log_goes_by_the_systems_clock(takes: Takes, run: Run) -> None:
    """The store's own clock may be another."""
    began_at = time.time()
    run(takes.take("refused", "smtp", [hourly(9)], QUEUE_ID))
    assert not run(takes.give_back(QUEUE_ID, began_at - 60, began_at - 30))
    assert run(takes.give_back(QUEUE_ID, began_at, time.time()))
