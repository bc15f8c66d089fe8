"""What runs beside the work of this daemon: the figures it beats with, the sweep, and a look after the outbox.

Diagnostics: store.replaced, store.wal_held, store.available.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from postroom.mail.states import OUTBOX
from postroom.runtime.log import Log
from postroom.runtime.log_once import LogOnce
from postroom.runtime.metrics import BEAT_S, Metrics
from postroom.runtime.store_loss import StoreLoss
from postroom.store.errors import StoreReplaced, StoreUnavailable
from postroom.store.outbox.mail_store import MailStore
from postroom.store.outbox.queries import OutboxQueries
from postroom.submission.handover_status import HandoverStatus

SWEEP_BUDGET = 1000
"""Old messages and idempotency keys are deleted in steps of so many, so that nobody waits for it."""


def samples(
    outbox: OutboxQueries, status: HandoverStatus, metrics: Metrics
) -> Callable[[], Awaitable[Mapping[str, float]]]:
    """What this daemon beats with."""

    async def read() -> Mapping[str, float]:
        try:
            figures = await outbox.figures()
        except StoreUnavailable:
            # The outbox is not the store that beats go to: whoever looks after it says so.
            return metrics.samples()
        deliveries = {
            f"postroom_submission_deliveries_{state}": float(figures.deliveries.get(state, 0)) for state in OUTBOX
        }
        oldest, now = figures.oldest_waiting, time.time()
        others = {
            "postroom_submission_oldest_waiting_seconds": 0.0 if oldest is None else max(0.0, now - oldest),
            "postroom_submission_handover_available": float(status.outage is None),
        }
        return metrics.samples() | deliveries | others

    return read


async def look_after_outbox(store: MailStore, log: Log) -> None:
    """Say when mail.db is no longer the file in its folder, or its WAL cannot be emptied; until cancelled."""
    replaced, held, loss = LogOnce(), LogOnce(), StoreLoss("mail", "no mail is accepted", BEAT_S, log)
    while True:
        try:
            await store.queries.ping()
        except StoreReplaced as error:
            if replaced.is_new(str(error)):
                log.error("store.replaced", store="mail", error=str(error), effect="no mail is accepted")
        except StoreUnavailable as error:
            loss.lost(str(error))
        else:
            loss.back()
            if replaced.clear():
                log.info("store.available", store="mail")
        overdue_s = store.wal_overdue_s()
        if overdue_s == 0.0:
            held.clear()
        elif held.is_new():
            log.warning(
                "store.wal_held",
                store="mail",
                effect="what was handed over stands in mail.db-wal still",
                mend="end the program that reads mail.db (`fuser` names it)",
            )
        await asyncio.sleep(BEAT_S)


def sweep_of(store: MailStore, retention_s: Callable[[], tuple[float, float]]) -> Callable[[], Awaitable[int]]:
    """A step of the sweep: deletes what is past its retention in mail.db.

    Args:
        retention_s: how long messages, and idempotency keys, are kept now, in seconds.
    """

    async def sweep() -> int:
        now, (messages_s, keys_s) = time.time(), retention_s()
        return await store.sweep(now - messages_s, now - keys_s, SWEEP_BUDGET)

    return sweep
