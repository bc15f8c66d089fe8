"""The log followed: batches of a source become facts in track.db, each once.

    source.read (a thread of its own) ─► correlate ─► track.apply: position and facts in one transaction ─► log, metrics

A batch that cannot be stored now is kept and tried again; a source that cannot be read is resumed where the
store says. The witness, which waits for a session of its own to show in the log, is woken when it is stored.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from postroom.mail.states import State
from postroom.runtime.log import Log
from postroom.runtime.log_once import LogOnce
from postroom.runtime.metrics import Metrics
from postroom.store.errors import StoreUnavailable
from postroom.store.track.evidence import Bounce
from postroom.store.track.facts import DeliveryTried, Fact, ProbeEnded, SessionEnded
from postroom.store.track.log import PositionMoved, TrackLog
from postroom.watcher.correlate import Correlator
from postroom.watcher.source import Batch, LogSource, SourceUnavailable

T = TypeVar("T")

POLL_S = 0.2
"""How often a source that had nothing new is looked at again."""
PAUSE_S = 2.0
"""How long a source or store that fails is left alone."""


class Follower:
    """Reads one source of the log and stores what it says.

    Args:
        now: Unix seconds that never go back.
    """

    def __init__(
        self,
        source: LogSource,
        track: TrackLog,
        correlator: Correlator,
        *,
        log: Log,
        metrics: Metrics,
        now: Callable[[], float],
    ) -> None:
        self._source = source
        self._track = track
        self._correlator = correlator
        self._log = log
        self._metrics = metrics
        self._now = now
        # One thread for ever: sd_journal objects belong to the thread that made them.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="source")
        self._awaited: dict[int, asyncio.Event] = {}
        self._trouble = LogOnce()
        self._last_at: float | None = None
        self._is_at_end = False
        self.caught_up = asyncio.Event()
        """Set when the log was read to its end for the first time."""

    @property
    def lag_s(self) -> float:
        """The age of the last line read, while there are more; 0 at the end of the log."""
        return 0.0 if self._is_at_end or self._last_at is None else max(0.0, self._now() - self._last_at)

    async def start(self) -> None:
        """Open the source where it was left.

        Raises:
            SourceUnavailable: it cannot be read.
            StoreUnavailable:  track.db cannot be read.
        """
        await self._resume()

    async def follow(self, stopping: asyncio.Event) -> None:
        """Follow until `stopping` is set; what was read is stored then."""
        while not stopping.is_set():
            try:
                batch = await self._in_thread(self._source.read)
            except SourceUnavailable as error:
                await self._pause(str(error))
                await self._resume_again()
                continue
            if batch is not None:
                await self._store_batch(batch, stopping)
            self._is_at_end = batch is None or batch.is_at_end
            if self._is_at_end:
                self.caught_up.set()
            if batch is None or batch.is_at_end or batch.read == 0:
                # Also between two files: nothing a source does may make this loop spin.
                await asyncio.sleep(POLL_S)

    async def close(self) -> None:
        """Close the source, on the thread that reads it."""
        await self._in_thread(self._source.close)
        self._thread.shutdown()

    def expect(self, noops: int) -> asyncio.Event:
        """An event that is set once the end of a session with so many NOOPs, at a listener of ours, is stored."""
        return self._awaited.setdefault(noops, asyncio.Event())

    async def _resume(self) -> None:
        position = await self._track.position(self._source.name)
        await self._in_thread(lambda: self._source.resume(position))

    async def _store_batch(self, batch: Batch, stopping: asyncio.Event) -> None:
        if batch.position == batch.after and not batch.gaps:
            return
        facts: list[Fact] = list(batch.gaps)
        for line in batch.lines:
            facts.extend(self._correlator.facts(line))
        while not stopping.is_set():
            try:
                bounces = await self._track.apply(
                    self._source.name, batch.after, batch.position, facts, self._now(), proven=self._source.proves
                )
                break
            except StoreUnavailable as error:
                await self._pause(str(error))
            except PositionMoved as error:
                await self._pause(str(error))
                await self._resume_again()
                return
        else:
            return  # it was not stored, and is read again at the next start
        if self._trouble.clear():
            self._log.info("watcher.available", source=self._source.name)
        self._report(batch, facts, bounces)

    def _report(self, batch: Batch, facts: list[Fact], bounces: list[Bounce]) -> None:
        """Count and log what was stored, and wake those who waited for it."""
        self._metrics.count("postroom_watcher_lines_total", batch.read)
        for gap in batch.gaps:
            self._metrics.count("postroom_watcher_gaps_total")
            self._metrics.count("postroom_watcher_lines_suppressed_total", gap.lines)
            self._log.warning(
                "watcher.gap",
                source=self._source.name,
                reason=gap.reason,
                lines=gap.lines or None,
                effect="what is in doubt stays in doubt",
            )
        tried = [fact for fact in facts if isinstance(fact, DeliveryTried)]
        for state in (State.DELIVERED, State.RELAYED, State.DEFERRED, State.BOUNCED):
            count = sum(fact.state is state for fact in tried)
            if count:
                self._metrics.count(f"postroom_watcher_{state}_total", count)
        for bounce in bounces:
            log_bounce(self._log, bounce)
        if batch.lines:
            self._last_at = batch.lines[-1].at
        for fact in facts:
            if (
                isinstance(fact, SessionEnded | ProbeEnded)
                and (shown := self._awaited.pop(fact.noops, None)) is not None
            ):
                shown.set()

    async def _pause(self, trouble: str) -> None:
        """Log a trouble that is new, and leave source and store alone for a while."""
        if self._trouble.is_new(trouble):
            self._log.error("watcher.unavailable", error=trouble, effect="Postfix's log waits", next=f"{PAUSE_S:g} s")
        await asyncio.sleep(PAUSE_S)

    async def _resume_again(self) -> None:
        try:
            await self._resume()
        except (SourceUnavailable, StoreUnavailable):
            return  # the next read or store fails too, and says so

    def _in_thread(self, work: Callable[[], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, work)


def log_bounce(log: Log, bounce: Bounce) -> None:
    """Log a bounce of our mail: one line for each, whether the log or a report said so first."""
    log.info(
        "watcher.bounced",
        queue_id=bounce.queue_id,
        recipient_hash=bounce.recipient.hash,
        domain=bounce.recipient.domain,
        enhanced_status=bounce.enhanced_status,
        by=bounce.by,
        cause=bounce.cause,
    )
