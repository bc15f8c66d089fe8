"""A circuit breaker for one store: asked within a budget, left alone for a while once it is lost.

Not every message waits for a store that is away; its loss is logged as store_loss.py says.

BUGS:    an operation that is committed in the very moment the budget ends is done, and raises.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from postroom.runtime.log import Log
from postroom.runtime.store_loss import StoreLoss
from postroom.store.errors import StoreUnavailable

T = TypeVar("T")

RETRY_S = 0.5


class CircuitBreaker:
    """The breaker of one process for one store.

    Args:
        store:   its word in the log.
        effect:  what it means for the mail that it is lost, for the log.
        retry_s: seconds between two tries at a lost store.
    """

    def __init__(self, store: str, effect: str, log: Log, retry_s: float = RETRY_S) -> None:
        self._loss = StoreLoss(store, effect, retry_s, log)
        self._retry_s = retry_s
        self._error: str | None = None  # why the store is left alone: it is while this is set
        self._next_try = 0.0

    async def ask(self, operation: Callable[[], Awaitable[T]], budget_s: float) -> T:
        """Run an operation of the store within `budget_s` seconds.

        Raises:
            StoreUnavailable: it gave no answer, or it was lost a moment ago.
        """
        loop = asyncio.get_running_loop()
        if self._error is not None and loop.time() < self._next_try:
            raise StoreUnavailable(self._error)
        self._next_try = loop.time() + self._retry_s  # of those that ask a lost store now, only this one waits
        try:
            async with asyncio.timeout(budget_s):
                answer = await operation()
        except TimeoutError:
            reason = f"timeout after {budget_s:g} s"
            self._lost(reason, loop.time())
            raise StoreUnavailable(reason) from None
        except StoreUnavailable as error:
            self._lost(str(error), loop.time())
            raise
        if self._error is not None:
            self._error = None
            self._loss.back()
        return answer

    def _lost(self, error: str, now: float) -> None:
        self._loss.lost(error)
        self._error = error
        self._next_try = now + self._retry_s
