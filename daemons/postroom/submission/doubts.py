"""Deliveries in doubt: their body was sent, their answer is unknown.

Postfix's queue is asked for the envelope senders of their attempts, at growing
intervals. One that is found is queued. One that is not found stays in doubt:
it may be delivered already, so absence proves nothing.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

from postroom.postfix.showq import ShowqError, queue_ids
from postroom.runtime.log import Log
from postroom.runtime.metrics import Metrics
from postroom.store.errors import StoreUnavailable
from postroom.store.local.mail import MailStore
from postroom.submission.backoff import wait_s
from postroom.submission.waiting import wait

LOOK_FIRST_S, LOOK_MOST_S = 0.5, 60.0
BATCH = 1000


class Doubts:
    """Settles what Postfix's queue can prove.

    Args:
        showq:     the socket of showq(8).
        timeout_s: how long it may take to answer.
        doubtful:  set by others when a delivery came to be in doubt, or Postfix came back.
    """

    def __init__(
        self,
        store: MailStore,
        showq: Path,
        timeout_s: float,
        doubtful: asyncio.Event,
        *,
        log: Log,
        metrics: Metrics,
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        self._store = store
        self._showq = showq
        self._timeout_s = timeout_s
        self._doubtful = doubtful
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._random = random

    async def look_forever(self) -> None:
        """Look while there are any, wait for the next one while there are none."""
        looks = 0
        while True:
            self._doubtful.clear()
            if await self._look():
                looks += 1
                if await wait(self._doubtful, wait_s(looks, LOOK_FIRST_S, LOOK_MOST_S, self._random)):
                    looks = 0
            else:
                looks = 0
                await self._doubtful.wait()

    async def _look(self) -> bool:
        """Look once; returns whether any delivery stays in doubt."""
        after, remain = 0, False
        try:
            while doubts := await self._store.doubts(after, BATCH):
                after = doubts[-1].delivery
                wanted = {sender for doubt in doubts for sender in doubt.envelope_senders}
                found = await queue_ids(self._showq, wanted, self._timeout_s)
                for doubt in doubts:
                    shown = [found[sender] for sender in doubt.envelope_senders if sender in found]
                    if shown:
                        await self._store.queued(doubt.delivery, shown[0], self._clock())
                        self._metrics.count("postroom_submission_queued_total")
                        self._log.info("handover.queued", queue_id=shown[0], id=doubt.message, shown_by="queue")
                    else:
                        remain = True
        except (StoreUnavailable, ShowqError) as error:
            self._log.debug("handover.look_failed", error=str(error))
            return True
        return remain
