"""The story of a delivery that Postfix took: what its log says, chosen from all it says of the attempts. Pure.

One attempt has one recipient, yet Postfix may write of several: it rewrites addresses, and a site may have copies
made of all mail. What is told is of the recipient itself where Postfix names it, as given or before it was
rewritten; where it does not, of all there are, the worst first.
"""

from collections.abc import Mapping, Sequence

from postroom.mail.hashes import recipient_hash
from postroom.mail.states import State
from postroom.store.local.facts import DeliveryFact
from postroom.store.local.messages import DeliveryView

_WORST_FIRST = (State.BOUNCED, State.EXPIRED, State.DISCARDED, State.DEFERRED, State.RELAYED, State.DELIVERED)


def told(key: bytes, delivery: DeliveryView, stories: Mapping[str, Sequence[DeliveryFact]]) -> DeliveryFact | None:
    """What became of a delivery that is `queued`; None when nothing is known, or it is not there.

    Args:
        key:     recipients are hashed with it.
        stories: token → facts (TrackReader.story).
    """
    if delivery.state is not State.QUEUED:
        return None
    facts = [fact for token in delivery.tokens for fact in stories.get(token, ())]
    hashed = recipient_hash(key, delivery.recipient)
    for ours in (
        [fact for fact in facts if fact.recipient.hash == hashed],
        [fact for fact in facts if fact.original == hashed],
        facts,
    ):
        if ours:
            # One queue id after the other: mail that was taken out and in again goes on under a new one.
            last = [fact for fact in ours if fact.queue_id == ours[-1].queue_id]
            return min(last, key=lambda fact: _WORST_FIRST.index(fact.state))
    return None
