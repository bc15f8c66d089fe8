"""What was refused costs nothing: takes of mail that Postfix's log shows to be refused are given back.

policy counts at END-OF-MESSAGE; a milter, a later restriction or a full disk may refuse the mail all the same. A
refusal waits in track.db until the shared store has given its take back. A crash between the two asks a second time,
and the store finds nothing to give back any more.

Only the journal's lines count (store/track/log.py): with a log file a local user could write such lines about his own
mail that passed.

BUGS:    what a process has counted for the time the store is lost (limits/fallback.py) is not given back there.
"""

import asyncio
from collections.abc import Callable

from postroom.runtime.log import Log
from postroom.runtime.log_once import LogOnce
from postroom.runtime.metrics import Metrics
from postroom.store.errors import StoreUnavailable
from postroom.store.limits.interface import Takes
from postroom.store.track.refusals import TrackRefusals

EVERY_S = 1.0
BATCH_REFUSALS = 500


async def settle_forever(
    refusals: TrackRefusals,
    takes: Takes,
    log: Log,
    metrics: Metrics,
    now: Callable[[], float],
    every_s: float = EVERY_S,
) -> None:
    """Give back what is due, every `every_s` seconds, until cancelled. A store that is away makes it wait."""
    loss = LogOnce()
    while True:
        try:
            while due := await refusals.due(now(), BATCH_REFUSALS):
                given_back, not_found = list[int](), list[int]()
                for refusal in due:
                    if await takes.give_back(refusal.queue_id, refusal.began_at, refusal.ended_at):
                        given_back.append(refusal.number)
                        log.info("watcher.given_back", queue_id=refusal.queue_id)
                    else:
                        not_found.append(refusal.number)
                await refusals.settled(given_back, not_found, now())
                metrics.count("postroom_watcher_given_back_total", len(given_back))
            loss.clear()
        except StoreUnavailable as error:
            if loss.is_new():
                log.warning(
                    "store.unavailable",
                    store="limits",
                    error=str(error),
                    effect="refused mail stays counted for now",
                    next=f"{every_s:g} s",
                )
        await asyncio.sleep(every_s)
