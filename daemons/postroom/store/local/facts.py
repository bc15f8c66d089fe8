"""What Postfix's log says, as facts for track.db, and what is read back from there."""

from dataclasses import dataclass

from postroom.mail.recipients import MaskedRecipient
from postroom.mail.states import State
from postroom.store.shared.interface import Suppression


@dataclass(frozen=True, slots=True)
class Seen:
    """A mail with this attempt token in its envelope sender is in Postfix's queue: proof that it was queued.

    `instance` is the syslog_name of the Postfix instance that says so.
    """

    token: str
    queue_id: str
    instance: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a bounce is evidence against its recipient: the class of the fault, and how long that holds (seconds)."""

    cause: str
    kept_s: float


@dataclass(frozen=True, slots=True)
class Tried:
    """A delivery was tried. Facts of queue ids that no `Seen` told of are passed over: they are not our mail.

    Attributes:
        original: hash of the recipient before Postfix rewrote it, where it did.
        reason:   the reply, masked.
        fault:    set when this refusal speaks against the recipient.
    """

    queue_id: str
    recipient: MaskedRecipient
    original: str | None
    state: State
    enhanced_status: str
    reason: str
    relay: str
    at: float
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class GaveUp:
    """Postfix gave up on the recipients that are left."""

    queue_id: str
    at: float


@dataclass(frozen=True, slots=True)
class Left:
    """The mail left the queue; its id may be used again."""

    queue_id: str
    at: float


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """A session of the hand-over listener began in this smtpd process."""

    pid: int


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The session of this smtpd process ended."""

    pid: int


@dataclass(frozen=True, slots=True)
class InstanceStopping:
    """A Postfix instance is being stopped."""

    instance: str


@dataclass(frozen=True, slots=True)
class InstanceStarted:
    """A Postfix instance runs anew: the processes of the one before are gone."""

    instance: str


@dataclass(frozen=True, slots=True)
class Gap:
    """The log is not whole here: something may be missing before what follows."""

    reason: str


Fact = Seen | Tried | GaveUp | Left | SessionOpened | SessionEnded | InstanceStopping | InstanceStarted | Gap


@dataclass(frozen=True, slots=True)
class Bounce:
    """A refusal for good of mail of ours, as `apply` took it; `cause` when it goes on to suppression."""

    queue_id: str
    recipient: MaskedRecipient
    enhanced_status: str
    cause: str | None


@dataclass(frozen=True, slots=True)
class DeliveryFact:
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
class Outcome:
    """How many deliveries came to a state in one slot of a span of time; `slot` counts from 0, the oldest."""

    slot: int
    state: State
    enhanced_status: str
    count: int


@dataclass(frozen=True, slots=True)
class SharedFact:
    """A recipient to be suppressed, on its way to the shared store.

    Attributes:
        id:     unique over hosts; whoever applies it does so once.
        number: the order in this file.
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
    added_at: float
    expires_at: float

    def suppression(self) -> Suppression:
        """The suppression it asks for."""
        return Suppression(
            self.recipient.hash,
            self.recipient.domain,
            self.recipient.hint,
            self.cause,
            self.enhanced_status,
            self.evidence,
            "watcher",
            self.added_at,
            self.expires_at,
        )


@dataclass(frozen=True, slots=True)
class Queued:
    """Proof that an attempt was queued, as `queue_id`."""

    queue_id: str


@dataclass(frozen=True, slots=True)
class Absent:
    """Proof that an attempt was not queued; Postfix was asked at `covered_until` (Unix seconds)."""

    covered_until: float


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing is proven. `is_final`: nothing will be either, whatever the log goes on to say, but presence."""

    reason: str
    is_final: bool


Witness = Queued | Absent | Unknown
