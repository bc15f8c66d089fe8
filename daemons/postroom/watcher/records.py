r"""Lines of Postfix's log, taken apart: text in, records out. Pure.

    line_of_file   `Nov 24 02:10:10 host postfix/qmgr[446]: …` (RFC 3164) or the same with an RFC 3339 time
    line_of_entry  the fields of a journal entry
    record         a Line → what Postfix says in it; None when it says nothing that is followed here

A remote server writes its reply into the log, and a sender may choose odd local parts, so a line is read by its
structure and never searched for a word: from the left, where addresses stand in <…> and a quoted local part ends
at its own quote, up to the first complete ", dsn=…, status=WORD (". What comes after that bracket is the far
end's text and changes nothing.

Source:  Postfix src/global/log_adhoc.c (deliveries), src/*qmgr/qmgr_message.c, qmgr_active.c, src/smtpd/smtpd.c,
         src/cleanup/cleanup_message.c, cleanup_milter.c, src/bounce/bounce_notify_util.c, conf/postfix-script;
         RFC 3164 §4.1, RFC 3339.
Limits:  any text gives a record or None, in linear time. Postfix cuts a text at about 2,000 octets: the reason
         of a delivery may be cut, a line cut before its end otherwise is None.
BUGS:    with info_log_addr_form=internal Postfix does not quote local parts, and one that holds ">, relay=…,
         status=sent (" can pose as the line's own words. Where a second ", status=" stands in a line, `is_plain`
         is false, and such a line is never evidence against a recipient.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

MAX_TEXT = 8_192
"""Characters of a line that are looked at; Postfix itself writes fewer."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `postfix/postroom-in/smtpd[543]` is syslog_name postfix/postroom-in, daemon smtpd, pid 543.

    `at` is in Unix seconds.
    """

    syslog_name: str
    daemon: str
    pid: int
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Connected:
    """smtpd: a session began; the process (Line.pid) has one at a time."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """smtpd: the session ended; `noops` is how many NOOP commands it had."""

    noops: int


@dataclass(frozen=True, slots=True)
class Refused:
    """smtpd: a client was refused before there was a queue id (NOQUEUE)."""


@dataclass(frozen=True, slots=True)
class Received:
    """smtpd: a transaction has got its queue id. Nothing is queued yet."""

    queue_id: str


@dataclass(frozen=True, slots=True)
class MessageId:
    """cleanup: the Message-ID. Proves nothing: it is logged for a client that breaks off inside DATA too."""

    queue_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Held:
    """cleanup: the mail goes to the hold queue."""

    queue_id: str
    sender: str


@dataclass(frozen=True, slots=True)
class Active:
    """qmgr: the mail is in the active queue. Logged at every try."""

    queue_id: str
    sender: str
    size: int
    recipients: int


@dataclass(frozen=True, slots=True)
class Expired:
    """qmgr: Postfix gives up on the recipients that are left."""

    queue_id: str
    sender: str


@dataclass(frozen=True, slots=True)
class Removed:
    """qmgr: the mail is gone from the queue; a short queue id may be used again."""

    queue_id: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A try to deliver to one recipient; the words are Postfix's own (dsn, status).

    Attributes:
        orig_to:  the recipient before Postfix rewrote it (aliases), where it did.
        relay:    host[address]:port, or none, local, virtual, …
        delay:    seconds since the mail arrived.
        delays:   before the queue manager, in it, setting up the connection, sending.
        is_plain: only one ", status=" stands in the line: nobody tried to pose as Postfix.
    """

    queue_id: str
    to: str
    orig_to: str | None
    relay: str
    delay: float
    delays: tuple[float, ...]
    dsn: str
    status: str
    reason: str
    is_plain: bool


@dataclass(frozen=True, slots=True)
class Notified:
    """bounce: a notice was queued, as `notice`, to the sender or the postmaster."""

    queue_id: str
    to: str
    kind: str
    notice: str


@dataclass(frozen=True, slots=True)
class Stopping:
    """postfix-script or master: this instance is being stopped, and all its processes with it."""


@dataclass(frozen=True, slots=True)
class Started:
    """master: this instance runs; it holds the lock, so the master before it is gone."""


Record = (
    Connected
    | Disconnected
    | Refused
    | Received
    | MessageId
    | Held
    | Active
    | Expired
    | Removed
    | Delivery
    | Notified
    | Stopping
    | Started
)

# Short ids are upper-case hexadecimal, long ones letters and digits (postconf(5), enable_long_queue_ids).
_ID = r"(?P<id>(?!NOQUEUE:)[0-9A-Za-z]{5,32})"
# No possessive quantifiers: those of Python 3.11.2 lose their place in groups. None of these can match in two ways.
# A quoted local part ends at its own quote; an address that begins with a quote is read in no other way.
_ADDRESS = r'<(?P<{0}>"(?:[^"\\]|\\.)*"[^<>"]*|(?!")[^>]*)>'

_DELIVERY = re.compile(
    rf"{_ID}: to={_ADDRESS.format('to')}, (?:orig_to={_ADDRESS.format('orig_to')}, )?relay=(?P<relay>[^,]*), "
    # conn_use=, tls= and what later versions add between these.
    r"(?:(?!delay=)[a-z_]+=[^,]*, )*delay=(?P<delay>[0-9.]{1,20}), delays=(?P<delays>[0-9./]{1,80}), "
    r"(?:(?!dsn=)[a-z_]+=[^,]*, )*dsn=(?P<dsn>[0-9]\.[0-9]{1,3}\.[0-9]{1,3}), "
    r"status=(?P<status>[A-Za-z-]{1,40}) \((?P<reason>.*)",
    re.DOTALL,
)
_ACTIVE = re.compile(
    rf"{_ID}: from=<(?P<sender>.*)>, size=(?P<size>[0-9]{{1,18}}), nrcpt=(?P<count>[0-9]{{1,9}}) \(queue active\)",
    re.DOTALL,
)
_EXPIRED = re.compile(rf"{_ID}: from=<(?P<sender>.*)>, status=(?:force-)?expired, returned to sender", re.DOTALL)
_REMOVED = re.compile(rf"{_ID}: removed")
_RECEIVED = re.compile(rf"{_ID}: client=.+", re.DOTALL)
_MESSAGE_ID = re.compile(rf"{_ID}: (?:resent-)?message-id=(?P<message_id>.*)", re.DOTALL)
# The header that made it hold stands before the envelope and is the sender's to choose: the last envelope counts.
_HELD = re.compile(rf"{_ID}: (?:milter-)?hold: .*; from=<(?P<sender>[^<>]*)>(?: [a-z]+=.*)?", re.DOTALL)
_NOTIFIED = re.compile(
    rf"{_ID}: (?P<to>sender|postmaster) (?P<kind>non-delivery|delay|delivery status) notification: "
    r"(?P<notice>[0-9A-Za-z]{5,32})"
)
_NOOPS = re.compile(r"disconnect from \S+\[[^\s\]]*\].* noop=([0-9]{1,9})(?: |/)", re.DOTALL)

_TAG = re.compile(r"(?P<tag>[^\s\[\]:]{1,128})\[(?P<pid>[0-9]{1,10})\]: (?P<text>.*)", re.DOTALL)
_RFC3164 = re.compile(
    r"(?P<month>[A-Z][a-z]{2}) {1,2}(?P<day>[0-9]{1,2}) (?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2}) "
    r"\S{1,255} "
)
_RFC3339 = re.compile(
    r"(?P<stamp>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})) "
    r"\S{1,255} "
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def line_of_file(octets: bytes, now: datetime) -> Line | None:
    """The line of a log file, without its line end; None when it is none of a Postfix program's.

    Args:
        now: aware; its zone is the one RFC 3164 times are in, and its year theirs, or the year before.
    """
    text = octets[:MAX_TEXT].decode("utf-8", "replace")
    if (stamped := _RFC3164.match(text)) is not None:
        at = _rfc3164(stamped, now)
    elif (stamped := _RFC3339.match(text)) is not None:
        at = _rfc3339(stamped["stamp"])
    else:
        return None
    tagged = _TAG.fullmatch(text, stamped.end())
    if at is None or tagged is None:
        return None
    return line_of_entry(tagged["tag"], int(tagged["pid"]), at, tagged["text"])


def line_of_entry(identifier: str, pid: int, at: float, text: str) -> Line | None:
    """The line of a journal entry by its SYSLOG_IDENTIFIER; None when that is none of a Postfix program's."""
    syslog_name, slash, daemon = identifier.rpartition("/")
    if not slash or not syslog_name or not daemon:
        return None
    return Line(syslog_name, daemon, pid, at, text[:MAX_TEXT])


def _rfc3164(stamped: re.Match[str], now: datetime) -> float | None:
    day, clock = int(stamped["day"]), (int(stamped["hour"]), int(stamped["minute"]), min(int(stamped["second"]), 59))
    if stamped["month"] not in _MONTHS:
        return None
    month = _MONTHS.index(stamped["month"]) + 1
    # The year is not written. A line is of the past, but for clocks that differ a little.
    for year in (now.year + 1, now.year, now.year - 1):
        try:
            at = datetime(year, month, day, *clock, tzinfo=_zone(now))
        except ValueError:  # 29 February of another year, or no date at all
            continue
        if at <= now + timedelta(days=1):
            return at.timestamp()
    return None


def _zone(now: datetime) -> tzinfo:
    assert now.tzinfo is not None, "now is aware"
    return now.tzinfo


def _rfc3339(stamp: str) -> float | None:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return None


def record(line: Line) -> Record | None:
    """What Postfix says in this line; None when it is nothing that is followed here. Never raises."""
    read = _READERS.get(line.daemon)
    return None if read is None else read(line.text)


def _of_smtpd(text: str) -> Record | None:
    if text.startswith("connect from "):
        return Connected()
    if text.startswith("disconnect from "):
        found = _NOOPS.match(f"{text} ")
        return Disconnected(0 if found is None else int(found[1]))
    if text.startswith("NOQUEUE: reject"):
        return Refused()
    found = _RECEIVED.fullmatch(text)
    return None if found is None else Received(found["id"])


def _of_bounce(text: str) -> Record | None:
    found = _NOTIFIED.fullmatch(text)
    return None if found is None else Notified(found["id"], found["to"], found["kind"], found["notice"])


def _of_cleanup(text: str) -> Record | None:
    if (found := _MESSAGE_ID.fullmatch(text)) is not None:
        written = found["message_id"]
        inside = written[1:-1] if written[:1] == "<" and written[-1:] == ">" else written
        return MessageId(found["id"], inside)
    if (found := _HELD.fullmatch(text)) is not None:
        return Held(found["id"], found["sender"])
    return None


def _of_qmgr(text: str) -> Record | None:
    if (found := _ACTIVE.fullmatch(text)) is not None:
        return Active(found["id"], found["sender"], int(found["size"]), int(found["count"]))
    if (found := _REMOVED.fullmatch(text)) is not None:
        return Removed(found["id"])
    if (found := _EXPIRED.fullmatch(text)) is not None:
        return Expired(found["id"], found["sender"])
    # It gives up without an agent what a destination that is down would keep waiting.
    return _delivery(text)


def _of_master(text: str) -> Record | None:
    if text.startswith("daemon started -- "):
        return Started()
    if text == "stopping the Postfix mail system" or text.startswith("terminating on signal "):
        return Stopping()
    return None


def _delivery(text: str) -> Delivery | None:
    found = _DELIVERY.fullmatch(text)
    if found is None:
        return None
    try:
        delay, delays = float(found["delay"]), tuple(float(part) for part in found["delays"].split("/"))
    except ValueError:
        return None
    return Delivery(
        found["id"],
        found["to"],
        found["orig_to"],
        found["relay"],
        delay,
        delays,
        found["dsn"],
        found["status"],
        found["reason"].removesuffix(")"),
        text.count(", status=") == 1,
    )


_READERS: dict[str, Callable[[str], Record | None]] = {
    "smtpd": _of_smtpd,
    "cleanup": _of_cleanup,
    "qmgr": _of_qmgr,
    "nqmgr": _of_qmgr,
    "bounce": _of_bounce,
    "postfix-script": _of_master,
    "master": _of_master,
    **dict.fromkeys(("smtp", "lmtp", "local", "virtual", "pipe", "error", "retry", "discard"), _delivery),
}
"""Who says what, by the name of the program."""
