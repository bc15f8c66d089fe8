r"""What stands before the message in a line of Postfix's log: which program, when. Text in, lines out. Pure.

    Nov 24 02:10:10 host postfix/qmgr[446]: …                     syslog (RFC 3164), also with a year or without pid
    2026-11-24T02:10:10.123456+01:00 host postfix/qmgr[446]: …    rsyslog, postlogd, journalctl -o short-iso
    <22>1 2026-11-24T02:10:10Z host postfix/qmgr 446 - - …        syslog (RFC 5424), with or without the <priority>
    postfix/qmgr[446]: …                                          standard output of a container
    {"SYSLOG_IDENTIFIER": …, "MESSAGE": …}                        journalctl -o json, and the same in small letters
    {"log": "…"}                                                  docker's json-file; whatever form stands inside
    name-1  | …    2026-11-24T02:10:10Z stdout F …                what docker compose, docker logs -t and kubelet add

A program is Postfix's when its tag is syslog_name/program, and the name begins with "postfix" or the program is
one of Postfix's: a site chooses its syslog_name freely. Whatever a stranger wrote into a line stands behind the tag.

Source:  RFC 3164 §4.1, RFC 3339, RFC 5424 §6, Postfix src/global/mail_task.c and src/util/msg_logger.c,
         syslog(3) of Solaris ("[ID … mail.info]"), the container runtime interface's logging format.
Limits:  any text gives a line, NOT_POSTFIX or MALFORMED, in linear time; MAX_TEXT characters are looked at.
BUGS:    RFC 3164 has neither year nor zone: a line is taken to be of the last twelve months, in the zone of `now`.
         Lines that a syslogd has folded ("message repeated 2 times: […]") are not written by Postfix and say nothing.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

MAX_TEXT = 8_192
"""Characters of a line that are looked at; Postfix itself writes about 2,000."""
MAX_JSON = 65_536
"""The same for a line of JSON."""

MAX_TAG = 160


class NoLine(StrEnum):
    """Why a text is not a line of Postfix's log."""

    NOT_POSTFIX = "not_postfix"
    MALFORMED = "malformed"


# Not frozen, here and in the records: that makes one four times as costly. Nobody changes them.
@dataclass(slots=True)
class Line:
    """One line: `postfix/postroom-in/smtpd[543]` is syslog_name postfix/postroom-in, daemon smtpd, pid 543.

    Attributes:
        pid:   0 where it is not written.
        at:    Unix seconds; 0.0 where no time is written.
        stamp: the time as it is written.
    """

    syslog_name: str
    daemon: str
    pid: int
    at: float
    text: str
    host: str = ""
    stamp: str = ""


PROGRAMS = frozenset(
    """
    anvil bounce cleanup defer discard dnsblog error flush lmtp local master nqmgr oqmgr pickup pipe postalias postcat
    postconf postdrop postfix postfix-script postfix-tls-script postfix-wrapper postkick postlock postlog postlogd
    postmap postmulti postqueue postscreen postsuper proxymap qmgr qmqpd relay retry scache sendmail showq smtp smtpd
    spawn tlsmgr tlsproxy trace trivial-rewrite verify virtual
    """.split()  # noqa: SIM905 - a list of so many words is easier to read so
)

_TAG = re.compile(r"([^\s\[\]:]{1,128})/([A-Za-z0-9._-]{1,64})(?:\[([0-9]{1,10})\])?")
_TAGGED = re.compile(r"(?P<tag>[^\s\[\]:]{1,160}(?:\[[^\s\[\]]{0,32}\])?):(?: (?P<text>.*))?", re.DOTALL)
_STAMP = (
    r"(?P<stamp>[A-Z][a-z]{2} {1,2}[0-9]{1,2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?: [0-9]{4})?"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-9]{2}))"
)
_HEADER = re.compile(rf"(?:<[0-9]{{1,3}}>)?{_STAMP} (?:(?P<host>[^\s/\[\]]{{0,254}}[^\s/\[\]:]) +)?")
_RFC3164 = re.compile(
    r"(?P<month>[A-Z][a-z]{2}) {1,2}(?P<day>[0-9]{1,2}) (?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
    r"(?P<fraction>\.[0-9]{1,9})?(?: (?P<year>[0-9]{4}))?"
)
_RFC5424 = re.compile(
    r"(?:<[0-9]{1,3}>)?1 (?P<stamp>\S{1,64}) (?P<host>\S{1,255}) (?P<app>\S{1,160}) (?P<pid>\S{1,128}) \S{1,32} "
    r'(?:-|(?:\[(?:[^\]\\"]|\\.|"(?:[^"\\]|\\.)*")*\])+)(?: \ufeff?(?P<text>.*))?',
    re.DOTALL,
)
_CONTAINER = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127} +\| "
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,24}(?:Z|[+-][0-9]{2}:[0-9]{2}) "
    r"(?:std(?:out|err) [FP] |(?=[A-Z][a-z]{2} {1,2}[0-9]|<[0-9]|\{))"
)
_SOLARIS = re.compile(r"\[ID [0-9]{1,10} [a-z0-9.]{1,32}\] ")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LEAP_YEARS = 8
"""So many years back there is a 29 February for certain."""


@lru_cache(maxsize=4096)
def _program(tag: str) -> tuple[str, str, int] | NoLine:
    """syslog_name, daemon and pid of a tag."""
    found = _TAG.fullmatch(tag)
    if found is None:
        return NoLine.MALFORMED if tag.startswith("postfix/") else NoLine.NOT_POSTFIX
    name, daemon, pid = found.groups()
    if not name.startswith("postfix") and daemon not in PROGRAMS:
        return NoLine.NOT_POSTFIX
    return name, daemon, int(pid or 0)


def line_of_entry(identifier: str, pid: int, at: float, text: str) -> Line | None:
    """The line of a journal entry by its SYSLOG_IDENTIFIER; None when that is none of a Postfix program's."""
    program = _program(identifier)
    if isinstance(program, NoLine):
        return None
    return Line(program[0], program[1], pid, at, text[:MAX_TEXT].rstrip())


class LineReader:
    """Parses the lines of a log file, whichever program wrote them.

    Args:
        now: aware; its zone is the one RFC 3164 times are in, and its year theirs, or the year before.
    """

    def __init__(self, now: datetime) -> None:
        assert now.tzinfo is not None, "now is aware"
        self._now = now
        self._seconds: dict[str, float] = {}
        """Times that were read before: a log has many lines of each."""

    def line(self, text: str) -> Line | NoLine:
        """The line, or why it is none; `text` is without its line end. Never raises."""
        # The two forms nearly all lines have, by their columns; whatever does not fit is looked at again.
        if text[3:4] == " ":
            stamp = text[:15]
            at = self._seconds.get(stamp)
        elif text[10:11] == "T":
            stamp = text[: text.find(" ")]
            at = _rfc3339(stamp)
        else:
            return self._uncommon(text)
        host_at = len(stamp) + 1
        host_end = text.find(" ", host_at)
        tag_end = text.find(": ", host_end)
        # A "host" with a colon is a tag: in a file without hosts what follows it is that program's word.
        if at is None or not 0 < tag_end - host_end < MAX_TAG or text[host_end - 1] == ":":
            return self._uncommon(text)
        program = _program(text[host_end + 1 : tag_end])
        if isinstance(program, NoLine) or text.startswith("[ID ", tag_end + 2):
            return self._uncommon(text)
        name, daemon, pid = program
        return Line(name, daemon, pid, at, text[tag_end + 2 : MAX_TEXT].rstrip(), text[host_at:host_end], stamp)

    def written_at(self, text: str) -> float | None:
        """When a line of any program was written, in Unix seconds; None where it does not say."""
        line = self.line(text)
        if isinstance(line, Line):
            return line.at or None
        header = _RFC5424.fullmatch(text[:MAX_TEXT]) or _HEADER.match(text)
        return None if header is None else self._time(header["stamp"])

    def _uncommon(self, text: str) -> Line | NoLine:
        if text.startswith("{"):
            return self._of_json(text)
        text = text[:MAX_TEXT].removeprefix("\ufeff").rstrip()
        if (prefix := _CONTAINER.match(text)) is not None:
            text = text[prefix.end() :]
            if text.startswith("{"):
                return self._of_json(text)
        if (found := _RFC5424.fullmatch(text)) is not None:
            pid = found["pid"] if found["pid"].isascii() and found["pid"].isdecimal() else "0"
            return self._tagged(f"{found['app']}[{pid}]", found["text"] or "", found["host"], found["stamp"])
        header = _HEADER.match(text)
        tagged = _TAGGED.fullmatch(text, 0 if header is None else header.end())
        if header is None:
            # Without a time it must name a program of Postfix's to be a line at all.
            line = NoLine.MALFORMED if tagged is None else self._tagged(tagged["tag"], tagged["text"] or "", "", "")
            return NoLine.MALFORMED if isinstance(line, NoLine) else line
        if tagged is not None:
            return self._tagged(tagged["tag"], tagged["text"] or "", header["host"] or "", header["stamp"])
        rest = text[header.end() :]
        is_whole = header["host"] and rest and not rest.startswith("postfix")
        return NoLine.NOT_POSTFIX if is_whole else NoLine.MALFORMED

    def _tagged(self, tag: str, text: str, host: str, stamp: str) -> Line | NoLine:
        program = _program(tag)
        if isinstance(program, NoLine):
            return program
        at = self._time(stamp) if stamp else 0.0
        if at is None:
            return NoLine.MALFORMED
        if (solaris := _SOLARIS.match(text)) is not None:
            text = text[solaris.end() :]
        return Line(*program, at, text, host, stamp)

    def _of_json(self, text: str) -> Line | NoLine:
        try:
            entry = json.loads(text[:MAX_JSON])
        except (ValueError, RecursionError):
            return NoLine.MALFORMED
        if not isinstance(entry, dict):
            return NoLine.MALFORMED
        if isinstance(inside := entry.get("log"), str):
            return NoLine.MALFORMED if inside.startswith("{") else self.line(inside.rstrip("\n"))
        return line_of_fields({name.lower(): value for name, value in entry.items()})

    def _time(self, stamp: str) -> float | None:
        if stamp[0].isdigit():
            return _rfc3339(stamp)
        at = self._seconds.get(stamp)
        if at is None and (at := _rfc3164(stamp, self._now)) is not None:
            if len(self._seconds) > 4096:
                self._seconds.clear()
            self._seconds[stamp] = at
        return at


def line_of_fields(fields: dict[str, object]) -> Line | NoLine:
    """The line of an entry of the journal as JSON has it, the names in small letters."""
    identifier, text = fields.get("syslog_identifier"), fields.get("message")
    if isinstance(text, list) and all(isinstance(octet, int) and 0 <= octet < 256 for octet in text):
        text = bytes(text).decode("utf-8", "replace")  # what is not UTF-8 stands there as numbers
    if not isinstance(identifier, str) or not isinstance(text, str):
        return NoLine.MALFORMED
    pid, at = _number(fields.get("_pid") or fields.get("syslog_pid")), _number(fields.get("__realtime_timestamp"))
    line = line_of_entry(identifier, pid, at / 1e6, text)
    return NoLine.NOT_POSTFIX if line is None else line


def _number(value: object) -> int:
    written = str(value)
    return int(written) if written.isascii() and written.isdecimal() and len(written) <= 18 else 0


def _rfc3164(stamp: str, now: datetime) -> float | None:
    stamped = _RFC3164.fullmatch(stamp)
    if stamped is None or stamped["month"] not in _MONTHS:
        return None
    month, day = _MONTHS.index(stamped["month"]) + 1, int(stamped["day"])
    clock = (int(stamped["hour"]), int(stamped["minute"]), min(int(stamped["second"]), 59))
    fraction = float(stamped["fraction"] or 0)
    if stamped["year"]:
        years, latest = range(int(stamped["year"]), int(stamped["year"]) + 1), None
    else:
        # A line is of the past, but for clocks that differ a little.
        years, latest = range(now.year + 1, now.year - _LEAP_YEARS, -1), now + timedelta(days=1)
    for year in years:
        try:
            at = datetime(year, month, day, *clock, tzinfo=now.tzinfo)
            if latest is None or at <= latest:
                return at.timestamp() + fraction
        except (ValueError, OverflowError):  # 29 February of another year, or no date at all
            continue
    return None


def _rfc3339(stamp: str) -> float | None:
    try:
        at = datetime.fromisoformat(stamp)
        return at.timestamp() if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
