"""Header fields: a value in Unicode to folded 7-bit lines.

Each function gives one whole field, CRLF at its end. A value that is plain
ASCII goes out as it is; any other becomes encoded-words (UTF-8, B or Q,
whichever is shorter). So does ASCII that would not be read back as it is
written: text that looks like an encoded-word, blanks at an end or in a run,
a word too long for a line.

Promise: what a reader shows is the value, character by character, and no
value can end its field, because controls are refused (controls.py).
Source:  RFC 5322 §2.1.1, §2.2.3, §3.3, §3.4, §3.6; RFC 2047 §2, §4, §5, §8.
Limits:  a field over MAX_FIELD_OCTETS is refused: Postfix drops what goes
         beyond header_size_limit (102400).
"""

import binascii
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from postroom.mail.addresses import Mailbox
from postroom.mail.controls import control_in

FOLD_OCTETS = 76  # of a line with encoded-words (RFC 2047 §2); RFC 5322 asks for 78
MAX_LINE_OCTETS = 998
MAX_FIELD_OCTETS = 100_000
MAX_ENCODED_WORD_OCTETS = 75

_MAX_PLAIN_WORD = 900  # leaves room for the field's name on the line
_MAX_QUOTED_NAME = 64  # a quoted-string is not folded
_PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_ATOMS = re.compile(rf"{_ATEXT}+(?: {_ATEXT}+)*")
_MESSAGE_ID = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*@{_ATEXT}+(?:\.{_ATEXT}+)*")
# The octets that may stand for themselves in a Q-word in any place, also in a display name (RFC 2047 §5 (3)).
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q = ["_" if octet == 0x20 else chr(octet) if octet in _Q_SAFE else f"={octet:02X}" for octet in range(256)]
# Not strftime: it speaks the language of the process.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class HeaderInvalid(ValueError):
    """The value cannot stand in a header; `field` is the header's name, `reason` does not quote the value."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def refuse_controls(field: str, value: str) -> None:
    """Let only text pass that is one line for every reader.

    Raises:
        HeaderInvalid: a control (line break, NUL, TAB, C1, lone surrogate …) in
            the value or in what an encoded-word inside it decodes to.
    """
    if (control := control_in(value)) is not None:
        raise HeaderInvalid(field, f"the value cannot hold the control character {control}")


def text_field(field: str, value: str) -> str:
    """An unstructured field, as Subject.

    Source: RFC 5322 §3.6.5; encoded-words by RFC 2047 §5 (1).
    """
    if len(value) > MAX_FIELD_OCTETS:
        raise _too_long(field)
    refuse_controls(field, value)
    if not value:
        return f"{field}:\r\n"
    if _PLAIN.fullmatch(value) is not None and "=?" not in value:
        words = value.split(" ")
        if max(map(len, words)) <= _MAX_PLAIN_WORD:
            return _folded(field, words)
    return _folded(field, encoded_words(value, _first_room(field)))


def address_field(field: str, mailboxes: Sequence[Mailbox]) -> str:
    """A list of one or more mailboxes, as From, To, Cc and Reply-To.

    Source: RFC 5322 §3.4; display names by RFC 2047 §5 (3).
    """
    tokens: list[str] = []
    for mailbox in mailboxes:
        if mailbox.name:
            tokens += _phrase(mailbox.name, MAX_ENCODED_WORD_OCTETS if tokens else _first_room(field))
            tokens.append(f"<{mailbox.address}>,")
        else:
            tokens.append(f"{mailbox.address},")
    if not tokens:
        raise HeaderInvalid(field, "there must be at least one mailbox")
    tokens[-1] = tokens[-1].removesuffix(",")
    return _folded(field, tokens)


def date_field(unix_s: float) -> str:
    """Date, in UTC, whole seconds (rounded down).

    Source: RFC 5322 §3.3.
    """
    try:
        at = datetime.fromtimestamp(unix_s // 1, UTC)
    except (OverflowError, ValueError, OSError):
        raise HeaderInvalid("Date", "the time is outside of what the calendar has") from None
    if at.year < 1900:  # RFC 5322 §3.3
        raise HeaderInvalid("Date", "the year is before 1900")
    day = f"{_DAYS[at.weekday()]}, {at.day:02} {_MONTHS[at.month - 1]} {at.year:04}"
    return f"Date: {day} {at.hour:02}:{at.minute:02}:{at.second:02} +0000\r\n"


def message_id_field(message_id: str) -> str:
    """Message-ID; `message_id` is written without < and >.

    Source: RFC 5322 §3.6.4 (msg-id without the obsolete forms and literals).
    """
    line = f"Message-ID: <{message_id}>"
    if len(line) > MAX_LINE_OCTETS or _MESSAGE_ID.fullmatch(message_id) is None:
        raise HeaderInvalid("Message-ID", "the value must be of the form left@right in ASCII, without blanks")
    return f"{line}\r\n"


def encoded_words(value: str, first_room: int = MAX_ENCODED_WORD_OCTETS) -> list[str]:
    """The encoded-words of a text; no character is split over two of them.

    Args:
        first_room: octets that the first word may have, at least 40; the others have 75.

    Source: RFC 2047 §2 and §4; "each encoded-word … MUST represent an integral number of characters" (§5).
    """
    octets = value.encode()
    quoted = "".join(map(_Q.__getitem__, octets))
    if len(quoted) <= (len(octets) + 2) // 3 * 4:
        return _q_words(quoted, first_room)
    return _b_words(octets, first_room)


_FRAME_OCTETS = len("=?utf-8?q??=")


def _q_words(quoted: str, room: int) -> list[str]:
    words: list[str] = []
    start = 0
    while start < len(quoted):
        end = start + room - _FRAME_OCTETS
        if end < len(quoted):
            # Not inside =XX, and not before a continuation octet (=80 to =BF) of a character.
            if (mark := quoted.rfind("=", end - 2, end)) >= 0:
                end = mark
            while quoted[end] == "=" and quoted[end + 1] in "89AB":
                end -= 3
        words.append(f"=?utf-8?q?{quoted[start:end]}?=")
        start, room = min(end, len(quoted)), MAX_ENCODED_WORD_OCTETS
    return words


def _b_words(octets: bytes, room: int) -> list[str]:
    words: list[str] = []
    start = 0
    while start < len(octets):
        end = start + (room - _FRAME_OCTETS) // 4 * 3
        while end < len(octets) and octets[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{binascii.b2a_base64(octets[start:end], newline=False).decode()}?=")
        start, room = end, MAX_ENCODED_WORD_OCTETS
    return words


def _phrase(name: str, first_room: int) -> list[str]:
    if "=?" not in name:
        if _ATOMS.fullmatch(name) is not None:
            return name.split(" ")
        if len(name) <= _MAX_QUOTED_NAME and _PLAIN.fullmatch(name) is not None:
            escaped = name.replace("\\", "\\\\").replace('"', '\\"')
            return [f'"{escaped}"']
    return encoded_words(name, first_room)


def _first_room(field: str) -> int:
    return FOLD_OCTETS - len(field) - len(": ")


def _folded(field: str, tokens: Iterable[str]) -> str:
    """The field with a line break before each token that no longer fits.

    The first token stays beside the name: some readers lose a field whose first line is empty.
    """
    lines: list[str] = []
    line = f"{field}:"
    bare = True
    for token in tokens:
        if not bare and len(line) + 1 + len(token) > FOLD_OCTETS:
            lines.append(line)
            line = ""
        line += f" {token}"
        bare = False
    lines.append(line)
    folded = "\r\n".join(lines) + "\r\n"
    if len(folded) > MAX_FIELD_OCTETS:
        raise _too_long(field)
    return folded


def _too_long(field: str) -> HeaderInvalid:
    return HeaderInvalid(field, f"the value makes a header longer than {MAX_FIELD_OCTETS} octets")
