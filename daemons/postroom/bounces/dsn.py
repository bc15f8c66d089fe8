"""Delivery status notifications: the fields of message/delivery-status as values. Pure.

Written for the standard and read leniently: addresses without their type, in angle brackets or with comments,
status codes with text behind them, words around the action, groups without a Final-Recipient.

Source:  RFC 3464 §2.2 and §2.3 (fields), RFC 6533 §3 (utf-8 addresses), RFC 3461 §5 (xtext, envelope id).
Limits:  MAX_GROUPS recipients of a report; values as mime.fields() cuts them.
BUGS:    an address of another kind (x400, x500) is passed over unless it has an @.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from postroom.bounces.mime import fields

MAX_GROUPS = 200

ACTIONS = ("failed", "delayed", "delivered", "relayed", "expanded")

_SAID = {"action", "status", "diagnostic-code"}
_FIELD = re.compile(rb"[!-9;-~]{1,100}[ \t]{0,20}:")
_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.]*\d)")
_TYPED = re.compile(r"\s*(?:[\w+-]{1,30}\s*;\s*){1,2}")
_ADDRESS = re.compile(
    r'(?:"[^"@\s]{1,64}"|[^\s<>()\[\]{},;:"\'|]{1,128})@(?:\[[\w.:]{1,60}\]|[\w#-]{1,63}(?:\.[\w#-]{1,63}){0,12})'
)
_UNICODE = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """What a report says of one recipient.

    Attributes:
        address:    the final recipient, "" when the report has none.
        original:   the recipient as the sender wrote it, "" when the report has none.
        action:     one of ACTIONS, or "" for a word that is none.
        status:     enhanced status code, "" without one.
        diagnostic: the reply or reason, "" without one.
    """

    address: str
    original: str
    action: str
    status: str
    diagnostic: str


def read_statuses(block: bytes) -> list[RecipientStatus]:
    """The recipients of a delivery-status part, in their order; a group that names none is left out."""
    found: list[RecipientStatus] = []
    for group in _groups(block):
        action = next((word for word in ACTIONS if word in group.get("action", "").lower()), "")
        status = _STATUS.search(group.get("status", ""))
        diagnostic = _TYPED.sub("", group.get("diagnostic-code", ""), count=1).strip()
        final, original = address_in(group.get("final-recipient", "")), address_in(group.get("original-recipient", ""))
        if not (final or original) or not (action or status or diagnostic):
            continue
        found.append(RecipientStatus(final, original, action, status[0] if status else "", diagnostic))
        if len(found) == MAX_GROUPS:
            break
    return found


def address_in(value: str) -> str:
    """The address in a typed field (rfc822;jane@example.org), "" without one."""
    value = _UNICODE.sub(lambda code: _character(int(code[1], 16)), value)
    found = _ADDRESS.search(_TYPED.sub("", value, count=1))
    return "" if found is None else found[0].rstrip(".:")


def _groups(block: bytes) -> Iterator[dict[str, str]]:
    """Groups of fields, one for each recipient.

    Empty lines part them (§2.1), but some programs write them within a group: so a recipient begins the next group
    where the present one has that field already, or has something said of it and an empty line stood between.
    """
    group: dict[str, str] = {}
    for paragraph in _paragraphs(block):
        for number, (key, value) in enumerate(fields(paragraph)[0]):
            is_named = key in {"final-recipient", "original-recipient"}
            if is_named and (key in group or (number == 0 and not _SAID.isdisjoint(group))):
                yield group
                group = {}
            group.setdefault(key, value)
    if group:
        yield group


def _paragraphs(block: bytes) -> Iterator[bytes]:
    """Runs of fields between empty lines; lines that are no fields are left out."""
    lines: list[bytes] = []
    for line in [*block.replace(b"\r\n", b"\n").split(b"\n"), b""]:
        if not line.strip():
            if lines:
                yield b"\n".join(lines)
            lines = []
        elif _FIELD.match(line) or (lines and line[:1] in {b" ", b"\t"}):
            lines.append(line)


def _character(code: int) -> str:
    return chr(code) if 0x20 < code < 0x110000 and not 0xD800 <= code < 0xE000 else ""


def read_embedded_statuses(text: str) -> list[RecipientStatus]:
    """Statuses in plain text, for reports whose MIME was lost on the way."""
    start = re.search(r"(?mi)^[ \t]{0,8}(?:final|original)-recipient[ \t]{0,8}:", text)
    if start is None:
        return []
    lines = (
        line.strip() if re.match(r"[ \t]{0,8}[\w-]{3,40}[ \t]{0,8}:", line) else line
        for line in text[start.start() :].split("\n")
    )
    return read_statuses("\n".join(lines).encode("utf-8", "replace"))
