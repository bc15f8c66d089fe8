"""What track.db says of deliveries when it is read back. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from postroom.mail.recipients import MaskedRecipient
from postroom.mail.states import State


@dataclass(frozen=True, slots=True)
class LoggedDelivery:
    """What Postfix's log says of one recipient of one queue id; `reason` is masked, `changed_at` Unix seconds.

    `local_reports`: so many mails to its return path changed nothing, for they came from this host or a login.
    """

    queue_id: str
    recipient: MaskedRecipient
    original: str | None
    state: State
    enhanced_status: str
    reason: str
    relay: str
    attempts: int
    changed_at: float
    local_reports: int = 0


@dataclass(frozen=True, slots=True)
class LogHistory:
    """What Postfix's log says of some attempts.

    Attributes:
        facts:         token → its recipients, the latest queue id last.
        known:         the tokens that the log has named at all, or the queue when it was asked.
        reconciled_at: everything queued before it (Unix seconds) was in the log that was read, or in the queue when it
                       was asked, or its whole history is in lines that are missing; 0 when that was never looked at.
    """

    facts: Mapping[str, Sequence[LoggedDelivery]]
    known: frozenset[str]
    reconciled_at: float


NO_HISTORY = LogHistory(facts={}, known=frozenset(), reconciled_at=0.0)
"""Nothing is known."""


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """How many deliveries came to a state in one slot of a span of time; `slot` counts from 0, the oldest."""

    slot: int
    state: State
    enhanced_status: str
    count: int
