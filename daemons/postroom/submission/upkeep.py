"""What runs beside the work of this daemon: the figures it beats with, and the sweep."""

import time
from collections.abc import Awaitable, Callable, Mapping

from postroom.mail.states import OUTBOX
from postroom.runtime.metrics import Metrics
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
        figures = await outbox.figures()
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


def sweep_of(
    store: MailStore, sweep_shared: Callable[[], Awaitable[object]], retention_s: Callable[[], tuple[float, float]]
) -> Callable[[], Awaitable[int]]:
    """A step of the sweep: deletes what is past its retention in mail.db, and lets the shared store do the same.

    Args:
        retention_s: how long messages, and idempotency keys, are kept now, in seconds.
    """

    async def sweep() -> int:
        now, (messages_s, keys_s) = time.time(), retention_s()
        swept = await store.sweep(now - messages_s, now - keys_s, SWEEP_BUDGET)
        await sweep_shared()
        return swept

    return sweep
