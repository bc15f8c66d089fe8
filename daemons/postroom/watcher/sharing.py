"""Facts on their way to the shared store: what the log proved of a recipient becomes a suppression.

A fact waits in track.db until the shared store has it, and is marked then. A crash between the two sends it a
second time, which changes nothing: a suppression that is there already stays as it is.
"""

import asyncio
from collections.abc import Callable

from postroom.runtime.log import Log
from postroom.runtime.metrics import Metrics
from postroom.store.errors import StoreUnavailable
from postroom.store.local.track import TrackStore
from postroom.store.shared.interface import SharedStore

EVERY_S = 1.0
MOST = 100


async def share_forever(
    store: TrackStore,
    shared: SharedStore,
    log: Log,
    metrics: Metrics,
    now: Callable[[], float],
    every_s: float = EVERY_S,
) -> None:
    """Send what waits, every `every_s` seconds, until cancelled. A store that is away makes it wait."""
    is_away = False
    while True:
        try:
            for fact in await store.to_share(MOST):
                is_new = await shared.suppress(fact.suppression())
                await store.shared(fact.number, now())
                metrics.count("postroom_watcher_suppressed_total")
                log.info(
                    "watcher.suppressed",
                    queue_id=fact.queue_id,
                    recipient_hash=fact.recipient.hash,
                    domain=fact.recipient.domain,
                    cause=fact.cause,
                    enhanced_status=fact.enhanced_status,
                    new=is_new,
                )
            is_away = False
        except StoreUnavailable as error:
            if not is_away:
                log.warning(
                    "store.unavailable", store="shared", error=str(error), effect="suppressions wait", next="1 s"
                )
            is_away = True
        await asyncio.sleep(every_s)
