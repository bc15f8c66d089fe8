"""The LMTP socket: mails to our return-path domains, each answered once what it says is stored.

Every mail to a return-path domain is taken, whatever it is: policy has refused at RCPT what is not an address of ours,
and a refusal here would make Postfix send a bounce to whomever a forger named. For the same reason nothing is ever sent
in answer. Only two get a temporary refusal: a mail that cannot be stored now, and one for a domain that is not ours,
which somebody's transport_maps sent here by mistake.

Whom a mail is from decides what it can change (origin.py), and who has signed it, where it is a complaint
(complaint_signature.py). While DNS does not tell, Postfix keeps the complaint.

Diagnostics: watcher.mail_taken, watcher.bounced, watcher.mail_waits, watcher.mail_fault, watcher.misrouted,
             watcher.origin_unknown, watcher.complaint_waits.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

from postroom.identity.local_client import is_of_this_host
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
from postroom.store.track.bounce_report import ReportOrigin
from postroom.store.track.reports import TrackReports
from postroom.watcher.complaint_signature import KeyUnavailable
from postroom.watcher.follower import log_bounce
from postroom.watcher.lmtp import LmtpSession, ReceivedMail
from postroom.watcher.origin import MailOrigin, origin_of
from postroom.watcher.reports import MailReader, ReadMail, as_signed
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

MAX_VERIFIED = 4
"""So many complaints are verified at once."""

TAKEN = b"250 2.0.0 Taken\r\n"
LATER = b"451 4.3.0 Cannot be stored now, try again later\r\n"
BUSY = b"421 4.3.2 Too many sessions, try again later\r\n"


class Intake:
    """Takes the mails that come to our return addresses.

    Args:
        source: the log that says what became of our mail.
        reader: says what a mail reports.
        postfix: uids of Postfix, which has MAX_SESSIONS to itself.
        signer: says who of the reporters that are believed has signed a mail; raises KeyUnavailable.
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
        signer: Callable[[ReceivedMail], str | None],
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
        self._signer = signer
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
        self._verifying = asyncio.Semaphore(MAX_VERIFIED)
        self._store_loss = LogOnce()
        self._dns_loss = LogOnce()
        self._unknown_origin = LogOnce()
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
        read, origin = await self._read(mail)
        try:
            if read.kind == "complaint" and read.reports and origin.kind is ReportOrigin.REMOTE:
                read = as_signed(read, await self._verified_signer(mail))
            effect = await self._store_reports(read, origin)
        except KeyUnavailable as error:
            if self._dns_loss.is_new():
                effect = "Postfix keeps complaints and tries again"
                self._log.warning("watcher.complaint_waits", error=str(error), effect=effect)
            return LATER * len(mail.recipients)
        except StoreUnavailable as error:
            if self._store_loss.is_new():
                self._log.error("watcher.mail_waits", error=str(error), effect="Postfix keeps it and tries again")
            return LATER * len(mail.recipients)
        self._store_loss.clear()
        kind = read.kind
        self._metrics.count(f"postroom_watcher_mails_{kind}_total")
        self._log.info("watcher.mail_taken", kind=kind, effect=effect, origin=origin.kind, by=origin.reason or None)
        if read.reports and origin.reason == "unknown":
            self._warn_of_unknown_origin(is_told=mail.client is not None)
        return TAKEN * len(mail.recipients)

    async def _verified_signer(self, mail: ReceivedMail) -> str | None:
        async with self._verifying:
            signer = await asyncio.to_thread(self._signer, mail)
        self._dns_loss.clear()
        return signer

    def _warn_of_unknown_origin(self, *, is_told: bool) -> None:
        if not self._unknown_origin.is_new():
            return
        mend = (
            "let header_checks leave Postfix's own Received fields in mail to the return path"
            if is_told
            else "run scripts/setup-postfix.sh again, or take over postfix-conf/watcher.*; then `postfix reload`"
        )
        self._log.warning(
            "watcher.origin_unknown",
            error="no Received field of Postfix's own" if is_told else "Postfix does not tell whose mail it brings",
            effect="bounces and complaints count as written on this host: they change nothing",
            mend=mend,
        )

    async def _read(self, mail: ReceivedMail) -> tuple[ReadMail, MailOrigin]:
        # One at a time, beside the loop: reading a large one takes some tenths of a second.
        async with self._reading:
            try:
                return await asyncio.to_thread(self._read_beside, mail, self._now())
            except Exception as error:  # noqa: BLE001 - a fault of ours must not bring the same mail for ever
                self._log.error("watcher.mail_fault", effect="it is taken as unreadable", **error_fields(error))
                return ReadMail("unreadable"), MailOrigin(ReportOrigin.LOCAL)

    def _read_beside(self, mail: ReceivedMail, now: float) -> tuple[ReadMail, MailOrigin]:
        return self._reader.read(mail, now), origin_of(mail, lambda address: is_of_this_host(ip_address(address)))

    async def _store_reports(self, read: ReadMail, origin: MailOrigin) -> str:
        """Store the reports of a mail; returns what they have changed, in words."""
        if not read.reports:
            return "nothing"
        self._faults.reach("reports.before_commit")
        reports = [replace(one, origin=origin.kind, notice=origin.notice) for one in read.reports]
        reported = await self._reports.take(reports, self._source.name, proven=self._source.proves)
        self._faults.reach("reports.committed")
        effects = [one.effect for one in reported]
        for effect in effects:
            self._metrics.count(f"postroom_watcher_reports_{effect}_total")
        for one in reported:
            if one.bounce is not None:
                log_bounce(self._log, one.bounce)
        return ",".join(sorted(set(effects)))
