"""Units as an operator writes them: text in, numbers out, and back.

    100/1h            rate      at most 100 in any span of one hour
    30s  5m  1h30m    duration  seconds
    10MB  512KiB      size      octets; kB, MB, GB count by 1000 (SI), KiB, MiB, GiB by 1024 (IEC 80000-13)

Each notation has one spelling of each unit, so that a value means the same to
every reader. The functions ending in `_text` are the inverse: what they write
reads back as the same number.

Errors:  NotInUnits, whose text says what to write instead.
"""

import re
from dataclasses import dataclass

from postroom.mail.logsafe import redacted

_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_OCTETS = {"GiB": 1 << 30, "GB": 10**9, "MiB": 1 << 20, "MB": 10**6, "KiB": 1 << 10, "kB": 10**3, "": 1}
_RATE = re.compile(r"([0-9]{1,9})/([0-9]{1,9})([smhd])")
_SIZE = re.compile(r"([0-9]{1,12})(kB|MB|GB|KiB|MiB|GiB)?")
_DURATION = re.compile(r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?")

LONGEST_WINDOW_S = 31 * _SECONDS["d"]
LONGEST_DURATION_S = 3_650 * _SECONDS["d"]
_LONGEST_QUOTE = 60  # characters of a bad value that an error repeats


class NotInUnits(ValueError):
    """The text is not a rate, duration or size; the message says what to write instead."""


def quoted(text: str) -> str:
    """Give `text` as errors repeat it: in quotes, on one line, of bounded length, addresses masked."""
    return repr(redacted(text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"))


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` in any span of `window_s` seconds; written `100/1h`.

    Raises:
        NotInUnits: the count is below 1, or the window not between 1 s and 31 d.
    """

    count: int
    window_s: int

    def __post_init__(self) -> None:
        if self.count < 1 or not 1 <= self.window_s <= LONGEST_WINDOW_S:
            raise NotInUnits("a rate is a count of at least 1 in 1s to 31d; write for example 100/1h")

    def __str__(self) -> str:
        unit, seconds = next((unit, seconds) for unit, seconds in _SECONDS.items() if self.window_s % seconds == 0)
        return f"{self.count}/{self.window_s // seconds}{unit}"


def rate(text: str) -> Rate:
    """Read a rate such as `100/1h`: a count, and a window in one of s, m, h, d.

    Raises:
        NotInUnits: another form, or a count or window out of range.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        raise NotInUnits(f"{quoted(text)} is not a rate; write for example 100/1h")
    try:
        return Rate(count=int(match[1]), window_s=int(match[2]) * _SECONDS[match[3]])
    except NotInUnits as out_of_range:
        raise NotInUnits(f"{quoted(text)} is out of range: {out_of_range}") from None


def duration(text: str) -> float:
    """Read a duration such as `30s`, `1h30m` or `5d` into seconds.

    Whole numbers of d, h, m, s, in this order, each at most once. A bare
    number has no unit and is refused.

    Raises:
        NotInUnits: another form, no time at all, or more than ten years.
    """
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise NotInUnits(f"{quoted(text)} is not a duration; write for example 30s, 5m or 1h30m")
    seconds = sum(int(count or 0) * unit for count, unit in zip(match.groups(), _SECONDS.values(), strict=True))
    if seconds == 0:
        raise NotInUnits(f"{quoted(text)} is zero; write for example 30s")
    if seconds > LONGEST_DURATION_S:
        raise NotInUnits(f"{quoted(text)} is longer than ten years; write at most 3650d")
    return float(seconds)


def size(text: str) -> int:
    """Read a size such as `10MB`, `512KiB` or `2048` (bare: octets) into octets.

    Raises:
        NotInUnits: another form, or no octets at all.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise NotInUnits(f"{quoted(text)} is not a size; write for example 10MB")
    octets = int(match[1]) * _OCTETS[match[2] or ""]
    if octets == 0:
        raise NotInUnits(f"{quoted(text)} is zero; write for example 10MB")
    return octets


def duration_text(seconds: float) -> str:
    """Write whole seconds, at least one, as `duration` reads them: 5400 as `1h30m`."""
    rest, parts = int(seconds), []
    for name, unit in _SECONDS.items():
        count, rest = divmod(rest, unit)
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts)


def size_text(octets: int) -> str:
    """Write octets as `size` reads them: in the unit that gives the smallest whole number."""
    name, unit = next((name, unit) for name, unit in _OCTETS.items() if octets % unit == 0)
    return f"{octets // unit}{name}"
