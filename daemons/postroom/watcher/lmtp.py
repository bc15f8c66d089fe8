r"""One LMTP session: octets in, replies and mails out. Pure.

    session.feed(octets); event = session.next_event()   bytes: a reply to send   Mail: to be answered   None: feed more

A mail is answered by whoever takes it, with one reply for each of its recipients, in their order; until then the
session gives no further event the caller need look at. Replies come in the order of their commands, so a client may
pipeline.

A mail of any size is taken, and its first MAX_OCTETS kept: what reports is at its head, and a refused report would be
lost. Only CR LF . CR LF ends a mail, so nothing hidden behind a bare newline is taken for a command.

Postfix tells by XFORWARD where it had the mail from; the socket is Postfix's alone, so what it tells is believed.

Source:  RFC 2033 (LMTP), RFC 5321 §4.1 (commands), RFC 2920 (pipelining), RFC 6531 (SMTPUTF8); Postfix XFORWARD_README,
         RFC 3461 §4 (xtext).
Limits:  MAX_LINE_OCTETS a command, MAX_RECIPIENTS a mail, MAX_ERRORS a session; past the first and the last the session
         ends with a 421 or 500.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

MAX_LINE_OCTETS = 2_048
MAX_RECIPIENTS = 100
MAX_ERRORS = 20
MAX_OCTETS = 1_000_000

_OFFERS = (
    "PIPELINING",
    "ENHANCEDSTATUSCODES",
    "8BITMIME",
    "SMTPUTF8",
    "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE",
)
_ATTRIBUTE = re.compile(r"[A-Za-z]{1,20}=(?:[^\s+]|\+[0-9A-Fa-f]{2})*")
_XTEXT = re.compile(r"\+([0-9A-Fa-f]{2})")
_UNKNOWN = ("[UNAVAILABLE]", "[TEMPUNAVAIL]")

_PATH = r"<((?:\"(?:[^\"\\\r\n]|\\.){0,200}\"|[^<>\s\"]){0,500})>"
_MAIL = re.compile(rf"MAIL FROM: ?{_PATH}(?: .*)?", re.IGNORECASE)
_RCPT = re.compile(rf"RCPT TO: ?{_PATH}(?: .*)?", re.IGNORECASE)
_END = b"\r\n.\r\n"

_OK = b"250 2.0.0 Ok\r\n"
_SYNTAX = b"501 5.5.4 Syntax error\r\n"
_SEQUENCE = b"503 5.5.1 Out of order\r\n"


@dataclass(frozen=True, slots=True)
class ForwardedClient:
    """Where Postfix had a mail from, by its XFORWARD.

    Attributes:
        address: of the client that brought it; "" where no client did: sendmail(1), bounce(8), the command of an alias.
        ident:   the queue id it had when that client brought it; "" likewise.
    """

    address: str
    ident: str


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A mail as it came, with its envelope.

    Attributes:
        sender:     of the envelope, "" for the null sender.
        recipients: those that were taken.
        octets:     as it was before it was dot-stuffed, at most MAX_OCTETS of it.
        client:     where it came from; None where the client did not tell.
    """

    sender: str
    recipients: tuple[str, ...]
    octets: bytes
    client: ForwardedClient | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it was left out."""
        return len(self.octets) < MAX_OCTETS


class LmtpSession:
    """The server's side of one LMTP session.

    Args:
        hostname: in the greeting.
        refusal:  why a recipient is not taken: a reply without its end; None takes it.
    """

    def __init__(self, hostname: str, refusal: Callable[[str], str | None]) -> None:
        self._hostname = hostname
        self._refusal = refusal
        self._buffer = bytearray()
        self._replies: list[bytes] = [f"220 {hostname} LMTP\r\n".encode("ascii")]
        self._is_greeted = False
        self._sender: str | None = None
        self._recipients: list[str] = []
        self._forwarded: dict[str, str] = {}
        self._body: bytearray | None = None
        self._errors = 0
        self.is_over = False
        """Whether the session is to be closed once its last reply is sent."""

    def feed(self, octets: bytes) -> None:
        """Take octets that the client has sent."""
        self._buffer += octets

    def next_event(self) -> bytes | ReceivedMail | None:
        """The next reply or mail; None when more octets are needed, or none are wanted any more."""
        while not self._replies:
            if self.is_over:
                return None
            if self._body is not None:
                if (mail := self._mail()) is not None:
                    return mail
                return None
            end = self._buffer.find(b"\r\n", 0, MAX_LINE_OCTETS + 2)
            if end < 0:
                if len(self._buffer) <= MAX_LINE_OCTETS + 1:
                    return None
                self._end(b"500 5.5.6 Line too long\r\n")
                continue
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 2]
            self._command(line)
        return self._replies.pop(0)

    def _command(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        verb = text.partition(" ")[0].upper()
        match verb:
            case "LHLO" if text[4:].strip():
                self._reset()
                self._is_greeted = True
                lines = [f"250-{self._hostname}", *(f"250-{offer}" for offer in _OFFERS[:-1]), f"250 {_OFFERS[-1]}"]
                self._replies.append("".join(f"{one}\r\n" for one in lines).encode("ascii"))
            case "MAIL":
                self._mail_from(text)
            case "RCPT":
                self._rcpt_to(text)
            case "DATA" if text.strip().upper() == "DATA":
                self._data()
            case "XFORWARD":
                self._forward(text)
            case "RSET":
                self._reset()
                self._replies.append(_OK)
            case "NOOP":
                self._replies.append(_OK)
            case "QUIT":
                self._end(b"221 2.0.0 Bye\r\n")
            case _:
                # HELO and EHLO too: they must not be taken (RFC 2033 §4.1).
                self._count_error(b"500 5.5.2 No such command\r\n")

    def _forward(self, text: str) -> None:
        attributes = dict(word.partition("=")[::2] for word in text.split()[1:] if _ATTRIBUTE.fullmatch(word))
        if not self._is_greeted or self._sender is not None:
            self._count_error(_SEQUENCE)
        elif len(attributes) != len(text.split()) - 1 or not attributes:
            self._count_error(_SYNTAX)
        else:
            self._forwarded |= {name.upper(): _without_xtext(value) for name, value in attributes.items()}
            self._replies.append(_OK)

    def _mail_from(self, text: str) -> None:
        found = _MAIL.fullmatch(text)
        if not self._is_greeted or self._sender is not None:
            self._count_error(_SEQUENCE)
        elif found is None:
            self._count_error(_SYNTAX)
        else:
            self._sender = found[1]
            self._replies.append(b"250 2.1.0 Ok\r\n")

    def _rcpt_to(self, text: str) -> None:
        found = _RCPT.fullmatch(text)
        if self._sender is None:
            self._count_error(_SEQUENCE)
        elif found is None or not found[1]:
            self._count_error(_SYNTAX)
        elif len(self._recipients) == MAX_RECIPIENTS:
            self._replies.append(b"452 4.5.3 Too many recipients\r\n")
        elif (refusal := self._refusal(found[1])) is not None:
            self._replies.append(f"{refusal}\r\n".encode("ascii"))
        else:
            self._recipients.append(found[1])
            self._replies.append(b"250 2.1.5 Ok\r\n")

    def _data(self) -> None:
        if self._sender is None or not self._recipients:
            # With no recipient taken it must be this very reply (RFC 2033 §4.2).
            self._count_error(b"503 5.5.1 No valid recipients\r\n")
            return
        # A line end before the first line makes a dot there like any other; it is taken off again.
        self._body = bytearray()
        self._buffer[:0] = b"\r\n"
        self._replies.append(b"354 Go on\r\n")

    def _mail(self) -> ReceivedMail | None:
        """The mail when it is whole; until then what is in the buffer is moved on, or dropped past the limit."""
        assert self._body is not None
        end = self._buffer.find(_END)
        taken = end if end >= 0 else max(0, len(self._buffer) - len(_END) + 1)
        # Stuffing and the first line end come off later, so somewhat more is kept here.
        room = max(0, 2 * MAX_OCTETS - len(self._body))
        self._body += self._buffer[: min(taken, room)]
        del self._buffer[: taken if end < 0 else end + len(_END)]
        if end < 0:
            return None
        octets = bytes(self._body).replace(b"\r\n.", b"\r\n")[2 : MAX_OCTETS + 2]
        assert self._sender is not None
        octets += b"\r\n" * (len(octets) < MAX_OCTETS)
        mail = ReceivedMail(self._sender, tuple(self._recipients), octets, _client(self._forwarded))
        self._reset()
        return mail

    def _reset(self) -> None:
        self._sender, self._recipients, self._body, self._forwarded = None, [], None, {}

    def _count_error(self, reply: bytes) -> None:
        self._errors += 1
        if self._errors > MAX_ERRORS:
            self._end(b"421 4.7.0 Too many errors\r\n")
        else:
            self._replies.append(reply)

    def _end(self, reply: bytes) -> None:
        self._replies.append(reply)
        self.is_over = True


def _client(forwarded: dict[str, str]) -> ForwardedClient | None:
    if not forwarded:
        return None
    address = forwarded.get("ADDR", "")
    return ForwardedClient(address[5:] if address[:5].upper() == "IPV6:" else address, forwarded.get("IDENT", ""))


def _without_xtext(value: str) -> str:
    return "" if value.upper() in _UNKNOWN else _XTEXT.sub(lambda found: chr(int(found[1], 16)), value)
