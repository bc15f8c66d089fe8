"""The types of settings: what a value may be, and what to write when it is none.

Each type is a pydantic annotation made of a reader (the value of the file in,
the value the daemons use out, or a ValueError that says how to mend) and a Kind
(the reference's word for it, and how a default is spelt there). Pure: whether
a path, account or domain exists is not asked here.

Source:  unix(7) (length of a socket's path), chown(2) (uids); what an address or a
         domain name is, mail/addresses.py decides for all rooms.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainValidator

from postroom.config import units
from postroom.config.daemons import DAEMONS, Word
from postroom.config.units import Rate, quoted
from postroom.mail.addresses import AddressInvalid, Mailbox, domain_of, parse_mailbox

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_ACCOUNT = re.compile(r"[^\s:,/-][^:,/\x00-\x1f\x7f]{0,255}")
_UID = re.compile(r"[0-9]{1,10}", re.ASCII)
_MODE = re.compile(r"0?[67][0-7]{2}")  # the daemon itself must reach what it made
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]{1,240}\.(service|scope)")
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
_URL = re.compile(r"https?://[^\s/?#\"'<>\\]+(?:[/?#][^\s\"'<>\\]*)?")

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")

_MAX_SELECTOR = 63  # characters; RFC 6376 §3.1 has no bound, but selector and domain share the 253 of a DNS name
_MAX_DOMAIN = 253  # characters (RFC 1035 §2.3.4); longer text is not even looked at
_MAX_SOCKET_PATH = 107  # octets; sun_path holds 108 with the final NUL
_MAX_TEXT = 200  # characters
_MAX_UID = 2**32 - 2  # (uid_t) -1 is no user


Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Kind:
    """What the reference calls a value of this type, and how it writes a default."""

    word: str
    show: Callable[[Any], str] = str


def as_written(value: object) -> str:
    """Give a value about as it stood in the file, for readers of text and for messages."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case dict():
            return "{…}"
        case list() | tuple():
            return "[…]"
        case _:
            return str(value)


def domain_name(text: str) -> str:
    """Give a full domain name (two labels or more) in lower case, international labels as xn--.

    Raises:
        ValueError: it is none.
    """
    try:
        name = Mailbox("", "x", domain_of(f"x@{text}")).domain if len(text) <= _MAX_DOMAIN else ""
    except AddressInvalid:
        name = ""
    if "@" in text or "." not in name:
        raise ValueError(f"{quoted(text)} is not a full domain name; write for example mail.example.org")
    return name


def _hostname(text: str) -> str:
    try:
        return domain_name(text)
    except ValueError as no_domain:
        raise ValueError(f"{no_domain} (without this setting it is the machine's own name)") from None


def _address(text: str) -> str:
    try:
        mailbox = parse_mailbox(text)
    except AddressInvalid as invalid:
        # Neither our text nor that reason repeats the address: errors go to the log, addresses do not.
        raise ValueError(f"{invalid.reason}; write for example postmaster@example.org") from None
    if mailbox.name:
        raise ValueError("a display name is not allowed here; write the address alone, as postmaster@example.org")
    return mailbox.address


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{quoted(as_written(value))} is not text; put it in quotes")  # noqa: TRY004 (pydantic's way)
    if len(value) > _MAX_TEXT or any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in value):
        raise ValueError(f"{quoted(value)} is not one line of at most {_MAX_TEXT} characters; shorten it")
    return value


def _name(text: str) -> str:
    # It stands in log fields, metrics and limiter keys: no blanks, no two spellings.
    if not _NAME.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not a name; use a-z, 0-9, - and _, for example shop-mail")
    return text


def _user(text: str) -> str:
    if text.isdigit():
        raise ValueError(f"{quoted(text)} is a number, not a name; write the name, or the number under uids")
    return _account(text)


def _group(text: str) -> str:
    if text.isdigit():
        raise ValueError(f"{quoted(text)} is a number, not a name; write the group's name")
    return _account(text)


def _account(text: str) -> str:
    if not _ACCOUNT.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not the name of a user or group; write for example www-data")
    return text


def selector(text: str) -> str:
    """Give a DKIM selector in lower case.

    Source: RFC 6376 §3.1 (labels of a domain name, parted by dots).

    Raises:
        ValueError: it is none.
    """
    name = text.lower()
    if len(name) > _MAX_SELECTOR or not _SELECTOR.fullmatch(name):
        raise ValueError(f"{quoted(text)} is not a selector; use a-z, 0-9, - and dots between, for example 2026a")
    return name


def _networks_or_null(value: object) -> tuple[Network, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple):
        text = quoted(as_written(value))
        raise ValueError(f"{text} is not a list; write each network on a line, after a -")  # noqa: TRY004 (pydantic's way)
    return tuple(_network(as_written(entry)) for entry in value)


def _login(text: str) -> str:
    # An empty one would stand for everybody who has not logged in.
    if not text or text != text.strip() or len(text) > _MAX_TEXT or not text.isprintable():
        raise ValueError(f"{quoted(text)} is not a login; write it as people log in, for example anna@example.org")
    return text


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        meant = f"did you mean {ip_network(text, strict=False)}?"
    except ValueError:
        meant = "write for example 192.0.2.0/24 or 2001:db8::/32"
    raise ValueError(f"{quoted(text)} is not a network; {meant}")


def _path(text: str) -> Path:
    if not text.startswith("/") or any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError(f"{quoted(text)} is not an absolute path; write it from the root, beginning with /")
    return Path(text)


def socket_path(text: str) -> Path:
    """Give an absolute path that a Unix socket can have.

    Raises:
        ValueError: it is relative or too long.
    """
    path = _path(text)
    if len(str(path).encode(errors="surrogateescape")) > _MAX_SOCKET_PATH:
        raise ValueError(f"{quoted(text)} is longer than the {_MAX_SOCKET_PATH} octets of a socket's path; shorten it")
    return path


def _mode(text: str) -> int:
    if not _MODE.fullmatch(text):
        raise ValueError(f'{quoted(text)} is not a file mode with 6 for the owner; write for example "0660"')
    return int(text, 8)


def _colour(text: str) -> str:
    if not _COLOUR.fullmatch(text):
        # A bare # begins a comment in YAML, so an unquoted colour arrives empty.
        raise ValueError(f'{quoted(text)} is not a colour; write for example "#0b57d0", in quotes')
    return text


def _url(text: str) -> str:
    if text and not _URL.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not a web address; write for example https://www.example.org/")
    return text


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{quoted(as_written(value))} is not a switch; write true or false")  # noqa: TRY004 (pydantic's way)
    return value


def _log_source(text: str) -> Path | str:
    if text in {"journal", "stdin"}:
        return text
    try:
        return _path(text)
    except ValueError:
        raise ValueError(
            f"{quoted(text)} is neither journal, stdin nor a path; write for example /var/log/mail.log"
        ) from None


def _units(value: object) -> tuple[str, ...] | str:
    if value == "auto":
        return "auto"
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(
            f"{quoted(as_written(value))} is neither auto nor a list of units; write for example [postfix@-.service]"
        )
    for unit in value:
        if not isinstance(unit, str) or not _UNIT.fullmatch(unit):
            raise ValueError(f"{quoted(as_written(unit))} is not a unit; write for example postfix@-.service")
    return tuple(value)


def _reporters(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        text = quoted(as_written(value))
        raise ValueError(f"{text} is not a list; write each reporter on a line, after a -")  # noqa: TRY004 (pydantic's way)
    return tuple(_reporter(as_written(entry)) for entry in value)


def _reporter(text: str) -> str:
    if "@" in text:
        return _address(text).lower()
    try:
        return domain_name(text)
    except ValueError:
        raise ValueError(
            f"{quoted(text)} is neither a domain nor an address; write for example fbl.example.net or staff@example.net"
        ) from None


def _words(value: object) -> tuple[Word, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{quoted(as_written(value))} is not a list of daemons; write for example [policy, milter]")
    for word in value:
        if word not in DAEMONS:
            raise ValueError(f"{quoted(as_written(word))} is not a daemon; the daemons are: {', '.join(DAEMONS)}")
    return tuple(word for word in DAEMONS if word in value)


def _from_text(reader: Callable[[str], object]) -> BeforeValidator:
    return BeforeValidator(lambda value: reader(as_written(value)))


def _from_text_or_null(reader: Callable[[str], object]) -> BeforeValidator:
    # Not `Address | None`: pydantic would report each arm of the union, under a path of its own.
    return BeforeValidator(lambda value: None if value is None else reader(as_written(value)))


def _whole(value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{quoted(as_written(value))} is not a whole number from {low} to {high}")
    return value


def whole_number(low: int, high: int) -> tuple[BeforeValidator, Kind]:
    """Give the parts of an Annotated whole number from `low` to `high`, both included."""
    return BeforeValidator(lambda value: _whole(value, low, high)), Kind(f"whole number from {low} to {high}")


def _uid_range(value: object) -> range:
    first, dash, last = value.partition("-") if isinstance(value, str) else ("", "", "")
    if not dash:
        uid = _whole(value, 0, _MAX_UID)
        return range(uid, uid + 1)
    if not (_UID.fullmatch(first) and _UID.fullmatch(last) and int(first) <= int(last) <= _MAX_UID):
        raise ValueError(f"{quoted(as_written(value))} is not a range of uids; write for example 0-999")
    return range(int(first), int(last) + 1)


def _count_or_null(value: object) -> int | None:
    return None if value is None else _whole(value, 1, 10**9 - 1)


DomainName = Annotated[str, _from_text(domain_name), Kind("domain name")]
Hostname = Annotated[str, _from_text(_hostname), Kind("domain name")]
OptionalAddress = Annotated[str | None, _from_text_or_null(_address), Kind("mail address")]
AddressValue = Annotated[str, _from_text(_address), Kind("mail address")]
Text = Annotated[str, BeforeValidator(_text), Kind("text")]
Url = Annotated[str, _from_text(_url), Kind("web address")]
Colour = Annotated[str, _from_text(_colour), Kind("colour", lambda colour: f'"{colour}"')]
Name = Annotated[str, _from_text(_name), Kind("name")]
User = Annotated[str, _from_text(_user), Kind("user name")]
Group = Annotated[str, _from_text(_group), Kind("group name")]
OptionalGroup = Annotated[str | None, _from_text_or_null(_group), Kind("group name or null")]
OptionalCount = Annotated[int | None, BeforeValidator(_count_or_null), Kind("whole number from 1 or null")]
OptionalNetworks = Annotated[
    tuple[Network, ...] | None, PlainValidator(_networks_or_null), Kind("list of networks, or null")
]
Login = Annotated[str, _from_text(_login), Kind("login")]
NetworkValue = Annotated[Network, PlainValidator(lambda value: _network(as_written(value))), Kind("network")]
Selector = Annotated[str, _from_text(selector), Kind("selector")]
Uid = Annotated[int, *whole_number(0, _MAX_UID)]
UidRange = Annotated[range, PlainValidator(_uid_range), Kind(f"whole number from 0 to {_MAX_UID}, or range (`0-999`)")]
AbsolutePath = Annotated[Path, _from_text(_path), Kind("path")]
OptionalPath = Annotated[Path | None, _from_text_or_null(_path), Kind("path or null")]
SocketPath = Annotated[Path, _from_text(socket_path), Kind("path")]
OptionalSocketPath = Annotated[Path | None, _from_text_or_null(socket_path), Kind("path or null")]
LogSource = Annotated[Path | str, _from_text(_log_source), Kind("`journal`, `stdin` or path")]
Units = Annotated[tuple[str, ...] | str, BeforeValidator(_units), Kind("`auto` or list: unit name")]
Words = Annotated[
    tuple[Word, ...], BeforeValidator(_words), Kind("list of daemons", lambda words: f"[{', '.join(words)}]")
]
Reporters = Annotated[
    tuple[str, ...],
    BeforeValidator(_reporters),
    Kind("list: domain name or mail address", lambda reporters: f"[{', '.join(reporters)}]"),
]
Mode = Annotated[int, _from_text(_mode), Kind("file mode", lambda mode: f'"{mode:04o}"')]
Switch = Annotated[bool, BeforeValidator(_switch), Kind("true or false", lambda on: str(on).lower())]
RateValue = Annotated[Rate, _from_text(units.rate), Kind("rate")]
OptionalRate = Annotated[Rate | None, _from_text_or_null(units.rate), Kind("rate or null")]
Duration = Annotated[float, _from_text(units.duration), Kind("duration", units.duration_text)]
Size = Annotated[int, _from_text(units.size), Kind("size", units.size_text)]
