"""What became of deliveries that Postfix took: what its log says, chosen from all it says of their attempts.

One attempt has one recipient, yet Postfix may write of several: it rewrites addresses, and a site may have copies
made of all mail. What counts is what is said of the recipient itself where Postfix names it, as given or before it was
rewritten; where it does not, of all there are, the worst first.
"""

from collections.abc import Awaitable, Callable, Sequence

from postroom.mail.states import State
from postroom.store.errors import StoreUnavailable
from postroom.store.outbox.messages import DeliveryView, MessageView
from postroom.store.track.history import NO_HISTORY, LoggedDelivery, LogHistory

_WORST_FIRST = (
    State.BOUNCED,
    State.EXPIRED,
    State.DISCARDED,
    State.UNTRACKED,
    State.DEFERRED,
    State.RELAYED,
    State.DELIVERED,
)


class Histories:
    """What the watcher knows of a message's deliveries, if this host has a watcher.

    Args:
        read: asks track.db for the history of these tokens (TrackReader.history).
    """

    def __init__(self, read: Callable[[Sequence[str]], Awaitable[LogHistory]]) -> None:
        self._read = read

    async def of_message(self, view: MessageView) -> Sequence[LoggedDelivery | None]:
        """For each delivery what Postfix's log says of it; None where it says nothing, or cannot be read."""
        tokens = [token for one in view.deliveries if one.state is State.QUEUED for token in one.tokens]
        try:
            history = await self._read(tokens)
        except StoreUnavailable:
            history = NO_HISTORY
        return [of_delivery(delivery, history) for delivery in view.deliveries]


def of_delivery(delivery: DeliveryView, history: LogHistory) -> LoggedDelivery | None:
    """What became of a delivery that is `queued`; None when nothing is known, or it is not there.

    One that the log never named and the queue no longer has is `untracked`.

    Args:
        history: of all its tokens, at least.
    """
    if delivery.state is not State.QUEUED:
        return None
    facts = [fact for token in delivery.tokens for fact in history.facts.get(token, ())]
    hashed = delivery.recipient.hash
    nameless = [fact for fact in facts if not fact.recipient.hash]
    for ours in (
        [fact for fact in facts if fact.recipient.hash == hashed],
        [fact for fact in facts if fact.original == hashed] + nameless,
        facts,
    ):
        if ours:
            # One queue id after the other: mail that was taken out and in again goes on under a new one.
            last = [fact for fact in ours if fact.queue_id == ours[-1].queue_id]
            return min(last, key=lambda fact: _WORST_FIRST.index(fact.state))
    is_never_named = history.known.isdisjoint(delivery.tokens)
    if is_never_named and delivery.changed_at < history.reconciled_at:
        return LoggedDelivery(
            queue_id=delivery.queue_id or "",
            recipient=delivery.recipient,
            original=None,
            state=State.UNTRACKED,
            enhanced_status="",
            reason="Postfix's log as it was read does not name it, and it is not in the queue",
            relay="",
            attempts=0,
            changed_at=history.reconciled_at,
        )
    return None
