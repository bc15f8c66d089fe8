"""The story of a delivery that Postfix took: what its log says, chosen from all it says of the attempts. Pure.

One attempt has one recipient, yet Postfix may write of several: it rewrites addresses, and a site may have copies
made of all mail. What is told is of the recipient itself where Postfix names it, as given or before it was
rewritten; where it does not, of all there are, the worst first.
"""

from postroom.mail.states import State
from postroom.store.outbox.messages import DeliveryView
from postroom.store.track.facts import LoggedDelivery, LogHistory

_WORST_FIRST = (
    State.BOUNCED,
    State.EXPIRED,
    State.DISCARDED,
    State.UNTRACKED,
    State.DEFERRED,
    State.RELAYED,
    State.DELIVERED,
)


def told(delivery: DeliveryView, story: LogHistory) -> LoggedDelivery | None:
    """What became of a delivery that is `queued`; None when nothing is known, or it is not there.

    One that the log never named and the queue no longer has is `untracked`.

    Args:
        story: of all its tokens, at least (TrackReader.story).
    """
    if delivery.state is not State.QUEUED:
        return None
    facts = [fact for token in delivery.tokens for fact in story.facts.get(token, ())]
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
    is_never_named = story.known.isdisjoint(delivery.tokens)
    if is_never_named and delivery.changed_at < story.reconciled_at:
        return LoggedDelivery(
            delivery.queue_id or "",
            delivery.recipient,
            None,
            State.UNTRACKED,
            "",
            "Postfix's log as it was read does not name it, and it is not in the queue",
            "",
            0,
            story.reconciled_at,
        )
    return None
