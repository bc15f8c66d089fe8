r"""Postfix's access policy protocol: octets in, requests out; actions as octets. Pure.

smtpd(8) sends attributes, `name=value\n` each, and an empty line; it gets one line and an empty line back:

    request=smtpd_access_policy\n
    protocol_state=RCPT\n
    instance=1a2b.6740f1a2.3.0\n
    …
    \n                                                action=DUNNO\n\n

The octets of a reply are exactly these: one more, and smtpd takes it for the next reply.

Source:  Postfix SMTPD_POLICY_README, "Protocol description"; access(5) for the actions.
Limits:  a request over MAX_REQUEST_BYTES or MAX_ATTRIBUTES raises PolicyProtocolError; the caller hangs up.
         Of an attribute that comes twice the last one holds, which the README leaves to us.
"""

from dataclasses import dataclass

from postroom.mail.logsafe import safe

MAX_REQUEST_BYTES = 65_536
"""smtpd's own requests have about 30 attributes of at most 2,048 octets each, most of them short."""
MAX_ATTRIBUTES = 200
MAX_TEXT = 300
"""Characters of an action; an SMTP reply line has at most 512 octets (RFC 5321 §4.5.3.1.5)."""

_END = b"\n\n"


class PolicyProtocolError(Exception):
    """The other side does not speak this protocol; nothing of what it sent is in the text."""


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """What Postfix asks. Text as smtpd has it; what was not sent, or sent empty, is "".

    Args:
        state:           protocol_state: RCPT, END-OF-MESSAGE, …
        instance:        the same in all requests about one message, and in no other's; "" at CONNECT.
        context:         policy_context of the service that asks.
        sender:          envelope sender; "" is the null sender.
        recipient:       "" at DATA and END-OF-MESSAGE when there are several.
        recipient_count: real at DATA and END-OF-MESSAGE, else 0.
        queue_id:        known from the first accepted recipient on.
        login:           name given by SASL.
        client_port:     of its connection; 0 where it is not told (before Postfix 3.0).
        server_address:  smtpd's end of that connection; "" where it is not told (before Postfix 3.2).
        server_port:     of that end; 0 where it is not told.
    """

    state: str
    instance: str
    context: str
    sender: str
    recipient: str
    recipient_count: int
    queue_id: str
    login: str
    client_address: str
    client_port: int = 0
    server_address: str = ""
    server_port: int = 0


class RequestReader:
    """Collects octets, however they are cut, until requests are whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._looked = 0

    def feed(self, octets: bytes) -> None:
        """Take the octets that came, in pieces of any size."""
        self._buffer += octets

    def next_request(self) -> PolicyRequest | None:
        """The next request; None when more octets are needed.

        Raises:
            PolicyProtocolError: this is none, or too large; the connection is of no further use.
        """
        end = self._buffer.find(_END, self._looked)
        if max(end, len(self._buffer) if end == -1 else 0) > MAX_REQUEST_BYTES:
            raise PolicyProtocolError(f"a request of more than {MAX_REQUEST_BYTES} octets")
        if end == -1:
            # Looked at once: a request that trickles in costs no more than one that comes whole.
            self._looked = max(0, len(self._buffer) - 1)
            return None
        block = bytes(self._buffer[:end])
        del self._buffer[: end + len(_END)]
        self._looked = 0
        return _request(block)


def _request(block: bytes) -> PolicyRequest:
    if b"\0" in block:
        raise PolicyProtocolError("a NUL in a request")
    lines = block.split(b"\n")
    if len(lines) > MAX_ATTRIBUTES:
        raise PolicyProtocolError(f"a request of more than {MAX_ATTRIBUTES} attributes")
    attributes: dict[str, str] = {}
    for line in lines:
        name, equals, value = line.partition(b"=")
        if not name or not equals:
            raise PolicyProtocolError("a line that is not an attribute")
        attributes[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    if attributes.get("request") != "smtpd_access_policy":
        raise PolicyProtocolError("a request that is not smtpd_access_policy")
    if not (state := attributes.get("protocol_state")):
        raise PolicyProtocolError("a request without protocol_state")
    # Without an instance messages could not be told apart: all would share the verdict of the first. At CONNECT there
    # is no message yet, and Postfix sends none.
    if state != "CONNECT" and not attributes.get("instance"):
        raise PolicyProtocolError("a request without instance")
    count = attributes.get("recipient_count") or "0"
    if not (count.isascii() and count.isdecimal() and len(count) < 10):
        raise PolicyProtocolError("a recipient_count that is not a number")
    return PolicyRequest(
        state=state,
        instance=attributes.get("instance", ""),
        context=attributes.get("policy_context", ""),
        sender=attributes.get("sender", ""),
        recipient=attributes.get("recipient", ""),
        recipient_count=int(count),
        queue_id=attributes.get("queue_id", ""),
        login=attributes.get("sasl_username", ""),
        client_address=attributes.get("client_address", ""),
        client_port=_port(attributes.get("client_port", "")),
        server_address=attributes.get("server_address", ""),
        server_port=_port(attributes.get("server_port", "")),
    )


def _port(text: str) -> int:
    """A TCP port; 0 for what is none, such as the port of a client that a proxy speaks for."""
    port = int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else 0
    return port if port <= 65_535 else 0


def reply(action: str) -> bytes:
    """An action as smtpd reads it; whatever the text holds, it stays one line of printable ASCII."""
    return b"action=" + safe(action, MAX_TEXT).encode("ascii", "replace") + _END
