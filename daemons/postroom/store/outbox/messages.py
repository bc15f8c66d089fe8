"""What goes into the outbox and comes out of it, as values."""

from dataclasses import dataclass

from postroom.mail.recipients import MaskedRecipient
from postroom.mail.states import State


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """What is stored of a message beside its body and deliveries.

    Args:
        return_path: has '*' where the token goes.
        sender:      the sender as limits count it, hashed; "" where it is not known.
        stream:      of the mail, such as newsletter; "" where neither client nor template names one.
    """

    id: str
    client: str
    message_id: str
    return_path: str
    accepted_at: float
    template: str | None = None
    template_version: str | None = None
    sender: str = ""
    stream: str = ""


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's idempotency key, and the keyed hash of the body it came with (`OutboxAcceptance.fingerprint`)."""

    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """The message was stored."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """The key was used before with the same body: the answer given then."""

    answer: str


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The key was used before with another body."""


class OutboxFull(Exception):
    """So many deliveries wait that no more are taken."""

    def __init__(self, waiting: int, most: int) -> None:
        super().__init__(f"{waiting} deliveries wait for Postfix, the most is {most}")


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery leased to a session.

    Args:
        client, sender: of its message, as limits count them.
        stream:         of its message.
        recipients:     of its message, all that wait: those of the others are not known any more.
        is_counted:     a delivery of its message was offered to Postfix, so the limits have been taken.
    """

    delivery: int
    message: str
    recipient: str
    return_path: str
    accepted_at: float
    attempts: int
    size: int
    client: str
    sender: str
    stream: str
    recipients: tuple[str, ...]
    is_counted: bool


@dataclass(frozen=True, slots=True)
class Unsent:
    """Why a recipient gets nothing of a message that is accepted for others."""

    enhanced_status: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeliveryInDoubt:
    """A delivery in doubt.

    Attributes:
        sender:           envelope sender of the attempt that is in doubt.
        envelope_senders: of all its attempts.
        started_at:       before the session was opened that the attempt was made in (Unix seconds).
        ended_at:         when it came to be in doubt.
    """

    delivery: int
    message: str
    sender: str
    envelope_senders: tuple[str, ...]
    started_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A delivery as it stands. Times are Unix seconds."""

    recipient: MaskedRecipient
    state: State
    attempts: int
    queue_id: str | None
    enhanced_status: str | None
    reason: str | None
    next_try: float | None
    changed_at: float
    tokens: tuple[str, ...] = ()
    """Of its attempts whose body may have gone out."""


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message and its deliveries, in the order of its recipients."""

    message: StoredMessage
    size: int
    deliveries: tuple[DeliveryView, ...]


@dataclass(frozen=True, slots=True)
class OutboxFigures:
    """Deliveries by state, and since when the oldest of those that wait has been waiting (Unix seconds)."""

    deliveries: dict[State, int]
    oldest_waiting: float | None
