"""Compose: the parts of one mail to the octets that are handed over.

One or two bodies and the values of the header, nothing else: no sockets, no
clock, no store. The same parts always give the same octets, so a hand-over
that is repeated after a crash sends what was sent before.

The result passes every hop as it is, so that a DKIM signature made at our door
still holds: 7-bit octets, CRLF line ends only, lines within RFC 5322's 78
octets (only a single word or address may be longer, never over 998), no blanks
at line ends, no line that starts with "From " (mbox) and none that is a lone
dot (SMTP). A body that is not so by itself is sent as quoted-printable or
base64, whichever is shorter.

Bodies: line ends of any kind become CRLF, and a body ends with one; the rest
        is kept to the character.
Bcc:    is envelope only and cannot even be named here.
Source: RFC 5322; RFC 2045 §6 (transfer encodings), RFC 2046 §5.1 (multipart),
        RFC 2049 §3 (what gateways do to a body), RFC 3834 §5 (Auto-Submitted).
"""

import binascii
import hashlib
import re
from dataclasses import dataclass

from postroom.mail.addresses import Mailbox
from postroom.mail.headers import HeaderInvalid, address_field, date_field, message_id_field, text_field

MAX_PLAIN_LINE_OCTETS = 78  # RFC 5322 §2.1.1; quoted-printable and base64 lines have 76

_ASCII_TEXT = bytes(range(0x20, 0x7F)) + b"\t\n"
_HIGH_AND_DEL = bytes(range(0x7F, 0x100))
_BASE64_INPUT_OCTETS = 57  # gives one line of 76
_OVERLONG_END = re.compile(rb"^(.{74,75})(=20|=09)$", re.MULTILINE)
_MBOX_FROM = re.compile(rb"^From ", re.MULTILINE)


class PartsInvalid(ValueError):
    """A part cannot be sent; `part` is its name in `MailParts` ("from" for from_), `reason` does not quote it."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"{part}: {reason}")
        self.part = part
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Image:
    """An image inside the mail: its Content-ID without < and >, the subtype of image/, and its octets."""

    cid: str
    kind: str
    octets: bytes


@dataclass(frozen=True, slots=True)
class MailParts:
    """What one mail is made of.

    Attributes:
        to:             with none, the header says undisclosed-recipients.
        subject:        Unicode, one line.
        text, html:     bodies; at least one.
        message_id:     left@right, without < and >.
        date:           Unix time in seconds.
        auto_submitted: nobody typed this mail; vacation responders shall keep silent (RFC 3834).
        images:         what the HTML shows by "cid:"; sent with it (RFC 2387).
    """

    from_: Mailbox
    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...]
    reply_to: tuple[Mailbox, ...]
    subject: str
    text: str | None
    html: str | None
    message_id: str
    date: float
    auto_submitted: bool
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entity:
    """One body with the header that describes it (a MIME entity, RFC 2045 §2.4)."""

    header: str
    body: bytes


def compose(parts: MailParts) -> bytes:
    """The whole message: header, blank line, body.

    Raises:
        PartsInvalid: no body, a control character, or a value that fits no header.
    """
    header = _header(parts)
    text = None if parts.text is None else _entity("text", "plain", parts.text)
    html = None if parts.html is None else _entity("html", "html", parts.html)
    if html is not None and parts.images:
        pictures = [_picture(image) for image in parts.images]
        html = _multipart("related", (html, *pictures), f"related {parts.message_id}", ' type="text/html";\r\n')
    if text is not None and html is not None:
        # The best form last (RFC 2046 §5.1.4).
        entity = _multipart("alternative", (text, html), parts.message_id)
    elif (only := text or html) is not None:
        entity = only
    else:
        raise PartsInvalid("text", "a mail needs a text, an html or both")
    return f"{header}MIME-Version: 1.0\r\n{entity.header}\r\n".encode("ascii") + entity.body


def _header(parts: MailParts) -> str:
    try:
        fields = [
            address_field("From", (parts.from_,)),
            address_field("To", parts.to) if parts.to else "To: undisclosed-recipients:;\r\n",
            address_field("Cc", parts.cc) if parts.cc else "",
            address_field("Reply-To", parts.reply_to) if parts.reply_to else "",
            text_field("Subject", parts.subject),
            date_field(parts.date),
            message_id_field(parts.message_id),
            "Auto-Submitted: auto-generated\r\n" if parts.auto_submitted else "",
        ]
    except HeaderInvalid as wrong:
        raise PartsInvalid(wrong.field.lower().replace("-", "_"), wrong.reason) from wrong
    return "".join(fields)


def _multipart(kind: str, entities: tuple[_Entity, ...], seed: str, more: str = "") -> _Entity:
    boundary = _boundary(entities, seed)
    pieces = [f"--{boundary}\r\n{entity.header}\r\n".encode("ascii") + entity.body for entity in entities]
    # The CRLF before a delimiter belongs to the delimiter, not to the body (RFC 2046 §5.1.1).
    body = b"\r\n".join([*pieces, f"--{boundary}--\r\n".encode("ascii")])
    return _Entity(f'Content-Type: multipart/{kind};\r\n{more} boundary="{boundary}"\r\n', body)


def _boundary(entities: tuple[_Entity, ...], seed: str) -> str:
    """A boundary that stands in none of the bodies: not likely, but looked for.

    "=_" can be in no quoted-printable and in no base64 (RFC 2045 §6.7). A 7bit
    body may hold anything, even this very text; the next number is tried then.
    It ends, because a body of n octets holds fewer than n different boundaries.
    `seed` is of the Message-ID, ASCII here: the header was made first.
    """
    attempt = 0
    while True:
        boundary = f"=_{hashlib.blake2b(f'{attempt} {seed}'.encode('ascii'), digest_size=16).hexdigest()}"
        if not any(boundary.encode("ascii") in entity.body for entity in entities):
            return boundary
        attempt += 1


def _picture(image: Image) -> _Entity:
    header = (
        f"Content-Type: image/{image.kind}\r\nContent-Transfer-Encoding: base64\r\n"
        f"Content-ID: <{image.cid}>\r\nContent-Disposition: inline\r\n"
    )
    return _Entity(header, _base64_lines(image.octets))


def _entity(part: str, subtype: str, content: str) -> _Entity:
    octets, is_ascii = _octets(part, content)
    if is_ascii and _passes_unchanged(octets):
        encoding, body = "7bit", octets.replace(b"\n", b"\r\n")
    else:
        encoding, body = "quoted-printable", _quoted_printable(octets)
        # Base64 is never shorter than 4/3 of its input, so most bodies need not be tried.
        if len(body) > len(octets) * 4 // 3 and len(shorter := _base64(octets)) < len(body):
            encoding, body = "base64", shorter
    charset = "us-ascii" if is_ascii else "utf-8"
    header = f"Content-Type: text/{subtype}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n"
    return _Entity(header, body)


def _octets(part: str, content: str) -> tuple[bytes, bool]:
    """UTF-8 with LF line ends, the last line ended too, and whether it is ASCII."""
    if "\r" in content:
        content = content.replace("\r\n", "\n").replace("\r", "\n")
    if content and not content.endswith("\n"):
        content += "\n"
    try:
        octets = content.encode()
    except UnicodeEncodeError as wrong:
        surrogate = ord(content[wrong.start])
        raise PartsInvalid(part, f"the body cannot hold the lone surrogate U+{surrogate:04X}") from None
    # translate deletes at memory speed; a regular expression over 10 kB takes longer than all the rest.
    unusual = octets.translate(None, _ASCII_TEXT)
    if controls := unusual.translate(None, _HIGH_AND_DEL):
        raise PartsInvalid(part, f"the body cannot hold the control character U+{controls[0]:04X}")
    return octets, content.isascii()


def _passes_unchanged(octets: bytes) -> bool:
    """Whether an ASCII body survives every hop without an encoding (module docstring)."""
    return (
        max(map(len, octets.split(b"\n"))) <= MAX_PLAIN_LINE_OCTETS
        and b" \n" not in octets
        and b"\t\n" not in octets
        and b"\nFrom " not in octets
        and b"\n.\n" not in octets
        and not octets.startswith((b"From ", b".\n"))
        and b"\x7f" not in octets
    )


def _quoted_printable(octets: bytes) -> bytes:
    """Quoted-printable, lines of at most 76 octets (RFC 2045 §6.7).

    The work is binascii's; given LF it also encodes a blank at a line's end and
    a lone dot. Two things it leaves to us: encoding that last blank may carry a
    line to 78 octets, and "From " at a line's start stays.
    """
    encoded = binascii.b2a_qp(octets)
    if b"=20\n" in encoded or b"=09\n" in encoded:
        encoded = _OVERLONG_END.sub(rb"\1=\n\2", encoded)
    if b"From " in encoded:
        # Broken before the blank, so that the line stays within 76 and the next does not start with "From " again.
        encoded = _MBOX_FROM.sub(b"=46rom=\n ", encoded)
    return encoded.replace(b"\n", b"\r\n")


def _base64(octets: bytes) -> bytes:
    """Base64 of the text with CRLF line ends (its canonical form, RFC 2049 §4)."""
    return _base64_lines(octets.replace(b"\n", b"\r\n"))


def _base64_lines(octets: bytes) -> bytes:
    """Base64, lines of 76 octets (RFC 2045 §6.8)."""
    starts = range(0, len(octets), _BASE64_INPUT_OCTETS)
    lines = [
        binascii.b2a_base64(octets[start : start + _BASE64_INPUT_OCTETS], newline=False) + b"\r\n" for start in starts
    ]
    return b"".join(lines)
