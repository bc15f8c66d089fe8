"""Sessions with Postfix, opened however long that takes: while it cannot be reached, all mail waits for it.

That is no attempt of any delivery. The outage shows in HandoverStatus, for whoever asks why mail waits.
"""

from collections.abc import Callable
from pathlib import Path
from random import Random

from postroom.runtime.background import set_within
from postroom.runtime.log import Log
from postroom.runtime.metrics import Metrics
from postroom.submission.handover.backoff import wait_s
from postroom.submission.handover.session import PostfixAway, SmtpSession
from postroom.submission.handover_status import HandoverStatus, PostfixOutage

RETRY_FIRST_S = 0.5


class Connector:
    """Opens sessions.

    Args:
        socket:          Postfix's hand-over listener.
        hostname:        of this host, for EHLO.
        reply_timeout_s: how long Postfix may take for a reply, in seconds.
        retry_max_s:     the longest wait between tries while it cannot be reached, in seconds.
    """

    def __init__(
        self,
        socket: Path,
        hostname: str,
        status: HandoverStatus,
        *,
        reply_timeout_s: float,
        retry_max_s: float,
        log: Log,
        metrics: Metrics,
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        self._socket = socket
        self._hostname = hostname
        self._reply_timeout_s = reply_timeout_s
        self._retry_max_s = retry_max_s
        self._status = status
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._random = random

    async def open(self) -> SmtpSession | None:
        """A fresh session, however long it takes; None when it is time to stop."""
        while not self._status.draining.is_set():
            if (outage := self._status.outage) is not None:
                # Tried after this wait, whatever the clock says then: it may be set back.
                pause_s = min(self._retry_max_s, outage.next_try - self._clock())
                if await set_within(self._status.draining, max(0.0, pause_s)):
                    return None
            try:
                session = await SmtpSession.open(self._socket, self._hostname, self._reply_timeout_s, self._clock())
            except PostfixAway as error:
                self._failed(str(error))
                continue
            # Read again: another session may have been opened, or have failed, while this one was.
            if (outage := self._status.outage) is not None:
                self._log.info("handover.available", failures=outage.failures)
                self._status.outage = None
                self._status.doubtful.set()
            return session
        return None

    def _failed(self, reason: str) -> None:
        outage = self._status.outage
        failures = 1 if outage is None else outage.failures + 1
        if outage is None or outage.reason != reason:
            self._log.error("handover.unavailable", error=reason, effect="accepted mail waits")
        self._metrics.count("postroom_submission_handover_unavailable_total")
        pause_s = wait_s(failures, RETRY_FIRST_S, self._retry_max_s, self._random)
        self._status.outage = PostfixOutage(reason, self._clock() + pause_s, failures)
