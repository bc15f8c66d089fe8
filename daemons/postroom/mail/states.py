"""The states of a delivery: one list for the API, figures, pages and the command."""

from enum import StrEnum


class State(StrEnum):
    """What is known of one delivery (one message to one recipient)."""

    ACCEPTED = "accepted"
    """In our outbox, durable; hand-over to Postfix is to come."""
    DEFERRED = "deferred"
    """Refused for now, by Postfix at the hand-over (it is still in our outbox, `next_try` says when again) or, under
    a `queue_id`, by the recipient's server (Postfix tries again); `reason` says why."""
    QUEUED = "queued"
    """In Postfix's queue, under `queue_id`."""
    SUPPRESSED = "suppressed"
    """Never handed over: no mail goes to this recipient; `reason` says why and since when."""
    RELAYED = "relayed"
    """A relayhost took it; what became of it there is not seen."""
    DELIVERED = "delivered"
    """The recipient's server took it."""
    BOUNCED = "bounced"
    """Refused for good after Postfix had taken it; `reason` says why."""
    EXPIRED = "expired"
    """Postfix gave up after its queue lifetime; `reason` is the last refusal."""
    DISCARDED = "discarded"
    """Postfix was told to throw it away."""
    FAILED = "failed"
    """We gave up before Postfix took it; `reason` says why."""
    UNTRACKED = "untracked"
    """It was in Postfix's queue; lines that are missing from the log hide its end."""
    IN_DOUBT = "in_doubt"
    """The body was sent but its answer is unknown; never sent again without proof that it was not queued."""


WAITING = (State.ACCEPTED, State.DEFERRED)
"""States whose hand-over is to come."""

NEEDS_BODY = (*WAITING, State.IN_DOUBT)
"""States for which the body must be kept."""

OUTBOX = (*NEEDS_BODY, State.QUEUED, State.SUPPRESSED, State.FAILED)
"""States the outbox keeps; the others are what Postfix made of a queued delivery."""
