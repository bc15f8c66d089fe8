"""What became of each hand-over, stored, counted and logged.

An outcome that is known is stored however long the store takes to be writable
again (a full disk): until then the delivery stays leased, so at worst it is
in doubt after a restart, never sent twice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from postroom.mail.recipients import masked_reply
from postroom.mail.states import State
from postroom.mail.status import Reply
from postroom.runtime.background import set_within
from postroom.runtime.log import Field, Log
from postroom.runtime.log_once import LogOnce
from postroom.runtime.metrics import Metrics
from postroom.store.errors import StoreUnavailable
from postroom.store.outbox.handover import OutboxHandover
from postroom.store.outbox.messages import ClaimedDelivery
from postroom.submission.handover import smtp
from postroom.submission.handover.backoff import wait_s
from postroom.submission.handover.gate import Hold
from postroom.submission.handover_status import HandoverStatus

STORE_PAUSE_S = 2.0
"""How long a store that cannot be written is left alone."""


class Outcomes:
    """Stores outcomes.

    Args:
        retry_first_s, retry_max_s: the waits between tries, in seconds.
        give_up_after_s: the age at which a refused delivery fails, in seconds.
    """

    def __init__(
        self,
        store: OutboxHandover,
        status: HandoverStatus,
        *,
        retry_first_s: float,
        retry_max_s: float,
        give_up_after_s: float,
        log: Log,
        metrics: Metrics,
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        self._store = store
        self._retry_first_s = retry_first_s
        self._retry_max_s = retry_max_s
        self._give_up_after_s = give_up_after_s
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._random = random
        self._doubtful = status.doubtful
        self._draining = status.draining
        self._recording: set[asyncio.Task[None]] = set()
        self._store_loss = LogOnce()

    def queued(self, claimed: ClaimedDelivery, answer: Reply) -> None:
        """Postfix took it. Stored without holding up the session; `settled` waits for it."""
        queue_id, now = smtp.queue_id(answer), self._clock()
        self._metrics.count("postroom_submission_queued_total")
        self._log.info("handover.queued", queue_id=queue_id, id=claimed.message, attempt=claimed.attempts + 1)
        task = asyncio.ensure_future(self._record(lambda: self._store.mark_queued(claimed.delivery, queue_id, now)))
        self._recording.add(task)
        task.add_done_callback(self._recording.discard)

    async def refused(self, claimed: ClaimedDelivery, refusal: smtp.PeerRefusal) -> None:
        """Postfix said no: the delivery is tried again later, or fails."""
        reply = refusal.reply
        # For whoever asks about the message; what a server says of a recipient is not logged, not even masked.
        reason = masked_reply(str(reply), claimed.recipient)
        fields: dict[str, Field] = {"code": reply.code, "enhanced_status": reply.enhanced_status}
        if refusal.verdict is smtp.Disposition.FAIL:
            await self._failed(claimed, reply.enhanced_status, reason, fields)
        else:
            await self._deferred(claimed, reply.enhanced_status, reason, fields)

    async def held(self, claimed: ClaimedDelivery, hold: Hold) -> None:
        """Not offered to Postfix: suppressed, or over a limit."""
        now, state = self._clock(), hold.state
        is_too_old = now - claimed.accepted_at > self._give_up_after_s
        if state is State.DEFERRED and not is_too_old:
            await self._record(
                lambda: self._store.hold(claimed.delivery, hold.due_at, hold.enhanced_status, hold.reason, now)
            )
        else:
            reason = hold.reason
            if state is State.DEFERRED:
                state, reason = State.FAILED, f"waited too long; the last reason was: {reason}"
            await self._record(lambda: self._store.end(claimed.delivery, state, hold.enhanced_status, reason, now))
        self._metrics.count(f"postroom_submission_held_{state}_total")
        self._log.info("handover.held", id=claimed.message, state=state, rule=hold.rule)

    async def lost(self, claimed: ClaimedDelivery, reason: str) -> None:
        """The session broke off before the final dot: nothing was queued, the delivery is tried again later."""
        await self._deferred(claimed, None, f"the session was lost: {reason}", {"error": reason})

    async def in_doubt(self, claimed: ClaimedDelivery, reason: str) -> None:
        """The body went out, the answer did not come."""
        now = self._clock()
        self._metrics.count("postroom_submission_in_doubt_total")
        self._log.warning(
            "handover.in_doubt", id=claimed.message, reason=reason, next="ask Postfix's queue and the watcher"
        )
        text = f"the answer to the body never came: {reason}"
        await self._record(lambda: self._store.mark_in_doubt(claimed.delivery, text, now))
        self._doubtful.set()

    async def give_back(self, claimed: ClaimedDelivery) -> None:
        """Nothing of the body was sent: the delivery waits again as if it had not been tried."""
        await self._record(lambda: self._store.release(claimed.delivery))

    async def settled(self) -> None:
        """Wait until every outcome so far is stored, or given up because it is time to stop."""
        await asyncio.gather(*self._recording, return_exceptions=True)

    async def store_away(self, error: StoreUnavailable) -> None:
        """The store failed; logged once until it works again. Returns after the pause it is to be left alone."""
        if self._store_loss.is_new():
            self._log.error("store.unavailable", store="mail", error=str(error), effect="accepted mail waits")
        await set_within(self._draining, STORE_PAUSE_S)

    async def _failed(
        self, claimed: ClaimedDelivery, enhanced_status: str | None, reason: str, fields: dict[str, Field]
    ) -> None:
        now = self._clock()
        await self._record(lambda: self._store.fail(claimed.delivery, enhanced_status, reason, now))
        self._metrics.count("postroom_submission_failed_total")
        self._log.warning("handover.failed", id=claimed.message, attempt=claimed.attempts + 1, **fields)

    async def _deferred(
        self, claimed: ClaimedDelivery, enhanced_status: str | None, reason: str, fields: dict[str, Field]
    ) -> None:
        now, attempt = self._clock(), claimed.attempts + 1
        if now - claimed.accepted_at > self._give_up_after_s:
            await self._failed(claimed, enhanced_status, f"waited too long; the last answer was: {reason}", fields)
            return
        pause_s = wait_s(attempt, self._retry_first_s, self._retry_max_s, self._random)
        await self._record(lambda: self._store.retry(claimed.delivery, now + pause_s, enhanced_status, reason, now))
        self._metrics.count("postroom_submission_deferred_total")
        self._log.warning("handover.deferred", id=claimed.message, attempt=attempt, **fields, retry_in_s=round(pause_s))

    async def _record(self, operation: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await operation()
            except StoreUnavailable as error:
                was_last = self._draining.is_set()
                await self.store_away(error)
                if was_last:
                    return
            else:
                self._store_loss.clear()
                return
