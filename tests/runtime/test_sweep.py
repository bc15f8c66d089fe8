"""The sweep of a daemon: when the next step comes, and what a lost store does to it."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import pytest

from postroom.runtime import sweep as sweeping
from postroom.runtime.log import Field, Level, Log
from postroom.runtime.sweep import old_rows_stay, sweep_forever
from postroom.store.errors import StoreUnavailable


def test_a_full_step_is_soon_followed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until one finds less than its budget; then the pause is the long one."""
    monkeypatch.setattr(sweeping, "PAUSE_AFTER_FULL_STEP_S", 0.0)
    steps, removed = iter([10, 10, 3]), list[int]()

    async def sweep() -> int:
        removed.append(next(steps))
        return removed[-1]

    async def run() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await sweep_forever(sweep, budget=10)

    asyncio.run(run())
    assert removed == [10, 10, 3]


def test_a_lost_store_is_logged_each_time_and_the_sweep_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what that means and when the next try is; without `lost` in silence."""
    events: list[tuple[Level, str, dict[str, Field]]] = []
    log = Log("debug", lambda level, event, fields: events.append((level, event, fields)))
    lost = old_rows_stay("track", log)
    monkeypatch.setattr(sweeping, "SWEEP_S", 0.0)
    calls = list[int]()

    async def sweep() -> int:
        calls.append(1)
        if len(calls) == 3:
            await asyncio.Event().wait()
        raise StoreUnavailable("track.db: disk I/O error")

    async def until_the_third(sweeping_forever: Coroutine[Any, Any, None]) -> None:
        calls.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await sweeping_forever
        assert len(calls) == 3

    asyncio.run(until_the_third(sweep_forever(sweep, lost=lost)))
    asyncio.run(until_the_third(sweep_forever(sweep)))
    assert [(level, event) for level, event, _ in events] == [("warning", "store.unavailable")] * 2
    assert events[0][2] == {
        "store": "track",
        "error": "track.db: disk I/O error",
        "effect": "old rows stay",
        "next": "0 s",
    }
