"""Deliveries in doubt: their body was sent, their answer is unknown.

    Postfix's queue shows the attempt      ─► queued
    the watcher proves it queued           ─► queued
    the watcher proves it not queued       ─► sent again, as a new attempt
    neither, for `handover.witness_wait`   ─► what `handover.in_doubt` says, with a line in the log

The queue is asked at growing intervals, the watcher often while it may come to know: it is asked to by a file
(store/witness_request.py). On a host without a watcher nothing is ever proved absent.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Literal

from postroom.postfix.showq import ShowqError, queue_ids
from postroom.runtime.background import set_within
from postroom.runtime.log import Log
from postroom.runtime.log_once import LogOnceEach
from postroom.runtime.metrics import Metrics
from postroom.store.errors import StoreUnavailable
from postroom.store.outbox.handover import OutboxHandover
from postroom.store.outbox.messages import DeliveryInDoubt
from postroom.store.track.reader import TrackReader
from postroom.store.track.witness import Absent, Queued, Unproven
from postroom.store.witness_request import request_witness
from postroom.submission.handover.backoff import wait_s
from postroom.submission.handover_status import HandoverStatus

LOOK_FIRST_S, LOOK_MOST_S = 0.5, 60.0
WITNESS_S = 1.0
"""How often the watcher's word is looked for while it may come."""
BATCH = 1000


class WatcherWitness:
    """The watcher's word on an attempt, as far as this host has one.

    Args:
        request: the file by which it is asked to find out (store/witness_request.py).
    """

    def __init__(self, track: TrackReader, request: Path) -> None:
        self._track = track
        self._request = request

    async def ask(self, doubt: DeliveryInDoubt) -> Queued | Absent | Unproven:
        """What became of the attempt in doubt."""
        try:
            return await self._track.witness(doubt.sender, doubt.started_at, doubt.ended_at)
        except StoreUnavailable:
            return Unproven("this host has no watcher, or its file cannot be read", is_final=True)

    def request(self, now: float) -> None:
        """Ask it to find out.

        Raises:
            StoreUnavailable: the request cannot be left.
        """
        request_witness(self._request, now)


class Doubts:
    """Settles what can be proved.

    Args:
        showq:          the socket of showq(8).
        timeout_s:      how long it may take to answer.
        witness_wait_s: how long a proof is waited for, in seconds.
        rule:           what then.
    """

    def __init__(
        self,
        store: OutboxHandover,
        witness: WatcherWitness,
        status: HandoverStatus,
        *,
        showq: Path,
        timeout_s: float,
        witness_wait_s: float,
        rule: Literal["wait", "resend"],
        log: Log,
        metrics: Metrics,
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        self._store = store
        self._showq = showq
        self._timeout_s = timeout_s
        self._witness = witness
        self._witness_wait_s = witness_wait_s
        self._rule = rule
        self._status = status
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._random = random
        self._awaits_watcher = False
        """Whether the watcher may still come to know about one."""
        self._unproven = LogOnceEach()
        """Deliveries that stay in doubt by the rule, for which that was logged."""

    async def look_forever(self) -> None:
        """Look while there are any, wait for the next one while there are none."""
        loop, looks = asyncio.get_running_loop(), 0
        while True:
            self._status.doubtful.clear()
            left = await self._look(with_queue=True)
            if left == 0:
                looks = 0
                await self._status.doubtful.wait()
                continue
            looks += 1
            next_look = loop.time() + wait_s(looks, LOOK_FIRST_S, LOOK_MOST_S, self._random)
            while (pause_s := next_look - loop.time()) > 0:
                if self._awaits_watcher:
                    pause_s = min(pause_s, WITNESS_S)
                if await set_within(self._status.doubtful, pause_s):
                    looks = 0
                    break
                if self._awaits_watcher and await self._look(with_queue=False) == 0:
                    break

    async def _look(self, *, with_queue: bool) -> int:
        """Look once; returns how many stay in doubt."""
        after, left = 0, 0
        self._awaits_watcher = False
        try:
            while doubts := await self._store.in_doubt(after, BATCH):
                after = doubts[-1].delivery
                found = await self._in_queue(doubts) if with_queue else {}
                for doubt in doubts:
                    shown = [found[sender] for sender in doubt.envelope_senders if sender in found]
                    if shown:
                        await self._queued(doubt, shown[0], "queue")
                    elif not await self._settled(doubt):
                        left += 1
            if self._awaits_watcher:
                self._witness.request(self._clock())
        except StoreUnavailable as error:
            self._log.debug("handover.look_failed", error=str(error))
            return left + 1
        return left

    async def _in_queue(self, doubts: Sequence[DeliveryInDoubt]) -> dict[str, str]:
        wanted = {sender for doubt in doubts for sender in doubt.envelope_senders}
        try:
            return await queue_ids(self._showq, wanted.__contains__, self._timeout_s)
        except ShowqError as error:
            self._log.debug("handover.look_failed", error=str(error))
            return {}

    async def _settled(self, doubt: DeliveryInDoubt) -> bool:
        """Settle what the watcher can prove, or what the rule says; returns whether it is in doubt no more."""
        match await self._witness.ask(doubt):
            case Queued(queue_id):
                await self._queued(doubt, queue_id, "log")
                return True
            case Absent():
                await self._send_again(doubt, "the first try was shown not to have been queued")
                self._log.info("handover.absent", id=doubt.message, next="send it again")
                return True
            case Unproven(reason, is_final):
                return await self._by_rule(doubt, reason, is_final=is_final)

    async def _by_rule(self, doubt: DeliveryInDoubt, reason: str, *, is_final: bool) -> bool:
        if self._clock() - doubt.ended_at < self._witness_wait_s:
            self._awaits_watcher = self._awaits_watcher or not is_final
            return False
        if self._rule == "resend":
            await self._send_again(
                doubt, "it is not known whether the first try was queued; handover.in_doubt is resend"
            )
            self._log.warning("handover.unproven", id=doubt.message, reason=reason, rule="resend")
            return True
        if self._unproven.is_new(doubt.delivery):
            self._log.warning("handover.unproven", id=doubt.message, reason=reason, rule="wait")
        return False

    async def _queued(self, doubt: DeliveryInDoubt, queue_id: str, shown_by: str) -> None:
        await self._store.mark_queued(doubt.delivery, queue_id, self._clock())
        self._metrics.count("postroom_submission_queued_total")
        self._log.info("handover.queued", queue_id=queue_id, id=doubt.message, shown_by=shown_by)

    async def _send_again(self, doubt: DeliveryInDoubt, reason: str) -> None:
        await self._store.resend(doubt.delivery, reason, self._clock())
        self._metrics.count("postroom_submission_resent_total")
        self._status.due.set()
