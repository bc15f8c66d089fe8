"""What Postfix's word for a try (status=) means for the delivery. Pure.

Source:  Postfix src/global/sent.c, defer.c, bounce.c (also soft_bounce), verify.c, src/discard/discard.c.
"""

from postroom.mail.states import State
from postroom.watcher.records.types import Delivery

_STATES = {
    "sent": State.DELIVERED,
    "deferred": State.DEFERRED,
    "bounced": State.BOUNCED,
    "SOFTBOUNCE": State.DEFERRED,  # soft_bounce = yes: the mail stays in the queue
}


def state_of(delivery: Delivery, daemon: str, *, is_relayhosted: bool) -> State | None:
    """The state after this try; None for probes of an address (deliverable, undeliverable): they are no mail.

    Args:
        daemon:        whose word it is.
        is_relayhosted: whether Postfix hands its mail to a relayhost, which says "sent" for "taken".
    """
    state = _STATES.get(delivery.status)
    if state is State.DELIVERED:
        if daemon == "discard":
            return State.DISCARDED
        if daemon in {"smtp", "relay"} and is_relayhosted:
            return State.RELAYED
    return state
