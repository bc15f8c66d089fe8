"""What mails to the return path say of our mail, and what that changes. Values only."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from postroom.store.track.evidence import Bounce, RecipientFault


class ReportOrigin(StrEnum):
    """Who wrote the mail that reports, as far as this host can tell."""

    REMOTE = "remote"
    """Another host brought it."""
    NOTICE = "notice"
    """Perhaps bounce(8) of this host. Its log tells."""
    LOCAL = "local"
    """Somebody on this host, or who had logged in: they can write what they like."""


LOCAL_REPORT: Literal["local"] = "local"
"""The cause of evidence that counts for nothing, for it came from this host or from a login."""


@dataclass(frozen=True, slots=True)
class BounceReport:
    """What a mail to the return path says of one recipient of the mail with this token.

    Attributes:
        id:         the same for the same mail: one that comes twice counts once.
        recipients: hashes of the addresses it gives for that recipient; none where it names nobody.
        reason:     its words, masked.
        at:         when it was taken, Unix seconds.
        fault:      set when it speaks against the recipient.
        origin:     who wrote it.
        notice:     with origin `notice`: the queue id of that mail.
    """

    id: str
    token: str
    kind: Literal["bounce", "complaint"]
    recipients: tuple[str, ...]
    enhanced_status: str
    reason: str
    at: float
    fault: RecipientFault | None = None
    origin: ReportOrigin = ReportOrigin.REMOTE
    notice: str = ""


class Effect(StrEnum):
    """What a report has changed."""

    COUNTED = "counted"
    """The delivery bounced late, or was complained of."""
    REPEATED = "repeated"
    """Nothing: that was known."""
    WAITS = "waits"
    """Nothing yet: the log does not say yet what became of the delivery, or who wrote the report."""
    UNKNOWN = "unknown"
    """Nothing: the mail of that token never went to that recipient."""
    LOCAL = "local"
    """Nothing: it came from this host, or from somebody who had logged in. It is kept as evidence."""
    HELD = "held"
    """Nothing yet: a complaint that no reporter we know has signed waits for an operator's review."""


@dataclass(frozen=True, slots=True)
class ReportEffect:
    """A report, and what it has changed; `bounce` where it made one."""

    report: BounceReport
    effect: Effect
    bounce: Bounce | None = None
