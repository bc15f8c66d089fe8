"""The LMTP socket: mails to our return-path domains, each answered once what it says is stored.

Every mail to a return-path domain is taken, whatever it is: policy has refused at RCPT what is not an address of ours,
and a refusal here would make Postfix send a bounce to whomever a forger named. For the same reason nothing is ever sent
in answer. Only two get a temporary refusal: a mail that cannot be stored now, and one for a domain that is not ours,
which somebody's transport_maps sent here by mistake.

Diagnostics: watcher.mail_taken, watcher.bounced, watcher.mail_waits, watcher.mail_fault, watcher.misrouted.
"""

import asyncio
import socket
from collections.abc import Callable

from postroom.mail.addresses import domain_of
from postroom.mail.logsafe import safe
from postroom.mail.return_addresses import ReturnAddresses
from postroom.runtime.acceptor import Acceptor, ConnectionBounds
from postroom.runtime.connections import Connections
from postroom.runtime.fault_points import FaultPoints
from postroom.runtime.log import Log, error_fields
from postroom.runtime.log_once import LogOnce, LogOnceEach
from postroom.runtime.metrics import Metrics
from postroom.store.errors import StoreUnavailable
from postroom.store.track.reports import TrackReports
from postroom.watcher.follower import log_bounce
from postroom.watcher.lmtp import LmtpSession, ReceivedMail
from postroom.watcher.reports import MailReader, ReadMail
from postroom.watcher.source import LogSource

READ_OCTETS = 65_536
"""How much of a session is read at once."""
IDLE_S = 300.0
"""How long a client may be silent, or not read its reply (RFC 5321 §4.5.3.2.7)."""
MAX_SESSIONS = 50
"""Open at once; lmtp(8) itself opens 20 to one destination."""
MAX_SESSIONS_OF_A_USER = 20
"""Of others than Postfix: root and members of its group may connect too."""
UNOCCUPIED_S = 300.0
"""How long a session of others may bring no mail."""
MAX_MISROUTED = 100
"""Domains that are logged as misrouted; whatever comes for more of them is refused without a log line."""

TAKEN = b"250 2.0.0 Taken\r\n"
LATER = b"451 4.3.0 Cannot be stored now, try again later\r\n"
BUSY = b"421 4.3.2 Too many sessions, try again later\r\n"


class Intake:
    """Takes the mails that come to our return addresses.

    Args:
        source: the log that says what became of our mail.
        reader: says what a mail reports.
        postfix: uids of Postfix, which has MAX_SESSIONS to itself.
        now:    Unix seconds that never go back.
    """

    def __init__(
        self,
        reports: TrackReports,
        source: LogSource,
        reader: MailReader,
        returns: ReturnAddresses,
        hostname: str,
        *,
        postfix: frozenset[int],
        faults: FaultPoints,
        log: Log,
        metrics: Metrics,
        now: Callable[[], float],
    ) -> None:
        self._reports = reports
        self._source = source
        self._reader = reader
        self._returns = returns
        self._hostname = hostname
        self._faults = faults
        self._log = log
        self._metrics = metrics
        self._now = now
        self._sessions = Connections(
            self._run_session,
            ConnectionBounds(MAX_SESSIONS_OF_A_USER, MAX_SESSIONS, postfix, MAX_SESSIONS),
            UNOCCUPIED_S,
            log,
            BUSY,
        )
        self._reading = asyncio.Lock()
        self._store_loss = LogOnce()
        self._misrouted = LogOnceEach(MAX_MISROUTED)

    def serve(self, sock: socket.socket) -> Acceptor:
        """Begin to serve sessions of this listening socket."""
        return self._sessions.serve(sock)

    async def drain(self, timeout_s: float) -> None:
        """Answer the mails that have arrived whole, then hang up on everybody: Postfix tries again."""
        await self._sessions.drain(timeout_s)

    async def _run_session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = LmtpSession(self._hostname, self._refusal)
        try:
            while True:
                while (event := session.next_event()) is not None:
                    if isinstance(event, ReceivedMail):
                        with self._sessions.occupied():
                            event = await self._answer(event)
                    writer.write(event)
                async with asyncio.timeout(IDLE_S):
                    await writer.drain()
                    if session.is_over or self._sessions.is_draining or not (octets := await reader.read(READ_OCTETS)):
                        break
                session.feed(octets)
        except (TimeoutError, ConnectionError):
            pass  # the client's right: what was not answered comes again
        finally:
            # What was written goes out first.
            writer.close()

    def _refusal(self, recipient: str) -> str | None:
        if self._returns.serve(recipient):
            return None
        domain = safe(domain_of(recipient))
        if self._misrouted.is_new(domain):
            self._log.warning(
                "watcher.misrouted",
                domain=domain,
                effect="Postfix keeps its mail and tries again",
                mend="this is the return path of none of `domains`: take it out of Postfix's transport_maps",
            )
        return "451 4.3.5 Not a return path of this host"

    async def _answer(self, mail: ReceivedMail) -> bytes:
        """The replies to a mail, one for each recipient, once its reports are stored."""
        read = await self._read(mail)
        try:
            effect = await self._store_reports(read)
        except StoreUnavailable as error:
            if self._store_loss.is_new():
                self._log.error("watcher.mail_waits", error=str(error), effect="Postfix keeps it and tries again")
            return LATER * len(mail.recipients)
        self._store_loss.clear()
        kind = read.kind
        self._metrics.count(f"postroom_watcher_mails_{kind}_total")
        self._log.info("watcher.mail_taken", kind=kind, effect=effect)
        return TAKEN * len(mail.recipients)

    async def _read(self, mail: ReceivedMail) -> ReadMail:
        # One at a time, beside the loop: reading a large one takes some tenths of a second.
        async with self._reading:
            try:
                return await asyncio.to_thread(self._reader.read, mail, self._now())
            except Exception as error:  # noqa: BLE001 - a fault of ours must not bring the same mail for ever
                self._log.error("watcher.mail_fault", effect="it is taken as unreadable", **error_fields(error))
                return ReadMail("unreadable")

    async def _store_reports(self, read: ReadMail) -> str:
        """Store the reports of a mail; returns what they have changed, in words."""
        if not read.reports:
            return "nothing"
        self._faults.reach("reports.before_commit")
        reported = await self._reports.take(read.reports, self._source.name, proven=self._source.proves)
        self._faults.reach("reports.committed")
        effects = [one.effect for one in reported]
        for effect in effects:
            self._metrics.count(f"postroom_watcher_reports_{effect}_total")
        for one in reported:
            if one.bounce is not None:
                log_bounce(self._log, one.bounce)
        return ",".join(sorted(set(effects)))
