r"""Where a mail of the sendmail door comes from, by the Received fields that Postfix itself has put on top. Pure.

    sendmail(1)   by HOST (Postfix, from userid 33)\n\tid 4XyZ1k2; DATE
    requeued      by HOST (Postfix, from userid POSTFIX)\n\tid …; DATE    on top of it, once for each `postsuper -r`
    … and passed  the same                 on top of smtpd's: from …\n\tby HOST (Postfix) with ESMTP id …

Every way into Postfix puts such a field on top, and a requeued file is the only one that belongs to Postfix's own
user. So what lies below the first field that is no requeue is the sender's own text, and a forged field is never
reached. What lies below smtpd's may be any client's text: of such a mail there is only the queue id to ask about.

Source:  Postfix src/pickup/pickup.c, src/smtpd/smtpd.c (the fields), postsuper(1), -r.
Limits:  MAX_REQUEUES; a mail requeued more often is of unknown origin.
BUGS:    a site that has changed mail_name, or whose header_checks take Received away, hides who its users are:
         all their mail is of unknown origin.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from postroom.milter.sign import HeaderField

MAX_REQUEUES = 20
LOOKED_AT = 100
"""Fields from the top that suffice: signatures may lie between."""

_BY_PICKUP = re.compile(
    r"by (?P<host>\S{1,255}) \(Postfix(?:, from userid (?P<uid>[0-9]{1,10}))?\)"
    r"\n\tid (?P<id>[0-9A-Za-z]{1,32}); (?P<date>[^\n]{1,64})"
)
_BY_SMTPD = re.compile(r"\tby (?P<host>\S{1,255}) \(Postfix\) with [A-Z0-9]{1,20} id (?P<id>[0-9A-Za-z]{1,32})(?:;.*)?")
_MAX_OCTETS = 4_000


@dataclass(frozen=True, slots=True)
class Origin:
    """What Postfix says of a mail.

    Attributes:
        uid:         of the user who ran sendmail(1); None is unknown.
        first:       queue id and date under which Postfix first had it; None where it was not sendmail's.
        passed_as:   queue id that smtpd had given it before it was requeued; then nothing else is known.
        is_requeued: it was, at least once.
    """

    uid: int | None
    first: str | None
    passed_as: str | None
    is_requeued: bool


def origin_of(fields: Sequence[HeaderField], hostname: str, postfix_uid: int | None) -> Origin:
    """Read the topmost fields.

    Args:
        fields:      the header from the top, LOOKED_AT fields or more.
        hostname:    Postfix's myhostname.
        postfix_uid: of Postfix's own user.
    """
    received = [_text(value) for name, value in fields if name.lower() == b"received"][: MAX_REQUEUES + 2]
    requeues = 0
    while (found := _of_pickup(received, requeues, hostname)) and found["uid"] in {None, str(postfix_uid)}:
        requeues += 1
    if requeues > MAX_REQUEUES:
        return Origin(None, None, None, True)
    if found is not None:
        return Origin(int(found["uid"]), f"{found['id']} {found['date']}", None, requeues > 0)
    passed_as = _smtpd_id(received[requeues], hostname) if 0 < requeues < len(received) else None
    return Origin(None, None, passed_as, requeues > 0)


def _of_pickup(received: Sequence[str], at: int, hostname: str) -> re.Match[str] | None:
    found = _BY_PICKUP.fullmatch(received[at]) if at < len(received) else None
    return found if found is not None and found["host"] == hostname else None


def _smtpd_id(text: str, hostname: str) -> str | None:
    first, *lines = text.split("\n")
    found = next(filter(None, map(_BY_SMTPD.fullmatch, lines)), None)
    if not first.startswith("from ") or found is None or found["host"] != hostname:
        return None
    return found["id"]


def _text(value: bytes) -> str:
    if len(value) > _MAX_OCTETS:
        return ""
    return value.decode("latin-1").replace("\r\n", "\n").removeprefix(" ")
