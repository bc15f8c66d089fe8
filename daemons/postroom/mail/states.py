"""The states of a delivery: one list for the API, figures, pages and the command."""

from enum import StrEnum


class State(StrEnum):
    """What is known of one delivery (one message to one recipient)."""

    ACCEPTED = "accepted"
    """In our outbox, durable; hand-over to Postfix is to come."""
    DEFERRED = "deferred"
    """Still in our outbox: the last hand-over was refused for now; `reason` says why, `next_try` when again."""
    QUEUED = "queued"
    """In Postfix's queue, under `queue_id`."""
    SUPPRESSED = "suppressed"
    """Never handed over: no mail goes to this recipient; `reason` says why and since when."""
    FAILED = "failed"
    """We gave up before Postfix took it; `reason` says why."""
    IN_DOUBT = "in_doubt"
    """The body was sent but its answer is unknown; never sent again without proof that it was not queued."""


WAITING = (State.ACCEPTED, State.DEFERRED)
"""States whose hand-over is to come."""

NEEDS_BODY = (*WAITING, State.IN_DOUBT)
"""States for which the body must be kept."""
