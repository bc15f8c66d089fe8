"""A query of something that may be slow, stuck or gone: made once for all who ask.

An answer is good for a while, the longer the more it took, so that what is slow is busy with us a tenth of the time.
Nobody waits longer than the budget; a query that got no answer in that time goes on by itself, and no second one is
begun beside it, so what is stuck costs one task however often it is asked.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from postroom.monitor.snapshot import Unanswered
from postroom.postfix.showq import ShowqError
from postroom.store.errors import StoreUnavailable

T = TypeVar("T")

BUSY_SHARE = 0.1


class CachedQuery(Generic[T]):
    """One query, whose answer is shared by all who ask for it.

    Args:
        query:    makes it; it may raise StoreUnavailable and ShowqError.
        budget_s: seconds one may wait for an answer.
        fresh_s:  seconds an answer, or the lack of one, is good for.
        clock:    seconds that never go back.
    """

    def __init__(
        self, query: Callable[[], Awaitable[T]], budget_s: float, fresh_s: float, clock: Callable[[], float]
    ) -> None:
        self._query = query
        self._budget_s = budget_s
        self._fresh_s = fresh_s
        self._clock = clock
        self._task: asyncio.Task[T | Unanswered] | None = None
        self._begun_at = 0.0
        self._took_s = 0.0

    async def answer(self) -> T | Unanswered:
        """The answer, at most `fresh_s` old, or the trouble there is."""
        now = self._clock()
        fresh_s = max(self._fresh_s, self._took_s / BUSY_SHARE)
        if self._task is None or (self._task.done() and now - self._begun_at >= fresh_s):
            self._begun_at = now
            self._task = asyncio.create_task(self._run())
        task, left_s = self._task, self._budget_s - (now - self._begun_at)
        await asyncio.wait({task}, timeout=max(0.0, left_s))
        return task.result() if task.done() else Unanswered(f"no answer within {self._budget_s:g} s")

    def close(self) -> None:
        """Cancel the query that is under way."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> T | Unanswered:
        begun_at = self._clock()
        try:
            return await self._query()
        except (StoreUnavailable, ShowqError) as error:
            return Unanswered(str(error))
        finally:
            self._took_s = self._clock() - begun_at
