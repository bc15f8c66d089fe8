"""A daemon's figures: counted here, sent to the shared store as a beat every few seconds.

The store keeps the last beat of each process; whoever shows figures sums them.
"""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from threading import Lock

from postroom.runtime.log import Log
from postroom.runtime.store_loss import StoreLoss
from postroom.store.errors import StoreUnavailable
from postroom.store.shared.interface import Beats

BEAT_S = 5.0


class Metrics:
    """Counters of one process, on any thread; names are whole, `postroom_<word>_…_total`."""

    def __init__(self) -> None:
        self._counters: Counter[str] = Counter()
        self._lock = Lock()

    def count(self, name: str, by: int = 1) -> None:
        """Add to the counter of this name, made at its first use."""
        with self._lock:
            self._counters[name] += by

    def samples(self) -> dict[str, float]:
        """The counters as they stand."""
        with self._lock:
            return {name: float(value) for name, value in self._counters.items()}


async def beat_forever(
    word: str, beats: Beats, samples: Callable[[], Awaitable[Mapping[str, float]]], log: Log
) -> None:
    """Send a beat every BEAT_S seconds until cancelled. A store that is away costs figures, never service."""
    host, pid = socket.gethostname(), os.getpid()
    loss = StoreLoss("shared", "no figures", BEAT_S, log)
    while True:
        try:
            await beats.beat(word, host, pid, await samples())
            loss.back()
        except StoreUnavailable as error:
            loss.lost(str(error))
        await asyncio.sleep(BEAT_S)
