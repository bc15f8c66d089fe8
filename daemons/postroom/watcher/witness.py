"""The witness: finds out what was not queued, while somebody wants to know.

Presence is simple: a line of qmgr, or the queue itself, that shows the attempt's token. Absence is proved in this
order; each step begins when the one before has ended.

    1. a probe A, and its end read from the log: the sessions that were open before are known
    2. every one of them has ended (or its beginning is noted, and nothing is said of attempts made in it)
    3. the queue is asked, twice: a mail that moves from one queue to the next meanwhile is missed once, and before
       it is missed again qmgr has logged it
    4. a probe B, and its end read from the log: whatever was logged before the last answer has been read

Then a token that is in no line and was in no answer was not queued. What is stored of it, and when it holds, is
described in store/track/witness.py. An attempt that ended before A has no session that began after A.

The log counts as whole from the end of a first probe on; each gap takes that away until another one is read. Then
the queue is asked, and a probe read after it: what is not there any more has its end in the gap
(store/track/reconciliation.py).

Limits:  Postfix must run: while it is stopped nothing is found out. A session that never ends in the log (smtpd
         killed) leaves the attempts made since its beginning, up to its own end, unknown; a Postfix that is
         stopped in order ends them all.
"""

import asyncio
from pathlib import Path

from postroom.mail import tokens
from postroom.postfix.showq import ShowqError, queue_ids
from postroom.runtime.log import Log
from postroom.runtime.log_once import LogOnce
from postroom.runtime.metrics import Metrics
from postroom.store.errors import StoreUnavailable
from postroom.store.track.reconciliation import TrackReconciliation
from postroom.store.track.witness import TrackWitness
from postroom.store.witness_request import requested_at
from postroom.watcher.clock import ForwardClock
from postroom.watcher.follower import POLL_S, Follower
from postroom.watcher.probe import MAX_NOOPS, NoProbe, probe

SHOWN_S = 5.0
"""How long the log may take to show the end of a probe."""
SESSIONS_S = 6.0
"""How long sessions are waited for; submission closes an idle one after 5 s."""
ANSWER_S = 60.0
"""How long Postfix may take to answer: its queue may be long."""
RETRY_FIRST_S, RETRY_MAX_S = 1.0, 30.0
REST_FIRST_S, REST_MAX_S = 1.0, 8.0
"""The pause after a look: it grows while more are requested at once, for each costs Postfix two sessions."""


class LogSilent(Exception):
    """A probe does not show in the log; the text says how to mend it."""


class WitnessTask:
    """Keeps the log known to be whole, and makes a checkpoint when one is requested.

    Args:
        listener, showq: sockets of Postfix; of any listener whose sessions the correlator knows.
        request:     the file that submission touches to request a checkpoint.
        first_count: NOOPs of the first probe; any number.
    """

    def __init__(
        self,
        follower: Follower,
        track: TrackWitness,
        reconciliation: TrackReconciliation,
        *,
        listener: Path,
        showq: Path,
        request: Path,
        hostname: str,
        log: Log,
        metrics: Metrics,
        clock: ForwardClock,
        first_count: int,
    ) -> None:
        self._follower = follower
        self._track = track
        self._reconciliation = reconciliation
        self._listener = listener
        self._showq = showq
        self._request = request
        self._hostname = hostname
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._count = first_count
        self._looked_at = 0.0
        self._trouble = LogOnce()

    async def run(self) -> None:
        """Keep the log known to be whole, and look when it is requested; until cancelled."""
        await self._follower.caught_up.wait()
        pause_s, rest_s = RETRY_FIRST_S, REST_FIRST_S
        while True:
            try:
                if self._clock.went_back():
                    await self._track.clock_went_back()
                    self._metrics.count("postroom_watcher_gaps_total")
                    self._log.warning(
                        "watcher.gap", reason="the clock was set back", effect="what is in doubt stays in doubt"
                    )
                since, gaps = await self._track.coverage()
                if since is None:
                    await self._cover(gaps)
                elif await self._reconciliation.reconciled_gaps() != gaps:
                    await self._reconcile(gaps)
                elif requested_at(self._request) > self._looked_at:
                    await self._look()
                    await asyncio.sleep(rest_s)
                    rest_s = min(2 * rest_s, REST_MAX_S)
                else:
                    rest_s = REST_FIRST_S
            except (NoProbe, LogSilent, ShowqError, StoreUnavailable) as error:
                self._warn_once(error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_MAX_S)
            else:
                self._trouble.clear()
                pause_s, rest_s = RETRY_FIRST_S, REST_FIRST_S
                await asyncio.sleep(POLL_S)

    async def _cover(self, gaps: int) -> None:
        await self._probe()
        since = self._clock.now()
        if await self._track.set_covered(since, gaps):
            self._log.info("watcher.covered", gaps=gaps)

    async def _reconcile(self, gaps: int) -> None:
        """After a gap: find out what is no longer in the queue though no line tells how it left."""
        began_at = self._clock.now()
        found = await self._ask_queue() | await self._ask_queue()
        await self._probe()
        untracked = await self._reconciliation.reconcile(began_at, gaps, found, self._clock.now())
        if untracked is not None:
            self._log.info("watcher.reconciled", gaps=gaps, found=len(found), untracked=untracked)

    async def _look(self) -> None:
        began_at = self._clock.now()
        await self._probe()
        waited_for = set(await self._track.open_sessions())
        open_since = await self._wait_for_sessions(waited_for)
        asked_at = self._clock.now()
        found = await self._ask_queue() | await self._ask_queue()
        await self._probe()
        clear_since = await self._track.add_checkpoint(began_at, asked_at, open_since, found, self._clock.now())
        self._looked_at = began_at
        self._metrics.count("postroom_watcher_looks_total")
        self._log.debug(
            "watcher.looked", found=len(found), clear_for_s=None if clear_since is None else began_at - clear_since
        )

    async def _wait_for_sessions(self, pids: set[int]) -> float:
        """Wait a while for the end of these sessions; returns when the youngest still open one began, or 0."""
        end = asyncio.get_running_loop().time() + SESSIONS_S
        while True:
            sessions = await self._track.open_sessions()
            # A process whose session ended may have the next one already; it counts as the old one, which is safe.
            still_open = [seen_at for pid, seen_at in sessions.items() if pid in pids]
            if not still_open or asyncio.get_running_loop().time() > end:
                return max(still_open, default=0.0)
            await asyncio.sleep(POLL_S)

    async def _ask_queue(self) -> dict[str, str]:
        """What is in the queue: token → queue id."""
        found = await queue_ids(self._showq, lambda sender: tokens.of_sender(sender) is not None, ANSWER_S)
        return {
            token: queue_id for sender, queue_id in found.items() if (token := tokens.of_sender(sender)) is not None
        }

    async def _probe(self) -> None:
        # Never the number of the one before: its line may come late.
        self._count = count = self._count % MAX_NOOPS + 1
        shown = self._follower.expect(count)
        await probe(self._listener, self._hostname, count, ANSWER_S)
        try:
            async with asyncio.timeout(SHOWN_S):
                await shown.wait()
        except TimeoutError:
            raise LogSilent(
                f"a session with {self._listener} does not show in Postfix's log; "
                "mend: check watcher.source and watcher.units, and that the log is being written"
            ) from None

    def _warn_once(self, error: Exception) -> None:
        if self._trouble.is_new(str(error)):
            self._log.warning("watcher.blind", error=str(error), effect="what is in doubt stays in doubt")
