"""cached_query.py: asked once for all, never waited for longer than the budget."""

import asyncio

from tests.store.event_loop import Run

from postroom.monitor.cached_query import CachedQuery
from postroom.monitor.snapshot import Unanswered
from postroom.postfix.showq import ShowqError
from postroom.store.errors import StoreUnavailable


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Asked:
    """Counts how often it is asked; answers its count when `ready` is set, or fails; each answer takes `takes_s`."""

    def __init__(self, clock: Clock, fails: Exception | None = None, takes_s: float = 0.0) -> None:
        self.times = 0
        self.ready = asyncio.Event()
        self._clock = clock
        self._fails = fails
        self._takes_s = takes_s

    async def ask(self) -> int:
        self.times += 1
        number = self.times
        await self.ready.wait()
        self._clock.now += self._takes_s
        if self._fails is not None:
            raise self._fails
        return number


def test_all_who_want_to_know_get_one_answer(run: Run) -> None:
    """It is good for a while, then the query is made again."""

    async def scene() -> None:
        clock = Clock()
        asked = Asked(clock)
        asked.ready.set()
        query = CachedQuery(asked.ask, 60, 2, clock)
        assert await asyncio.gather(*(query.answer() for _ in range(5))) == [1] * 5
        clock.now += 1.9
        assert await query.answer() == 1
        clock.now += 0.2
        assert await query.answer() == 2

    run(scene())


def test_a_stuck_query_is_made_once_and_holds_nobody(run: Run) -> None:
    """However often one wants to know, there is one, and its answer counts when it comes after all."""

    async def scene() -> None:
        clock = Clock()
        asked = Asked(clock)
        query = CachedQuery(asked.ask, 0.02, 2, clock)
        for _ in range(5):
            assert await query.answer() == Unanswered("no answer within 0.02 s")
            clock.now += 1
        assert asked.times == 1
        asked.ready.set()
        await asyncio.sleep(0)
        assert await query.answer() == 1
        assert asked.times == 1

    run(scene())


def test_what_fails_is_told_in_its_own_words(run: Run) -> None:
    """And is a query like any other the next time."""

    async def scene(error: Exception) -> None:
        clock = Clock()
        asked = Asked(clock, error)
        asked.ready.set()
        query = CachedQuery(asked.ask, 60, 2, clock)
        assert await query.answer() == Unanswered("it is gone")
        clock.now += 2
        assert await query.answer() == Unanswered("it is gone")
        assert asked.times == 2

    run(scene(StoreUnavailable("it is gone")))
    run(scene(ShowqError("it is gone")))


def test_what_is_slow_rests(run: Run) -> None:
    """What took 3 s is asked again after 30, not after the 2 of what is quick."""

    async def scene() -> None:
        clock = Clock()
        asked = Asked(clock, takes_s=3)
        asked.ready.set()
        query = CachedQuery(asked.ask, 60, 2, clock)
        assert await query.answer() == 1
        clock.now += 26
        assert await query.answer() == 1
        clock.now += 2
        assert await query.answer() == 2

    run(scene())
