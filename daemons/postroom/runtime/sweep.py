"""Removing from a store what no longer counts, in small steps as long as a daemon lives.

Diagnostics: store.unavailable, each time, where nobody else asks the store and logs that.
"""

import asyncio
from collections.abc import Awaitable, Callable

from postroom.runtime.log import Log
from postroom.store.errors import StoreUnavailable

SWEEP_S = 60.0
PAUSE_AFTER_FULL_STEP_S = 1.0
"""After a step that used its whole budget more is left; in the pause others reach the store."""


async def sweep_forever(
    sweep: Callable[[], Awaitable[int]],
    *,
    budget: int | None = None,
    lost: Callable[[StoreUnavailable], None] = lambda _: None,
    first_after_s: float = 0.0,
) -> None:
    """Sweep every SWEEP_S seconds until cancelled.

    Args:
        sweep:         removes one step; returns how many rows were removed.
        budget:        rows of a full step, after which the next one follows soon; None waits SWEEP_S after each.
        lost:          called when the store was lost; without it, those who ask the store for more log that.
        first_after_s: seconds until the first step.
    """
    await asyncio.sleep(first_after_s)
    while True:
        removed = 0
        try:
            removed = await sweep()
        except StoreUnavailable as error:
            lost(error)
        await asyncio.sleep(PAUSE_AFTER_FULL_STEP_S if removed == budget else SWEEP_S)


def old_rows_stay(store: str, log: Log) -> Callable[[StoreUnavailable], None]:
    """For `sweep_forever`: log that this store was lost.

    Args:
        store: its word in the log.
    """

    def lost(error: StoreUnavailable) -> None:
        log.warning("store.unavailable", store=store, error=str(error), effect="old rows stay", next=f"{SWEEP_S:g} s")

    return lost
