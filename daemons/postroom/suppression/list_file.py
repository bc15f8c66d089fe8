"""The list of suppressed recipients as a file, for another host or program. Pure.

    recipient_hash,domain,hint,stream,cause,since,until
    22dc46…,example.net,j…@example.net,,invalid_recipient,2026-11-24T10:00:00+00:00,2027-05-23T10:00:00+00:00

Import takes what export writes, as CSV (RFC 4180) or as JSON lines, and plain lists: an address or a hash on each line.
Columns may be missing but the first, which is named `recipient_hash`, `address` or `recipient`; empty lines and those
that begin with # are passed over. Hashes are of use only under the key they were made with
(keys/recipient-hash.key).
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from postroom.mail.addresses import AddressInvalid, domain_of, masked, parse_mailbox
from postroom.mail.recipients import recipient_hash
from postroom.store.shared.values import Suppression

COLUMNS = ("recipient_hash", "domain", "hint", "stream", "cause", "since", "until")
HASH = re.compile(r"#?([0-9a-f]{32})")
CAUSE = re.compile(r"[a-z][a-z0-9_]{0,39}")
STREAM = re.compile(r"[a-z][a-z0-9_-]{0,63}")
MAX_LINE_CHARS = 10_000
_WHO = ("recipient_hash", "address", "recipient")
_DOMAIN = re.compile(r"[a-z0-9.-]{1,253}")
_HINT = re.compile(r"[^\s@\x00-\x1f\x7f]{0,2}…@[a-z0-9.-]{1,253}")


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be taken; what it says is not repeated, for it may be an address."""

    number: int
    reason: str


class _Unfit(ValueError):
    """A field that cannot be taken; the message has no part of it."""


def exported(entry: Suppression) -> dict[str, str | None]:
    """One entry as it is written: never an address."""
    return {
        "recipient_hash": entry.recipient_hash,
        "domain": entry.domain,
        "hint": entry.hint,
        "stream": entry.stream,
        "cause": entry.cause,
        "since": _time_text(entry.added_at),
        "until": None if entry.expires_at is None else _time_text(entry.expires_at),
    }


def read_list(lines: Iterable[str], key: bytes, now: float) -> Iterator[Suppression | BadLine]:
    """Read a list, line by line.

    Args:
        key: addresses are hashed with it.
        now: Unix seconds; since when, where a line does not say.
    """
    read: Callable[[str], dict[str, object]] = _plain
    is_first = True
    for number, line in enumerate(lines, start=1):
        text = line.lstrip("\ufeff").strip() if is_first else line.strip()
        if not text or (text.startswith("#") and HASH.fullmatch(text) is None):
            continue
        try:
            if len(text) > MAX_LINE_CHARS:
                raise _Unfit(f"is longer than {MAX_LINE_CHARS} characters")
            if is_first and (header := _header(text)) is not None:
                read = _csv_reader(header)
                continue
            yield _entry(_json(text) if text.startswith("{") else read(text), key, now)
        except _Unfit as unfit:
            yield BadLine(number, str(unfit))
        finally:
            is_first = False


def _header(text: str) -> list[str] | None:
    names = [name.strip() for name in text.split(",")]
    return names if names[0] in _WHO else None


def _plain(text: str) -> dict[str, object]:
    return {"recipient": text}


def _csv_reader(header: list[str]) -> Callable[[str], dict[str, object]]:
    def read(text: str) -> dict[str, object]:
        try:
            fields = next(csv.reader([text], strict=True))
        except (csv.Error, StopIteration):
            raise _Unfit("is not CSV (RFC 4180)") from None
        if len(fields) != len(header):
            raise _Unfit(f"has {len(fields)} fields, the first line {len(header)}")
        return dict(zip(header, fields, strict=True))

    return read


def _json(text: str) -> dict[str, object]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise _Unfit("is not a JSON object") from None
    assert isinstance(document, dict), "it begins with {"
    return document


def _entry(fields: dict[str, object], key: bytes, now: float) -> Suppression:
    who = _text(fields, *_WHO)
    if (hashed := HASH.fullmatch(who)) is not None:
        domain, hint = _fitting(fields, "domain", _DOMAIN), _fitting(fields, "hint", _HINT)
        known = hashed[1]
    else:
        try:
            address = parse_mailbox(who).address
        except AddressInvalid as invalid:
            raise _Unfit(f"is neither a mail address nor a hash: {invalid.reason}") from None
        known, domain, hint = recipient_hash(key, address), domain_of(address), masked(address)
    since = _moment(fields, "since")
    return Suppression(
        recipient_hash=known,
        domain=domain,
        hint=hint,
        cause=_fitting(fields, "cause", CAUSE) or "imported",
        enhanced_status=None,
        evidence="",
        source="import",
        added_at=now if since is None else since,
        expires_at=_moment(fields, "until"),
        stream=_fitting(fields, "stream", STREAM),
    )


def _text(fields: dict[str, object], *names: str) -> str:
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
    raise _Unfit(f"names no {names[0]}")


def _fitting(fields: dict[str, object], name: str, pattern: re.Pattern[str]) -> str:
    value = fields.get(name)
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise _Unfit(f"{name} is not as `postroom suppress export` writes it")
    return value


def _time_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _moment(fields: dict[str, object], name: str) -> float | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is None or moment.tzinfo is None:
            raise ValueError(name)
        return moment.astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        raise _Unfit(f"{name} is not a time with its zone, such as 2026-11-24T10:00:00+00:00") from None
