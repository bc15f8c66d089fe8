"""One connection of Postfix's: libmilter's callbacks, and nothing else.

    connect ─► MAIL ─► DATA: which door? ─► header … ─► end of header: whose mail? ─► body … ─► end: sign
     │                   └ inbound: let pass                └ not to be signed: let pass
     └ from this host: whose connection?                    └ … and is it still?             end: … and is it still?

    sendmail door        is it Postfix's?                   └ goes on all the same           end: count, then sign

libmilter calls from a pool of threads, one callback of a session at a time.
Postfix waits only where an answer can matter: at DATA (the first moment with a
queue id), at the end of the header and at the end of the message. A callback
that fails breaks its message: its client is told to try again later.

Source:  Postfix MILTER_README; libmilter's API (xxfi_* and smfi_*), Milter.Base of pymilter.
"""

import socket
import time
from collections.abc import Callable
from functools import wraps
from ipaddress import ip_address
from typing import Concatenate, ParamSpec, TypeAlias

import Milter

from postroom.limits.subject import UNKNOWN_UID, counted_sender
from postroom.mail.addresses import domain_of
from postroom.mail.logsafe import safe
from postroom.milter.client import PORT_UNTOLD, TELL_PORT, ConnectedClient, HostUsers
from postroom.milter.door_limits import DoorDecision, DoorMail, SendmailDoor
from postroom.milter.doors import DAEMON_NAMES, Door, door_of
from postroom.milter.message import CollectedMessage, Signer
from postroom.milter.origin import LOOKED_AT, Origin, origin_of
from postroom.milter.sign import Unsigned
from postroom.runtime.log import Log, error_fields
from postroom.senders.envelope import is_anothers
from postroom.senders.table import SenderIdentity

P = ParamSpec("P")
Callback: TypeAlias = "Callable[Concatenate[MilterSession, P], int]"
GiveBack = Callable[[str, float], object]
"""Makes a mail cost nothing that policy has counted, by queue id and the Unix seconds it began at."""
Count = Callable[[str], object]
"""Counts a metric by its name; may be called on any thread."""


def _guarded(on_fault: int) -> "Callable[[Callback[P]], Callback[P]]":
    """Keep a fault of ours to its message; answer `on_fault` (CONTINUE where Postfix does not wait for an answer)."""

    def guard(callback: "Callback[P]") -> "Callback[P]":
        @wraps(callback)
        def guarded(session: "MilterSession", /, *arguments: P.args, **more: P.kwargs) -> int:
            try:
                return callback(session, *arguments, **more)
            except Exception as error:  # noqa: BLE001 - it must cost this message a delay, and no other
                session.break_message(error)
                return on_fault

        return guarded

    return guard


class MilterSession(Milter.Base):
    """What is known of one connection, and of the message under way on it."""

    def __init__(
        self,
        signer: Signer,
        users: HostUsers,
        sendmail_door: SendmailDoor,
        give_back: GiveBack,
        is_port_to_log: Callable[[], bool],
        log: Log,
        count: Count,
    ) -> None:
        self._signer = signer
        self._users = users
        self._sendmail_door = sendmail_door
        self._is_port_to_log = is_port_to_log
        self._give_back = give_back
        self._log = log
        self._count = count
        self._daemon_name: str | None = None
        self._hostname = ""
        self._client = ConnectedClient(None, None, users)
        self._door: Door = "inbound"
        self._login = ""
        self._uid: str | None = None
        self._began_at = 0.0
        self._sender = ""
        self._recipients: list[str] = []
        self._message: CollectedMessage | None = None
        self._unsigned: Unsigned | None = None
        self._is_connected = False
        self._is_broken = False

    @Milter.noreply
    @_guarded(Milter.CONTINUE)
    def connect(self, hostname: str, family: int, hostaddr: object) -> int:
        self._daemon_name = self.getsymval("{daemon_name}")
        self._hostname = self.getsymval("j") or ""
        if family in {socket.AF_INET, socket.AF_INET6} and isinstance(hostaddr, tuple):
            client = ip_address(hostaddr[0]), int(hostaddr[1])
            address, port = self.getsymval("{daemon_addr}"), self.getsymval("{daemon_port}")
            server = (ip_address(address), int(port)) if address and port else None
            self._client = ConnectedClient(client, server, self._users)
            if self._daemon_name not in DAEMON_NAMES and not self._signer.senders.is_empty:
                self._client.identity("", self._signer.senders)  # a client may be gone when it is asked for again
        self._is_connected = True
        return Milter.CONTINUE

    @Milter.noreply
    @_guarded(Milter.CONTINUE)
    def envfrom(self, sender: str, *parameters: str) -> int:
        self._is_broken, self._message, self._unsigned, self._uid = False, None, None, None
        if not self._is_connected:
            raise LookupError("the connection's own callback did not come, or failed")
        self._began_at, self._sender, self._recipients = time.time(), _path(sender), []
        # Of each message again: a client may log in between two.
        self._login = self.getsymval("{auth_authen}") or ""
        self._door = door_of(self._daemon_name, self._login, self._client.address, self._signer.networks)
        return Milter.CONTINUE

    @Milter.noreply
    @_guarded(Milter.CONTINUE)
    def envrcpt(self, recipient: str, *parameters: str) -> int:
        if self._door == "sendmail":
            self._recipients.append(_path(recipient))
        return Milter.CONTINUE

    @_guarded(Milter.TEMPFAIL)
    def data(self) -> int:
        if self._is_broken:
            return Milter.TEMPFAIL
        if self._door == "inbound":
            return self._let_pass(Unsigned.INBOUND)
        if self._door == "sendmail" and (refusal := self._turned_away()) is not None:
            return refusal
        self._message = CollectedMessage(self._signer)
        return Milter.CONTINUE

    def header_bytes(self, name: str, value: bytes) -> int:
        # The library's own decodes the value, which is octets to us.
        return self.header(name, value)

    @Milter.noreply
    @_guarded(Milter.CONTINUE)
    def header(self, name: str, value: bytes) -> int:
        self._open_message.add_field(name.encode("utf-8", "surrogateescape"), value)
        return Milter.CONTINUE

    @_guarded(Milter.TEMPFAIL)
    def eoh(self) -> int:
        self._unsigned = self._open_message.why_unsigned()
        if self._door == "smtp" and (refusal := self._smtp_not_allowed()) is not None:
            return refusal
        if self._unsigned is None or self._door == "sendmail":
            return Milter.CONTINUE
        return self._let_pass(self._unsigned)

    @Milter.noreply
    @_guarded(Milter.CONTINUE)
    def body(self, chunk: bytes) -> int:
        if self._unsigned is None:
            self._open_message.add_body(chunk)
        return Milter.CONTINUE

    @_guarded(Milter.TEMPFAIL)
    def eom(self) -> int:
        if self._is_broken:
            return Milter.TEMPFAIL
        now_s = int(time.time())
        if self._unsigned is None and self._open_message.is_signed(now_s):
            self._unsigned = Unsigned.ALREADY_SIGNED
        if self._unsigned is None and self._open_message.has_long_body_line:
            self._unsigned = Unsigned.LINE_TOO_LONG
        if self._door == "sendmail" and (refusal := self._counted()) is not None:
            return refusal
        if self._door == "smtp" and (refusal := self._smtp_not_allowed()) is not None:
            return refusal
        return self._let_pass(self._unsigned) if self._unsigned is not None else self._sign(now_s)

    def _sign(self, now_s: int) -> int:
        message = self._open_message
        signatures = message.signatures(now_s)
        for name, number, short in message.refolded:
            self.chgheader(name.decode("ascii"), number, short.decode("utf-8"))
        for _, value in reversed(signatures):  # each goes on top, so the first of `dkim` ends up topmost
            self.addheader("DKIM-Signature", value, 0)
        self._count("postroom_milter_signed_total")
        self._log.info(
            "milter.signed",
            queue_id=self._queue_id,
            door=self._door,
            uid=self._uid,
            domain=message.domain,
            selectors=",".join(key.selector for key, _ in signatures),
        )
        self._message = None
        return Milter.CONTINUE

    def _counted(self) -> int | None:
        """Count the mail; gives the answer where it does not pass, and a reason where it must not be signed."""
        if (refusal := self._turned_away()) is not None:
            return refusal
        origin = origin_of(self._open_message.topmost(LOOKED_AT), self._hostname, self._sendmail_door.postfix_uid)
        self._uid = UNKNOWN_UID if origin.uid is None else str(origin.uid)
        who = self._users.user(origin.uid, self._signer.senders)
        table, sender = self._signer.senders, counted_sender(self._sender)
        is_sender_anothers = is_anothers(table, who, sender)
        if origin.uid is not None or not origin.is_requeued:  # else it was allowed when it passed
            if (refusal := self._not_allowed(who)) is not None:
                return refusal
            # cron(8) may be told to send as root, and then both say so.
            author = self._open_message.author
            is_cron_mail = author is not None and author.is_cron_mail
            if table.refuses_others and is_anothers(table, who, sender, is_cron_mail=is_cron_mail):
                return self._refuse_sender(domain_of(self._sender), "You may not send with this envelope sender")
        is_signed = self._unsigned is Unsigned.ALREADY_SIGNED
        mail = DoorMail(origin, self._queue_id, self._sender, self._recipients, is_signed, is_sender_anothers)
        outcome = self._sendmail_door.decide(mail)
        self._log_counted(origin, outcome)
        if outcome.what in {"wait", "refuse"}:
            return self._refuse("450" if outcome.what == "wait" else "550", outcome.text)
        if outcome.what == "hold":
            self._count("postroom_milter_held_total")
            self.quarantine(outcome.text)
        if self._unsigned is None and origin.uid is None:
            self._unsigned = Unsigned.ORIGIN_UNKNOWN
        return None

    def _smtp_not_allowed(self) -> int | None:
        if self._signer.senders.is_empty:
            return None
        who = self._client.identity(self._login, self._signer.senders)
        if not self._login and self._client.is_of_this_host:
            self._uid = UNKNOWN_UID if who.uid is None else str(who.uid)
        refusal = self._not_allowed(who)
        if refusal is not None:
            # Postfix asks policy before it asks us.
            self._give_back(self._queue_id, self._began_at)
        return refusal

    def _not_allowed(self, who: SenderIdentity) -> int | None:
        """Leave unsigned, or refuse, what this sender may not write."""
        table, author = self._signer.senders, self._open_message.author
        address, is_cron_mail = (None, False) if author is None else (author.address, author.is_cron_mail)
        if table.may_use(who, address, is_cron_mail=is_cron_mail):
            return None
        if not who.login and self._client.is_port_untold and self._is_port_to_log():
            self._log.warning("milter.port_untold", queue_id=self._queue_id, effect=PORT_UNTOLD, mend=TELL_PORT)
        if table.refuses_others:
            domain = None if author is None else author.domain
            return self._refuse_sender(domain, "You may not send mail From this address")
        if self._unsigned in {None, Unsigned.ALREADY_SIGNED}:
            self._unsigned = Unsigned.SENDER_NOT_ALLOWED
        return None

    def _refuse_sender(self, domain: str | None, text: str) -> int:
        self._log.info(
            "milter.not_allowed",
            queue_id=self._queue_id,
            door=self._door,
            uid=self._uid,
            domain=None if domain is None else safe(domain),
        )
        return self._refuse("550", text)

    def _log_counted(self, origin: Origin, outcome: DoorDecision) -> None:
        usage = outcome.usage
        self._log.info(
            "milter.counted",
            queue_id=self._queue_id,
            first_queue_id=(origin.first or "").partition(" ")[0] or None,
            uid=outcome.uid,
            requeued="yes" if origin.is_requeued else None,
            outcome=outcome.what,
            rule=outcome.rule,
            key=None if usage is None else usage.key,
            used=None if usage is None else usage.used,
            limit=None if usage is None else usage.limit,
            window_s=None if usage is None else usage.window_s,
            by=outcome.by,
        )

    def _turned_away(self) -> int | None:
        """Refuse whoever is not Postfix; who it is decides whether a later try can help."""
        uid = None if self._client.ends is None else self._users.owner_of(*self._client.ends)
        if uid is not None and uid == self._sendmail_door.postfix_uid:
            return None
        self._log.warning("milter.turned_away", queue_id=self._queue_id, uid=UNKNOWN_UID if uid is None else str(uid))
        if uid is None:
            return self._refuse("451", "Cannot tell who is connecting, try again later")
        return self._refuse("550", "Only Postfix may use this port; hand your mail to sendmail(1)")

    def _refuse(self, code: str, text: str) -> int:
        self._count("postroom_milter_refused_total")
        self._message = None
        self.setreply(code, f"{code[0]}.7.1", text.replace("%", "%%"))
        return Milter.TEMPFAIL if code.startswith("4") else Milter.REJECT

    @_guarded(Milter.CONTINUE)
    def abort(self) -> int:
        self._message = None
        return Milter.CONTINUE

    def break_message(self, error: Exception) -> None:
        """Note a fault of ours: the message is to come again later."""
        was_broken, self._is_broken, self._message = self._is_broken, True, None
        if not was_broken:  # one line a message, not one for each of its header fields
            self._count("postroom_milter_faults_total")
            effect = "the client is told to try again later"
            self._log.error("milter.fault", queue_id=self._queue_id, effect=effect, **error_fields(error))

    def _let_pass(self, reason: Unsigned) -> int:
        domain = None if self._message is None else self._message.domain
        self._message = None
        self._count(f"postroom_milter_unsigned_{reason}_total")
        self._log.info(
            "milter.unsigned",
            queue_id=self._queue_id,
            door=self._door,
            uid=self._uid,
            domain=None if domain is None else safe(domain),
            reason=reason,
        )
        return Milter.ACCEPT

    @property
    def _open_message(self) -> CollectedMessage:
        if self._message is None:
            raise LookupError("a callback without a message: Postfix always sends DATA before it")
        return self._message

    @property
    def _queue_id(self) -> str:
        return self.getsymval("i") or "NOQUEUE"


def _path(argument: str) -> str:
    """The address of a path as Postfix passes it on (RFC 5321 §4.1.2), without its angle brackets."""
    return argument.removeprefix("<").removesuffix(">")
