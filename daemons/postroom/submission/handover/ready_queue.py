"""Deliveries that may go out now, on their way from the outbox to the sessions.

It is short: what waits in it is leased, and was counted by the limits already.
"""

import asyncio

from postroom.store.outbox.messages import ClaimedDelivery
from postroom.submission.handover_status import HandoverStatus

MOST_READY = 64


class ReadyQueue:
    """Hands each delivery to one session, in their order; none any more once the hand-over is draining."""

    def __init__(self, status: HandoverStatus) -> None:
        self._queue: asyncio.Queue[ClaimedDelivery] = asyncio.Queue(MOST_READY)
        self._draining = status.draining

    async def put(self, delivery: ClaimedDelivery) -> None:
        """Add a delivery; waits while the queue is full."""
        await self._queue.put(delivery)

    def next_now(self) -> ClaimedDelivery | None:
        """The next delivery; None when there is none at hand."""
        if self._draining.is_set() or self._queue.empty():
            return None
        return self._queue.get_nowait()

    async def next_within(self, timeout_s: float | None) -> ClaimedDelivery | None:
        """The next delivery; None when none came in time (None is for ever) or the hand-over is to end."""
        delivery = self.next_now()
        if delivery is not None or self._draining.is_set():
            return delivery
        get, drain = asyncio.create_task(self._queue.get()), asyncio.create_task(self._draining.wait())
        await asyncio.wait({get, drain}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        drain.cancel()
        if not get.done():
            get.cancel()
            return None
        return get.result()
