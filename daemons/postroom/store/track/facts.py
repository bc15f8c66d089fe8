"""Facts of Postfix's log, as they are put into track.db. Values only."""

from dataclasses import dataclass

from postroom.mail.recipients import MaskedRecipient
from postroom.mail.states import State
from postroom.store.track.evidence import RecipientFault


@dataclass(frozen=True, slots=True)
class SeenInQueue:
    """A mail with this attempt token in its envelope sender is in Postfix's queue: proof that it was queued.

    `instance` is the syslog_name of the Postfix instance that says so, `recipients` how many it has there.
    """

    token: str
    queue_id: str
    instance: str
    recipients: int = 1


@dataclass(frozen=True, slots=True)
class ForeignMail:
    """A mail with this token in its envelope sender came in by another way than the hand-over: it is not our mail.

    `before` is the queue id it had before, where it had one: then it is foreign only if that one was.
    """

    token: str
    queue_id: str
    before: str = ""


@dataclass(frozen=True, slots=True)
class MailForwarded:
    """local(8) has forwarded a mail, by .forward or an alias, as another one: as foreign as it is itself."""

    queue_id: str
    into: str


@dataclass(frozen=True, slots=True)
class NoticeQueued:
    """bounce(8) has told the sender of a mail that it could not be delivered, by a mail with the queue id `notice`."""

    queue_id: str
    notice: str


@dataclass(frozen=True, slots=True)
class DeliveryTried:
    """A delivery was tried. Facts of queue ids that no `SeenInQueue` named are passed over: they are not our mail.

    Attributes:
        original: hash of the recipient before Postfix rewrote it, where it did.
        reason:   the reply, masked.
        fault:    set when this refusal, or deferral, speaks against the recipient.
    """

    queue_id: str
    recipient: MaskedRecipient
    original: str | None
    state: State
    enhanced_status: str
    reason: str
    relay: str
    at: float
    fault: RecipientFault | None = None


@dataclass(frozen=True, slots=True)
class GaveUp:
    """Postfix gave up on the recipients that are left."""

    queue_id: str
    at: float


@dataclass(frozen=True, slots=True)
class LeftQueue:
    """The mail left the queue; its id may be used again.

    Attributes:
        rest: the state of recipients whose end stands in no line: untracked, discarded where an operator deleted it,
              None where it goes on under another id.
    """

    queue_id: str
    at: float
    rest: State | None = State.UNTRACKED


@dataclass(frozen=True, slots=True)
class MailBegan:
    """smtpd has given a mail this queue id; whatever had it before is over."""

    queue_id: str
    at: float


@dataclass(frozen=True, slots=True)
class MailRefused:
    """A mail that smtpd was taking is refused whole, and was not queued.

    Attributes:
        began_at: it has its queue id since then, at the earliest.
        is_over:  its content was read whole by then; else it may still be counted when it is.
    """

    queue_id: str
    began_at: float
    at: float
    is_over: bool


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """A session of the hand-over listener began in this smtpd process."""

    pid: int


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The session of this smtpd process ended; by the number of its NOOP commands the watcher knows its own."""

    pid: int
    noops: int = 0


@dataclass(frozen=True, slots=True)
class ProbeEnded:
    """A session of the listener that takes no mail ended; by its NOOP commands the watcher knows which."""

    noops: int


@dataclass(frozen=True, slots=True)
class InstanceStopping:
    """A Postfix instance is being stopped."""

    instance: str


@dataclass(frozen=True, slots=True)
class InstanceStarted:
    """A Postfix instance was restarted: the processes of the one before are gone."""

    instance: str


@dataclass(frozen=True, slots=True)
class LogGap:
    """The log is not whole here: something may be missing before what follows. `lines`: how many, where it is known."""

    reason: str
    lines: int = 0


Fact = (
    SeenInQueue
    | ForeignMail
    | MailForwarded
    | NoticeQueued
    | DeliveryTried
    | GaveUp
    | LeftQueue
    | MailBegan
    | MailRefused
    | SessionOpened
    | SessionEnded
    | ProbeEnded
    | InstanceStopping
    | InstanceStarted
    | LogGap
)
