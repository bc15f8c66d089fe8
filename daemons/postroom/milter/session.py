"""One connection of Postfix's: libmilter's callbacks, and nothing else.

    connect ─► MAIL ─► DATA: which door? ─► header … ─► end of header: whose mail? ─► body … ─► end: sign
                         └ inbound: let pass                └ not to be signed: let pass

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

from postroom.mail.logsafe import safe
from postroom.milter.doors import Address, Door, door_of
from postroom.milter.message import Message, Signer
from postroom.milter.reasons import Unsigned
from postroom.runtime.lifecycle import told
from postroom.runtime.log import Log

P = ParamSpec("P")
Callback: TypeAlias = "Callable[Concatenate[Session, P], int]"
Count = Callable[[str], object]
"""Counts a metric by its name; may be called on any thread."""


def _guarded(on_fault: int) -> "Callable[[Callback[P]], Callback[P]]":
    """Keep a fault of ours to its message; answer `on_fault` (CONTINUE where Postfix does not wait for an answer)."""

    def guard(callback: "Callback[P]") -> "Callback[P]":
        @wraps(callback)
        def guarded(session: "Session", /, *arguments: P.args, **more: P.kwargs) -> int:
            try:
                return callback(session, *arguments, **more)
            except Exception as error:  # noqa: BLE001 - it must cost this message a delay, and no other
                session.break_message(error)
                return on_fault

        return guarded

    return guard


class Session(Milter.Base):
    """What is known of one connection, and of the message under way on it."""

    def __init__(self, signer: Signer, log: Log, count: Count) -> None:
        self._signer = signer
        self._log = log
        self._count = count
        self._daemon_name: str | None = None
        self._client: Address | None = None
        self._door: Door = "inbound"
        self._message: Message | None = None
        self._is_connected = False
        self._is_broken = False

    @Milter.noreply
    @_guarded(Milter.CONTINUE)
    def connect(self, hostname: str, family: int, hostaddr: object) -> int:
        self._daemon_name = self.getsymval("{daemon_name}")
        if family in {socket.AF_INET, socket.AF_INET6} and isinstance(hostaddr, tuple):
            self._client = ip_address(hostaddr[0])
        self._is_connected = True
        return Milter.CONTINUE

    @Milter.noreply
    @_guarded(Milter.CONTINUE)
    def envfrom(self, sender: str, *parameters: str) -> int:
        self._is_broken, self._message = False, None
        if not self._is_connected:
            raise LookupError("the connection's own callback did not come, or failed")
        # Of each message anew: a client may log in between two.
        self._door = door_of(self._daemon_name, self.getsymval("{auth_authen}"), self._client, self._signer.networks)
        return Milter.CONTINUE

    @_guarded(Milter.TEMPFAIL)
    def data(self) -> int:
        if self._is_broken:
            return Milter.TEMPFAIL
        if self._door == "inbound":
            return self._let_pass(Unsigned.INBOUND)
        self._message = Message(self._signer)
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
        reason = self._open_message.refusal()
        return Milter.CONTINUE if reason is None else self._let_pass(reason)

    @Milter.noreply
    @_guarded(Milter.CONTINUE)
    def body(self, chunk: bytes) -> int:
        self._open_message.body.update(chunk)
        return Milter.CONTINUE

    @_guarded(Milter.TEMPFAIL)
    def eom(self) -> int:
        if self._is_broken:
            return Milter.TEMPFAIL
        message = self._open_message
        signatures = message.signatures(int(time.time()))
        if not signatures:
            return self._let_pass(Unsigned.ALREADY_SIGNED)
        for _, value in reversed(signatures):  # each goes on top, so the first of `dkim` ends up topmost
            self.addheader("DKIM-Signature", value, 0)
        self._count("postroom_milter_signed_total")
        self._log.info(
            "milter.signed",
            queue_id=self._queue_id,
            door=self._door,
            domain=message.domain,
            selectors=",".join(key.selector for key, _ in signatures),
        )
        self._message = None
        return Milter.CONTINUE

    @_guarded(Milter.CONTINUE)
    def abort(self) -> int:
        self._message = None
        return Milter.CONTINUE

    def break_message(self, error: Exception) -> None:
        """Note a fault of ours: the message is to come again later."""
        was_broken, self._is_broken, self._message = self._is_broken, True, None
        if not was_broken:  # one line a message, not one for each of its header fields
            self._count("postroom_milter_faults_total")
            effect = "its client is told to try later"
            self._log.error("milter.fault", queue_id=self._queue_id, effect=effect, **told(error))

    def _let_pass(self, reason: Unsigned) -> int:
        domain = None if self._message is None else self._message.domain
        self._message = None
        self._count(f"postroom_milter_unsigned_{reason}_total")
        self._log.info(
            "milter.unsigned",
            queue_id=self._queue_id,
            door=self._door,
            domain=None if domain is None else safe(domain),
            reason=reason,
        )
        return Milter.ACCEPT

    @property
    def _open_message(self) -> Message:
        if self._message is None:
            raise LookupError("a callback without a message: Postfix always sends DATA before it")
        return self._message

    @property
    def _queue_id(self) -> str:
        return self.getsymval("i") or "NOQUEUE"
