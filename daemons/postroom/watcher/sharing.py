"""Facts on their way to the shared store: what speaks for or against a recipient.

A fact waits in track.db until the shared store has it, and is marked then. A crash between the two sends it a
second time, and the store counts it once.
"""

import asyncio
from collections.abc import Callable

from postroom.runtime.log import Log
from postroom.runtime.log_once import LogOnce
from postroom.runtime.metrics import Metrics
from postroom.store.errors import StoreUnavailable
from postroom.store.shared.values import Learned
from postroom.store.track.sharing import TrackSharing
from postroom.suppression.learner import Learner

EVERY_S = 1.0
BATCH_FACTS = 500


async def share_forever(
    track: TrackSharing,
    learner: Learner,
    log: Log,
    metrics: Metrics,
    now: Callable[[], float],
    every_s: float = EVERY_S,
) -> None:
    """Send what waits, every `every_s` seconds, until cancelled. A store that is away makes it wait."""
    loss = LogOnce()
    while True:
        try:
            while facts := await track.waiting(BATCH_FACTS):
                learned = await learner.learn(facts)
                await track.mark_shared([fact.number for fact in facts], now())
                metrics.count("postroom_watcher_suppressed_total", learned.count(Learned.SUPPRESSED))
            loss.clear()  # that the store is back is logged with the beats
        except StoreUnavailable as error:
            if loss.is_new():
                log.warning(
                    "store.unavailable",
                    store="shared",
                    error=str(error),
                    effect="suppressions wait",
                    next=f"{every_s:g} s",
                )
        await asyncio.sleep(every_s)
