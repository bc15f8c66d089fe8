"""The outbox at work: due deliveries go over a few pooled sessions to Postfix.

    feed ── claim ──► gate ──► ready ──► carriers (one a session) ──► outcomes: queued | retry | fail | doubt
    doubts: asks Postfix's queue, and the watcher, for what is in doubt

What is stored before what: `handing` before the body goes out, the answer
after it came. So whatever dies in between, a delivery is sent again only when
it is known that the first try was not queued.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from postroom.runtime.fault_points import FaultPoints
from postroom.runtime.log import Log
from postroom.runtime.metrics import Metrics
from postroom.store.errors import StoreUnavailable
from postroom.store.outbox.handover import OutboxHandover
from postroom.store.outbox.messages import ClaimedDelivery
from postroom.submission.gate import Gate
from postroom.submission.handover.backoff import wait_s
from postroom.submission.handover.carrier import Carrier
from postroom.submission.handover.doubts import Doubts, WatcherWitness
from postroom.submission.handover.outcomes import Outcomes
from postroom.submission.handover.session import PostfixAway, SmtpSession
from postroom.submission.waiting import wait

CLAIM = 64
"""Deliveries leased at once."""
IDLE_SESSION_S = 5.0
"""How long a session without work stays open: Postfix has other clients for its processes."""
AWAY_FIRST_S = 0.5
DRAIN_S = 20.0
"""How long deliveries under way may take to end after SIGTERM; what is cut then is in doubt at the next start."""


@dataclass(frozen=True, slots=True)
class HandoverSettings:
    """How deliveries are handed over; times in seconds."""

    socket: Path
    showq: Path
    hostname: str
    sessions: int
    reply_timeout_s: float
    retry_first_s: float
    retry_max_s: float
    give_up_after_s: float
    away_retry_max_s: float
    witness_wait_s: float
    in_doubt: Literal["wait", "resend"]


@dataclass(frozen=True, slots=True)
class PostfixOutage:
    """Postfix cannot be reached: why, and when it is tried again (Unix seconds)."""

    reason: str
    next_try: float
    failures: int


class Outbox:
    """Hands over what waits in the mail store.

    Args:
        gate:    says what may be handed over now.
        key:     signs the attempt tokens.
        witness: what the watcher knows of attempts in doubt.
        clock:   Unix seconds.
        random:  spreads the retries.
    """

    def __init__(
        self,
        store: OutboxHandover,
        gate: Gate,
        settings: HandoverSettings,
        key: bytes,
        witness: WatcherWitness,
        *,
        log: Log,
        metrics: Metrics,
        faults: FaultPoints,
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        self._store = store
        self._gate = gate
        self._settings = settings
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._random = random
        self._ready: asyncio.Queue[ClaimedDelivery] = asyncio.Queue(CLAIM)
        self._due = asyncio.Event()
        self._doubtful = asyncio.Event()
        self._stopping = asyncio.Event()
        self._outcomes = Outcomes(
            store,
            retry_first_s=settings.retry_first_s,
            retry_max_s=settings.retry_max_s,
            give_up_after_s=settings.give_up_after_s,
            log=log,
            metrics=metrics,
            clock=clock,
            random=random,
            doubtful=self._doubtful,
            stopping=self._stopping,
        )
        self._carrier = Carrier(
            store, self._outcomes, key, settings.reply_timeout_s, self._next_ready, faults=faults, clock=clock
        )
        self._doubts = Doubts(
            store,
            settings.showq,
            settings.reply_timeout_s,
            witness,
            settings.witness_wait_s,
            settings.in_doubt,
            self._doubtful,
            self.wake,
            log=log,
            metrics=metrics,
            clock=clock,
            random=random,
        )
        self.away: PostfixOutage | None = None

    def wake(self) -> None:
        """Something new may be due."""
        self._due.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Hand over until `stopping` is set; then finish what is under way.

        Raises:
            StoreUnavailable: the outbox could not be read at the start.
        """
        in_doubt = await self._store.recover(self._clock())
        if in_doubt:
            self._log.warning("handover.in_doubt", deliveries=in_doubt, next="ask Postfix's queue and the watcher")
        carriers = [asyncio.create_task(self._keep_carrying()) for _ in range(self._settings.sessions)]
        tasks = [asyncio.create_task(self._feed()), asyncio.create_task(self._doubts.look_forever()), *carriers]
        ended = asyncio.create_task(stopping.wait())
        # A task that ends before `stopping` has failed: it raises below, the daemon exits, systemd starts it anew.
        done, _ = await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
        self._stopping.set()
        await asyncio.wait(carriers, timeout=DRAIN_S)
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
            for delivery, held in await self._gate.hand_over(claimed) if claimed else ():
                if held is None:
                    await self._ready.put(delivery)
                else:
                    await self._outcomes.held(delivery, held)
            if not claimed:
                # Time may be set: look at least once a minute.
                await wait(self._due, 60.0 if next_due is None else min(60.0, max(0.0, next_due - self._clock())))

    async def _keep_carrying(self) -> None:
        """Keep one session busy."""
        session: SmtpSession | None = None
        again: ClaimedDelivery | None = None
        while not self._stopping.is_set():
            claimed = again or await self._next(None if session is None else IDLE_SESSION_S)
            again = None
            if session is not None and (claimed is None or session.is_spent):
                await session.quit()
                session = None
            if claimed is None:
                continue
            session = session or await self._open()
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

    def _next_ready(self) -> ClaimedDelivery | None:
        if self._stopping.is_set() or self._ready.empty():
            return None
        return self._ready.get_nowait()

    async def _next(self, timeout_s: float | None) -> ClaimedDelivery | None:
        """The next delivery; None when none came in time or it is time to stop."""
        claimed = self._next_ready()
        if claimed is not None or self._stopping.is_set():
            return claimed
        get, stop = asyncio.create_task(self._ready.get()), asyncio.create_task(self._stopping.wait())
        await asyncio.wait({get, stop}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not get.done():
            get.cancel()
            return None
        return get.result()

    async def _open(self) -> SmtpSession | None:
        """A fresh session, however long it takes; None when it is time to stop."""
        settings = self._settings
        while not self._stopping.is_set():
            if self.away is not None:
                # Tried after this wait, whatever the clock says then: it may be set back.
                pause_s = min(settings.away_retry_max_s, self.away.next_try - self._clock())
                if await wait(self._stopping, max(0.0, pause_s)):
                    return None
            try:
                session = await SmtpSession.open(
                    settings.socket, settings.hostname, settings.reply_timeout_s, self._clock()
                )
            except PostfixAway as error:
                self._postfix_away(str(error))
                continue
            if self.away is not None:
                self._log.info("handover.available", failures=self.away.failures)
                self.away = None
                self._doubtful.set()
            return session
        return None

    def _postfix_away(self, reason: str) -> None:
        failures = 1 if self.away is None else self.away.failures + 1
        if self.away is None or self.away.reason != reason:
            self._log.error("handover.unavailable", error=reason, effect="accepted mail waits")
        self._metrics.count("postroom_submission_handover_unavailable_total")
        pause_s = wait_s(failures, AWAY_FIRST_S, self._settings.away_retry_max_s, self._random)
        self.away = PostfixOutage(reason, self._clock() + pause_s, failures)
