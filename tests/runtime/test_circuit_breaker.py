"""The circuit breaker of one store: its budget, its pause, and what the log says."""

import asyncio

import pytest

from postroom.runtime.circuit_breaker import CircuitBreaker
from postroom.runtime.log import Field, Level, Log
from postroom.store.errors import StoreUnavailable

Events = list[tuple[Level, str, dict[str, Field]]]


def breaker(retry_s: float) -> tuple[CircuitBreaker, Events]:
    events: Events = []
    log = Log("debug", lambda level, event, fields: events.append((level, event, fields)))
    return CircuitBreaker("limits", "in-process limiter", log, retry_s), events


async def answer() -> str:
    return "here"


async def away() -> str:
    raise StoreUnavailable("limits.db: cannot be opened")


async def never() -> str:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreachable")


def test_a_lost_store_is_logged_once_and_its_return_once() -> None:
    """However many ask meanwhile: one line with reason and effect, one line when it is back."""

    async def lose_and_find() -> Events:
        to_store, events = breaker(retry_s=0.0)
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="cannot be opened"):
                await to_store.ask(away, 1.0)
        assert [await to_store.ask(answer, 1.0) for _ in range(3)] == ["here"] * 3
        return events

    assert asyncio.run(lose_and_find()) == [
        (
            "warning",
            "store.unavailable",
            {
                "store": "limits",
                "error": "limits.db: cannot be opened",
                "effect": "in-process limiter",
                "next": "0 s",
            },
        ),
        ("info", "store.available", {"store": "limits"}),
    ]


def test_a_store_without_an_answer_costs_its_budget_and_is_then_left_alone() -> None:
    """The first waits, the next do not: not even the operation is begun."""

    async def wait_once() -> None:
        to_store, _ = breaker(retry_s=3600.0)
        with pytest.raises(StoreUnavailable, match=r"timeout after 0\.05 s"):
            await to_store.ask(never, 0.05)
        with pytest.raises(StoreUnavailable, match=r"timeout after 0\.05 s"):
            await to_store.ask(answer, 1.0)

    asyncio.run(wait_once())


def test_of_those_that_ask_a_lost_store_only_one_waits() -> None:
    """When the pause is over a hundred messages ask at once: one tries, the others go on without."""

    async def rush() -> list[bool]:
        to_store, _ = breaker(retry_s=0.05)
        with pytest.raises(StoreUnavailable):
            await to_store.ask(away, 1.0)
        await asyncio.sleep(0.06)
        began = []

        async def slow() -> str:
            began.append(True)
            return await never()

        await asyncio.gather(*(to_store.ask(slow, 0.02) for _ in range(100)), return_exceptions=True)
        return began

    assert asyncio.run(rush()) == [True]
