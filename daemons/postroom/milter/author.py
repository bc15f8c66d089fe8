"""The author of a message: its only From address.

Receivers judge a message by the domain of it (DMARC), so it must be the one that
every reader sees. A From field that two programs could read differently has
no author here, and mail without one is not signed.

The address is as written but for its domain, which is in lower-case A-labels. A quoted
local part may be another spelling of a plain one ("jane"@ is jane@), and is not
read: NOBODY stands for it, which is no user's and no entry's.

Comments, quoted strings and 8-bit display names are read, for mail clients and
cron(8) write them; groups, routes, lists, addresses inside a display name and comments inside
an address are not.

Source:  RFC 5322 §3.4 (mailbox), §3.2.2 (comments); RFC 7489 §6.6.1.
Limits:  a From field over MAX_OCTETS is not read.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from postroom.mail.addresses import domain_of
from postroom.milter.sign import HeaderField, Unsigned

MAX_OCTETS = 4_000

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_QUOTED = "\x00"  # stands for a quoted string; the field itself holds no control
_ADDRESS = r"(?P<{}>(?:[^\s()<>\[\]:;@,\x00]+|\x00)@[^\s()<>\[\]:;@,\x00]+)"
_MAILBOX = re.compile(rf"\s*{_ADDRESS.format('bare')}\s*|[^()<>\[\]:;@,]*<\s*{_ADDRESS.format('angled')}\s*>\s*")
_CRON = re.compile(rb'\s*root(?:@[^\s()<>"]+)? \(Cron Daemon\)\s*|\s*"\(Cron Daemon\)" <root(?:@[^\s()<>"]+)?>\s*')

NOBODY = '""'
"""The local part of an author whose local part is quoted."""


class AuthorUnknown(ValueError):
    """The message has no author; `reason` says why."""

    def __init__(self, reason: Unsigned) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Author:
    """Whom a message is from.

    Attributes:
        address:      its domain in lower-case A-labels.
        domain:       that domain.
        is_cron_mail: the field has the form that cron(8) writes.
    """

    address: str
    domain: str
    is_cron_mail: bool = False


def author_of(fields: Iterable[HeaderField]) -> Author:
    """Give the author.

    Raises:
        AuthorUnknown: no From, several, several addresses in it, or one that is not read.
    """
    values = [value for name, value in fields if name.strip(b" \t").lower() == b"from"]
    if len(values) != 1:
        raise AuthorUnknown(Unsigned.FROM_SEVERAL if values else Unsigned.FROM_MISSING)
    # Octets that are no UTF-8 may stand in a display name; in an address they match no domain of ours.
    text = values[0].decode("utf-8", "surrogateescape")
    if len(values[0]) > MAX_OCTETS or _CONTROL.search(text):
        raise AuthorUnknown(Unsigned.FROM_UNPARSEABLE)
    plain = _without_comments(text)
    mailbox = _MAILBOX.fullmatch(plain)
    if mailbox is None:
        raise AuthorUnknown(Unsigned.FROM_SEVERAL if plain.count("@") > 1 else Unsigned.FROM_UNPARSEABLE)
    address = mailbox["bare"] or mailbox["angled"]
    local, _, _ = address.rpartition("@")
    domain = domain_of(address)
    return Author(f"{NOBODY if local == _QUOTED else local}@{domain}", domain, _CRON.fullmatch(values[0]) is not None)


def _without_comments(text: str) -> str:
    """The field with a blank for each comment and a mark for each quoted string."""
    plain: list[str] = []
    depth, is_quoted, is_escaped, is_angled = 0, False, False, False
    for character in text:
        if is_escaped:
            is_escaped = False
        elif character == "\\":
            if not (depth or is_quoted):
                raise AuthorUnknown(Unsigned.FROM_UNPARSEABLE)
            is_escaped = True
        elif is_quoted:
            is_quoted = character != '"'
        elif character == "(":
            if is_angled:
                # What stands between < and > is the address to most programs, with all that looks like another one.
                raise AuthorUnknown(Unsigned.FROM_UNPARSEABLE)
            depth += 1
            plain.append(" ")
        elif depth:
            depth -= character == ")"
        elif character == '"':
            is_quoted = True
            plain.append(_QUOTED)
        else:
            is_angled = character == "<" or (is_angled and character != ">")
            plain.append(character)
    if depth or is_quoted:
        raise AuthorUnknown(Unsigned.FROM_UNPARSEABLE)
    return "".join(plain)
