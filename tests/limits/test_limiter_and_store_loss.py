"""One decision for each message, within its budget, with the store or without it."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.event_loop import Run
from tests.store.processes import process, tell

from postroom.limits.fallback import LocalLimiter
from postroom.limits.limiter import DEFER_RETRY_S, Decision, Limiter
from postroom.limits.rules import LimitRule, OnStoreLoss
from postroom.limits.subject import of_mail
from postroom.runtime.circuit_breaker import CircuitBreaker
from postroom.runtime.log import Log
from postroom.store.shared_store import SharedStore
from postroom.store.sqlite_store import init_sqlite_store, open_sqlite_store

NOW = 1_800_000_000.0
QUIET = Log("error", lambda _level, _event, _fields: None)


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the store's files belong. They are not there yet: the store is lost until `init`."""
    return tmp_path / "shared"


@pytest.fixture
def store(folder: Path, run: Run) -> Iterator[SharedStore]:
    store = open_sqlite_store(folder)
    yield store
    run(store.close())


def hourly(count: int, on_store_loss: OnStoreLoss = "local", name: str = "per_client") -> LimitRule:
    return LimitRule(name, "client", count, 3600, on_store_loss=on_store_loss, counts="recipients")


def limiter(store: SharedStore, *rules: LimitRule, budget_s: float = 1.0, retry_s: float = 0.0) -> Limiter:
    breaker = CircuitBreaker("limits", "in-process limiter", QUIET, retry_s)
    return Limiter(store.takes, rules, LocalLimiter(lambda: NOW), breaker, budget_s)


async def ask(limiter: Limiter, instance: str, recipients: int = 1) -> Decision:
    return await limiter.decide(instance, "smtp", of_mail({"client": "192.0.2.1"}, {}, recipients), now=NOW)


def test_with_a_store_the_store_decides(store: SharedStore, folder: Path, run: Run) -> None:
    """Allowed up to the limit, refused beyond, and the same instance is not counted again."""
    init_sqlite_store(folder)
    two = limiter(store, hourly(2))
    decisions = [run(ask(two, instance)) for instance in ("1", "1", "2", "3")]
    assert [(decision.verdict.allowed, decision.by) for decision in decisions] == [
        (True, "store"),
        (True, "store"),
        (True, "store"),
        (False, "store"),
    ]
    assert decisions[3].verdict.rule == "per_client"


def test_a_message_no_rule_applies_to_passes_without_the_store(store: SharedStore, run: Run) -> None:
    """Nothing to count: a lost store is not even noticed."""
    logins = limiter(store, LimitRule("per_login", "login", 1, 3600, on_store_loss="defer"))
    decision = run(ask(logins, "1"))
    assert (decision.verdict.allowed, decision.by) == (True, None)


def test_a_store_that_comes_back_decides_again(store: SharedStore, folder: Path, run: Run) -> None:
    """Lost, still lost, back: the process decides only as long as it must."""
    many = limiter(store, hourly(10))
    lost, still = run(ask(many, "1")), run(ask(many, "2"))
    init_sqlite_store(folder)
    back = run(ask(many, "3"))
    assert [decision.by for decision in (lost, still, back)] == ["process", "process", "store"]


@pytest.mark.parametrize(
    ("on_store_loss", "verdicts"),
    [("local", [True, True, False]), ("allow", [True, True, True]), ("defer", [False, False, False])],
)
def test_each_rule_says_what_happens_without_a_store(
    store: SharedStore, run: Run, on_store_loss: OnStoreLoss, verdicts: list[bool]
) -> None:
    """Two of 2/1h, then: local refuses the third, allow does not count, defer refuses all."""
    two = limiter(store, hourly(2, on_store_loss))
    assert [run(ask(two, f"{number}")).verdict.allowed for number in range(3)] == verdicts


def test_a_rule_that_defers_is_named_and_the_others_count_nothing(store: SharedStore, run: Run) -> None:
    """A message deferred for the lost store costs nothing under the rule counted locally."""
    local, strict = hourly(1), hourly(5, "defer", name="strict")
    store_lost = run(ask(limiter(store, local, strict), "1")).verdict
    assert (store_lost.allowed, store_lost.rule, store_lost.key) == (False, "strict", "client:192.0.2.1")
    assert (store_lost.retry_after_s, store_lost.never_fits) == (DEFER_RETRY_S, False)
    assert run(ask(limiter(store, local), "1")).verdict.usages[0].used == 1


@pytest.mark.parametrize("on_store_loss", ["local", "allow", "defer"])
def test_what_can_never_fit_is_refused_for_good_with_or_without_a_store(
    store: SharedStore, folder: Path, run: Run, on_store_loss: OnStoreLoss
) -> None:
    """The sender is told the same, so that mail does not wait for what cannot come."""
    two = limiter(store, hourly(2, on_store_loss))
    without = run(ask(two, "1", recipients=3))
    init_sqlite_store(folder)
    with_store = run(ask(two, "1", recipients=3))
    assert (without.by, with_store.by) == ("process", "store")
    for verdict in (without.verdict, with_store.verdict):
        assert (verdict.allowed, verdict.never_fits, verdict.rule) == (False, True, "per_client")


def test_a_process_that_loses_the_store_goes_on_from_what_it_let_through(
    store: SharedStore, folder: Path, run: Run
) -> None:
    """Three of 4/1h by the store, then it is lost: one more passes, and a known instance is not counted."""
    init_sqlite_store(folder)
    four = limiter(store, hourly(4))
    for instance in "123":
        assert run(ask(four, instance)).by == "store"
    (folder / "limits.db").rename(folder / "gone")
    again, last, over = run(ask(four, "3")), run(ask(four, "4")), run(ask(four, "5"))
    assert [(decision.by, decision.verdict.allowed) for decision in (again, last, over)] == [
        ("process", True),
        ("process", True),
        ("process", False),
    ]
    assert last.verdict.usages[0].used == 4


def test_an_instance_the_store_allowed_passes_a_rule_that_defers(store: SharedStore, folder: Path, run: Run) -> None:
    """Postfix asks again after a lost reply, the store is lost meanwhile: the first verdict holds."""
    init_sqlite_store(folder)
    strict = limiter(store, hourly(4, "defer"))
    first = run(ask(strict, "1"))
    (folder / "limits.db").rename(folder / "gone")
    again, other = run(ask(strict, "1")), run(ask(strict, "2"))
    assert again.by == "process"
    assert again.verdict == first.verdict
    assert not other.verdict.allowed


@pytest.mark.process
def test_a_held_file_costs_the_budget_once_and_no_count(store: SharedStore, folder: Path, run: Run) -> None:
    """Another process holds the write lock: the answer comes from this process when the budget ends.

    A second message does not wait again, and when the file is free the store has counted neither.
    """
    init_sqlite_store(folder)
    hasty = limiter(store, hourly(10), budget_s=0.2, retry_s=3600.0)

    async def held() -> tuple[Decision, Decision, float, float]:
        with process("lock_holder.py", str(folder / "limits.db")) as holder:
            started = time.monotonic()
            first = await ask(hasty, "1")
            between = time.monotonic()
            second = await ask(hasty, "2")
            ended = time.monotonic()
            tell(holder)
        return first, second, between - started, ended - between

    first, second, first_s, second_s = run(held())
    assert first.by == "process"
    assert (second.by, second.verdict.usages[0].used) == ("process", 2)
    assert second_s < 0.2 <= first_s
    assert run(ask(limiter(store, hourly(10)), "3")).verdict.usages[0].used == 1


def test_two_rules_of_one_name_are_an_error(store: SharedStore) -> None:
    """Their counters and refusals could not be told apart."""
    with pytest.raises(ValueError, match="two rules have the same name"):
        limiter(store, hourly(1), hourly(2))


def test_what_never_fits_is_known_without_counting(store: SharedStore) -> None:
    """Asked before mail is accepted: by which rule, and nothing of the store is touched."""
    two = limiter(store, hourly(2), LimitRule("burst", "client", 100, 60, burst=3, counts="recipients"))
    asked = [two.never_fitting(of_mail({"client": "shop"}, {}, count)) for count in (2, 3, 4)]
    assert [demand and demand.rule for demand in asked] == [None, "per_client", "per_client"]
    assert limiter(store, hourly(2)).counts_by("client", "login")
    assert not limiter(store, hourly(2)).counts_by("recipient")
