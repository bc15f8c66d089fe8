"""What Postfix's log and the mails to the return path say, as facts for track.db, and what is read back from there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from postroom.mail.recipients import MaskedRecipient
from postroom.mail.states import State

Proof = Literal["now", "after"]


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
class RecipientFault:
    """Why a refusal is evidence against its recipient.

    Attributes:
        cause:        the class of the fault.
        proof:        whether it is proof `now`, or `after` it has repeated.
        rule:         id of the rule that judged.
        rule_version: of that rule.
    """

    cause: str
    proof: Proof
    rule: str
    rule_version: int


@dataclass(frozen=True, slots=True)
class DeliveryTried:
    """A delivery was tried. Facts of queue ids that no `SeenInQueue` told of are passed over: they are not our mail.

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
        rest: the state of recipients whose end no line told of: untracked, discarded where an operator deleted it,
              None where it goes on under another id.
    """

    queue_id: str
    at: float
    rest: State | None = State.UNTRACKED


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
class InstanceStopping:
    """A Postfix instance is being stopped."""

    instance: str


@dataclass(frozen=True, slots=True)
class InstanceStarted:
    """A Postfix instance runs anew: the processes of the one before are gone."""

    instance: str


@dataclass(frozen=True, slots=True)
class LogGap:
    """The log is not whole here: something may be missing before what follows. `lines`: how many, where it is known."""

    reason: str
    lines: int = 0


Fact = (
    SeenInQueue
    | DeliveryTried
    | GaveUp
    | LeftQueue
    | SessionOpened
    | SessionEnded
    | InstanceStopping
    | InstanceStarted
    | LogGap
)


@dataclass(frozen=True, slots=True)
class Bounce:
    """A refusal for good of mail of ours, as it was taken; `cause` when it goes on to suppression.

    `by`: whether Postfix was told so, or a report came after the mail had been taken.
    """

    queue_id: str
    recipient: MaskedRecipient
    enhanced_status: str
    cause: str | None
    by: Literal["log", "report"] = "log"


@dataclass(frozen=True, slots=True)
class BounceReport:
    """What a mail to the return path says of one recipient of the mail with this token.

    Attributes:
        id:         the same for the same mail: one that comes twice counts once.
        recipients: hashes of the addresses it gives for that recipient; none where it names nobody.
        reason:     its words, masked.
        at:         when it was taken, Unix seconds.
        fault:      set when it speaks against the recipient.
    """

    id: str
    token: str
    kind: Literal["bounce", "complaint"]
    recipients: tuple[str, ...]
    enhanced_status: str
    reason: str
    at: float
    fault: RecipientFault | None = None


class Effect(StrEnum):
    """What a report has changed."""

    COUNTED = "counted"
    """The delivery bounced late, or was complained of."""
    REPEATED = "repeated"
    """Nothing: that was known."""
    WAITS = "waits"
    """Nothing yet: the log has not told what became of the delivery."""
    UNKNOWN = "unknown"
    """Nothing: the mail of that token never went to that recipient."""


@dataclass(frozen=True, slots=True)
class ReportEffect:
    """A report, and what it has changed; `bounce` where it made one."""

    report: BounceReport
    effect: Effect
    bounce: Bounce | None = None


@dataclass(frozen=True, slots=True)
class LoggedDelivery:
    """What Postfix's log says of one recipient of one queue id; `reason` is masked, `changed_at` Unix seconds."""

    queue_id: str
    recipient: MaskedRecipient
    original: str | None
    state: State
    enhanced_status: str
    reason: str
    relay: str
    attempts: int
    changed_at: float


@dataclass(frozen=True, slots=True)
class LogHistory:
    """What Postfix's log says of some attempts.

    Attributes:
        facts:         token → its recipients, the latest queue id last.
        known:         the tokens that the log has named at all, or the queue when it was asked.
        reconciled_at: everything queued before it (Unix seconds) was in the log that was read, or in the queue when it
                       was asked, or its whole story is in lines that are missing; 0 when that was never looked at.
    """

    facts: Mapping[str, Sequence[LoggedDelivery]]
    known: frozenset[str]
    reconciled_at: float


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """How many deliveries came to a state in one slot of a span of time; `slot` counts from 0, the oldest."""

    slot: int
    state: State
    enhanced_status: str
    count: int


@dataclass(frozen=True, slots=True)
class SharedFact:
    """What the log says for or against a recipient, on its way to the shared store.

    Attributes:
        id:       unique over hosts; whoever applies it does so once.
        number:   the order in this file.
        cause:    the class of the fault; "" says that mail was delivered.
        evidence: the reply, masked.
        source:   of the log.
        at:       when, Unix seconds.
    """

    id: str
    number: int
    token: str
    queue_id: str
    recipient: MaskedRecipient
    cause: str
    enhanced_status: str
    evidence: str
    source: str
    at: float
    proof: Proof
    rule: str
    rule_version: int


@dataclass(frozen=True, slots=True)
class Queued:
    """Proof that an attempt was queued, as `queue_id`."""

    queue_id: str


@dataclass(frozen=True, slots=True)
class Absent:
    """Proof that an attempt was not queued; Postfix was asked at `covered_until` (Unix seconds)."""

    covered_until: float


@dataclass(frozen=True, slots=True)
class Unproven:
    """Nothing is proven. `is_final`: nothing will be either, whatever the log goes on to say, but presence."""

    reason: str
    is_final: bool


WitnessAnswer = Queued | Absent | Unproven
