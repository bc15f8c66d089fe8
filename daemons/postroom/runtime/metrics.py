"""A daemon's figures: counted here, sent to the shared store as a beat every few seconds.

The store keeps the last beat of each process; whoever shows figures sums them.
"""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from threading import Lock
from typing import Protocol

from postroom.runtime.log import Log
from postroom.store.errors import StoreUnavailable

BEAT_S = 5.0


class BeatStore(Protocol):
    """The part of the shared store a beat needs."""

    async def beat(
        self, word: str, host: str, pid: int, samples: Mapping[str, float], now: float | None = None
    ) -> None: ...


class Metrics:
    """Counters of one process, on any thread; names are whole, `postroom_<word>_…_total`."""

    def __init__(self) -> None:
        self._counters: Counter[str] = Counter()
        self._lock = Lock()

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counters[name] += by

    def samples(self) -> dict[str, float]:
        """The counters as they stand."""
        with self._lock:
            return {name: float(value) for name, value in self._counters.items()}


async def beat_forever(
    word: str, store: BeatStore, samples: Callable[[], Awaitable[Mapping[str, float]]], log: Log
) -> None:
    """Send a beat every BEAT_S seconds until cancelled. A store that is away costs figures, never service."""
    host, pid, away = socket.gethostname(), os.getpid(), False
    while True:
        try:
            await store.beat(word, host, pid, await samples())
            if away:
                log.info("store.available", store="shared")
            away = False
        except StoreUnavailable as error:
            if not away:
                log.warning("store.unavailable", store="shared", error=str(error), effect="no figures", next="5 s")
            away = True
        await asyncio.sleep(BEAT_S)
