"""SMTP as the hand-over speaks it: bytes in, replies out; commands as bytes. No I/O.

One transaction a delivery. MAIL, RCPT and DATA go out as one group, and the
group of the next delivery rides behind the final dot of this one (RFC 2920
§3.1 allows the message to begin a group, DATA must end it): one round trip a
delivery.

Source:  RFC 5321 (SMTP), RFC 2920 (PIPELINING), RFC 3461 (DSN: RET, ENVID).
Limits:  a reply line over MAX_LINE octets or a reply over MAX_LINES lines raises SmtpProtocolError.
"""

import re
from dataclasses import dataclass
from enum import Enum

from postroom.mail.status import Reply, reply

MAX_LINE = 2048
MAX_LINES = 100

END_OF_DATA = b".\r\n"
RESET = b"RSET\r\n"
QUIT = b"QUIT\r\n"

_REPLY_LINE = re.compile(rb"([2345]\d\d)(?:([ -])([^\r\n]*))?")
_QUEUED_AS = re.compile(r"queued as ([0-9A-Za-z]{6,})$")
_BARE_NEWLINE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


class SmtpProtocolError(Exception):
    """The other side does not speak SMTP."""


class ReplyReader:
    """Collects octets until a reply is whole."""

    def __init__(self) -> None:
        self._buffer = b""
        self._lines: list[str] = []
        self._code: int | None = None

    def feed(self, octets: bytes) -> list[Reply]:
        """The replies completed by these octets.

        Raises:
            SmtpProtocolError: this is no SMTP reply; the session is of no further use.
        """
        *lines, self._buffer = (self._buffer + octets).split(b"\n")
        if len(self._buffer) > MAX_LINE + len(b"\r"):
            raise SmtpProtocolError(f"a reply line of more than {MAX_LINE} octets")
        replies = []
        for line in lines:
            whole = self._line(line.removesuffix(b"\r"))
            if whole is not None:
                replies.append(whole)
        return replies

    def _line(self, line: bytes) -> Reply | None:
        found = _REPLY_LINE.fullmatch(line) if len(line) <= MAX_LINE else None
        if found is None:
            raise SmtpProtocolError("a line that is not an SMTP reply")
        code = int(found[1])
        if self._code not in (None, code):
            raise SmtpProtocolError("a reply whose lines have different codes")
        self._lines.append((found[3] or b"").decode("utf-8", "replace"))
        if len(self._lines) > MAX_LINES:
            raise SmtpProtocolError(f"a reply of more than {MAX_LINES} lines")
        if found[2] == b"-":
            self._code = code
            return None
        whole = reply(code, self._lines)
        self._code, self._lines = None, []
        return whole


def ehlo(hostname: str) -> bytes:
    """The EHLO command."""
    return f"EHLO {hostname}\r\n".encode("ascii")


def envelope(sender: str, recipient: str, message: str, *, dsn: bool) -> bytes:
    """MAIL, RCPT and DATA of one delivery as one group.

    Args:
        sender:    envelope sender, ASCII, without angle brackets.
        recipient: likewise.
        message:   our id; it is the ENVID, so a DSN names it (RFC 3461 §4.4).
        dsn:       whether the server offers DSN.
    """
    options = f" RET=HDRS ENVID={message}" if dsn else ""
    return f"MAIL FROM:<{sender}>{options}\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode("ascii")


def stuffed(body: bytes) -> bytes:
    """The body ready to be sent, without its final dot: lines end in CRLF, leading dots are doubled.

    A bare CR or LF never leaves us: a server that took one for the end of a
    line could be made to see a dot and commands where there were none.

    Source: RFC 5321 §4.5.2 (transparency), §2.3.8 (lines).
    """
    # Counted first, as that takes a tenth of the search: with as many CR LF as CR and as LF, none stands alone.
    if not body.count(b"\r\n") == body.count(b"\r") == body.count(b"\n"):
        body = _BARE_NEWLINE.sub(b"\r\n", body)
    if not body.endswith(b"\r\n"):
        body += b"\r\n"
    body = body.replace(b"\r\n.", b"\r\n..")
    return b"." + body if body.startswith(b".") else body


def queue_id(answer: Reply) -> str | None:
    """The queue id in Postfix's answer to the final dot (`250 2.0.0 Ok: queued as 4XyZ1k2`)."""
    found = _QUEUED_AS.search(answer.text)
    return found[1] if found else None


class Disposition(Enum):
    """What a refusal means for the delivery."""

    RETRY = "retry"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class PeerRefusal:
    """A definite no: the delivery was not queued."""

    verdict: Disposition
    reply: Reply


def refusal_of_envelope(mail: Reply, rcpt: Reply, data: Reply) -> PeerRefusal | None:
    """What the replies to MAIL, RCPT and DATA come to; None when the body may be sent.

    A permanent refusal fails the delivery only where it speaks of the
    recipient or the size. Anything else (relaying denied, a sender domain
    unknown, a wrong restriction) is a fault of the wiring: the mail waits,
    shows the reply, and goes out when the wiring is mended.
    """
    if not mail.is_success:
        too_large = mail.is_permanent and (mail.code == 552 or mail.enhanced_status == "5.3.4")
        return PeerRefusal(Disposition.FAIL if too_large else Disposition.RETRY, mail)
    if not rcpt.is_success:
        of_recipient = rcpt.is_permanent and (rcpt.enhanced_status or "").startswith(("5.1.", "5.2."))
        return PeerRefusal(Disposition.FAIL if of_recipient else Disposition.RETRY, rcpt)
    return None if data.code == 354 else PeerRefusal(Disposition.RETRY, data)


def refusal_of_body(answer: Reply) -> PeerRefusal | None:
    """What the reply to the final dot comes to; None when it was queued. A permanent refusal is of this message."""
    if answer.is_success:
        return None
    return PeerRefusal(Disposition.FAIL if answer.is_permanent else Disposition.RETRY, answer)
