"""The outbox at work: due deliveries go over a few pooled sessions to Postfix.

    feed ── claim ──► gate ──► ready queue ──► sessions, the carrier on each ──► outcomes: queued, deferred, …
    doubts: asks Postfix's queue, and the watcher, for what is in doubt

What is stored before what: `handing` before the body goes out, the answer after it came. So whatever dies in between,
a delivery is sent again only when it is known that the first try was not queued.
"""

import asyncio
from collections.abc import Callable

from postroom.runtime.background import set_within
from postroom.runtime.log import Log
from postroom.store.errors import StoreUnavailable
from postroom.store.outbox.handover import OutboxHandover
from postroom.store.outbox.messages import ClaimedDelivery
from postroom.submission.handover.carrier import Carrier
from postroom.submission.handover.connector import Connector
from postroom.submission.handover.doubts import Doubts
from postroom.submission.handover.gate import HandoverGate
from postroom.submission.handover.outcomes import Outcomes
from postroom.submission.handover.session import SmtpSession
from postroom.submission.handover_status import HandoverStatus

CLAIM = 64
"""Deliveries leased at once."""
IDLE_SESSION_S = 5.0
"""How long a session without work stays open: Postfix has other clients for its processes."""
DRAIN_S = 20.0
"""How long deliveries under way may take to end after SIGTERM; what is cut then is in doubt at the next start."""


class ReadyQueue:
    """Deliveries that may go out now, each for one session, in their order; none once the hand-over is draining.

    It is short: what waits in it is leased, and was counted by the limits already.
    """

    def __init__(self, status: HandoverStatus) -> None:
        self._queue: asyncio.Queue[ClaimedDelivery] = asyncio.Queue(CLAIM)
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


class Outbox:
    """Runs the hand-over.

    Args:
        sessions: how many with Postfix at most.
        clock:    Unix seconds.
    """

    def __init__(
        self,
        store: OutboxHandover,
        gate: HandoverGate,
        ready: ReadyQueue,
        connector: Connector,
        carrier: Carrier,
        outcomes: Outcomes,
        doubts: Doubts,
        status: HandoverStatus,
        *,
        sessions: int,
        log: Log,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._gate = gate
        self._ready = ready
        self._connector = connector
        self._carrier = carrier
        self._outcomes = outcomes
        self._doubts = doubts
        self._sessions = sessions
        self._due = status.due
        self._draining = status.draining
        self._log = log
        self._clock = clock

    async def run(self, stopping: asyncio.Event) -> None:
        """Hand over until `stopping` is set; then finish what is under way.

        Raises:
            StoreUnavailable: the outbox could not be read at the start.
        """
        in_doubt = await self._store.recover(self._clock())
        if in_doubt:
            self._log.warning("handover.in_doubt", deliveries=in_doubt, next="ask Postfix's queue and the watcher")
        sessions = [asyncio.create_task(self._keep_session()) for _ in range(self._sessions)]
        tasks = [asyncio.create_task(self._feed()), asyncio.create_task(self._doubts.look_forever()), *sessions]
        ended = asyncio.create_task(stopping.wait())
        # A task that ends before `stopping` has failed: it raises below, the daemon exits, systemd restarts it.
        done, _ = await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
        self._draining.set()
        await asyncio.wait(sessions, timeout=DRAIN_S)
        for task in (ended, *tasks):
            task.cancel()
        await asyncio.gather(ended, *tasks, return_exceptions=True)
        await self._outcomes.settled()
        for task in done - {ended}:
            task.result()

    async def _feed(self) -> None:
        while True:
            self._due.clear()
            try:
                claimed = await self._store.claim(CLAIM, self._clock())
                next_due = None if claimed else await self._store.next_due()
            except StoreUnavailable as error:
                await self._outcomes.store_away(error)
                continue
            for delivery, hold in await self._gate.decide(claimed) if claimed else ():
                if hold is None:
                    await self._ready.put(delivery)
                else:
                    await self._outcomes.held(delivery, hold)
            if not claimed:
                # Time may be set: look at least once a minute.
                pause_s = 60.0 if next_due is None else min(60.0, max(0.0, next_due - self._clock()))
                await set_within(self._due, pause_s)

    async def _keep_session(self) -> None:
        """Carry what is ready over one session after the other, until the drain."""
        session: SmtpSession | None = None
        again: ClaimedDelivery | None = None
        while not self._draining.is_set():
            claimed = again or await self._ready.next_within(None if session is None else IDLE_SESSION_S)
            again = None
            if session is not None and (claimed is None or session.is_spent):
                await session.quit()
                session = None
            if claimed is None:
                continue
            session = session or await self._connector.open()
            if session is None:
                await self._outcomes.give_back(claimed)
                continue
            ended = await self._carrier.carry(session, claimed)
            if not ended.is_usable:
                session.abort()
                session = None
                again = ended.again
                self._due.set()
        if again is not None:
            await self._outcomes.give_back(again)
        if session is not None:
            await session.quit()
