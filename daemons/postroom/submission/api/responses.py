"""What the API shows of a message: plain documents, made of values alone.

Recipients are shown masked: whoever sent the message knows them by their
order, and nobody else needs them.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from postroom.mail.addresses import masked
from postroom.mail.states import OUTBOX, WAITING, State
from postroom.store.outbox.messages import DeliveryView, MessageView, OutboxFigures, StoredMessage, Unsent
from postroom.store.track.history import LoggedDelivery
from postroom.submission.handover_status import PostfixOutage


def accepted(message: StoredMessage, recipients: Sequence[str], suppressed: Mapping[str, Unsent]) -> dict[str, object]:
    """The answer to an accepted message: as it stands at that moment."""
    states = {State.ACCEPTED: len(recipients) - len(suppressed), State.SUPPRESSED: len(suppressed)}
    return {
        "id": message.id,
        "message_id": f"<{message.message_id}>",
        "accepted_at": timestamp(message.accepted_at),
        "states": {state: count for state, count in states.items() if count},
        "deliveries": [_new_delivery(recipient, suppressed.get(recipient)) for recipient in recipients],
    }


def _new_delivery(recipient: str, unsent: Unsent | None) -> dict[str, object]:
    shown: dict[str, object] = {"recipient": masked(recipient), "state": State.ACCEPTED, "attempts": 0}
    if unsent is not None:
        shown |= {
            "state": State.SUPPRESSED,
            "enhanced_status": unsent.enhanced_status,
            "reason": unsent.reason,
        }
    return shown


def message(
    view: MessageView, outage: PostfixOutage | None, histories: Sequence[LoggedDelivery | None]
) -> dict[str, object]:
    """A message as it stands now. A delivery that waits says why and until when.

    Args:
        histories: for each delivery what Postfix's log says of it, if anything.
    """
    states: dict[str, int] = {}
    deliveries = []
    for delivery, fact in zip(view.deliveries, histories, strict=True):
        shown = _waiting_or_handed_over(delivery, outage) if fact is None else _at_postfix(delivery, fact)
        states[str(shown["state"])] = states.get(str(shown["state"]), 0) + 1
        deliveries.append(shown)
    document: dict[str, object] = {
        "id": view.message.id,
        "message_id": f"<{view.message.message_id}>",
        "accepted_at": timestamp(view.message.accepted_at),
        "size": view.size,
        "states": states,
        "deliveries": deliveries,
    }
    if view.message.stream:
        document["stream"] = view.message.stream
    if view.message.template is not None:
        document["template"] = {"name": view.message.template, "version": view.message.template_version}
    return document


def _waiting_or_handed_over(delivery: DeliveryView, outage: PostfixOutage | None) -> dict[str, object]:
    reason, next_try = delivery.reason, delivery.next_try
    if outage is not None and delivery.state in WAITING:
        reason, next_try = outage.reason, max(outage.next_try, next_try or 0.0)
    return _delivery(
        delivery,
        delivery.state,
        delivery.changed_at,
        queue_id=delivery.queue_id,
        enhanced_status=delivery.enhanced_status,
        reason=reason,
        next_try=None if next_try is None else timestamp(next_try),
    )


def _at_postfix(delivery: DeliveryView, fact: LoggedDelivery) -> dict[str, object]:
    return _delivery(
        delivery,
        fact.state,
        fact.changed_at,
        queue_id=fact.queue_id,
        enhanced_status=fact.enhanced_status or None,
        reason=fact.reason,
        relay=fact.relay or None,
        tries=fact.attempts,
        local_reports=fact.local_reports or None,
    )


def _delivery(delivery: DeliveryView, state: State, changed_at: float, **rest: object) -> dict[str, object]:
    return {
        "recipient": delivery.recipient.hint,
        "state": state,
        "attempts": delivery.attempts,
        "changed_at": timestamp(changed_at),
        **{name: value for name, value in rest.items() if value is not None},
    }


def figures(outbox: OutboxFigures, outage: PostfixOutage | None, counters: Mapping[str, float]) -> dict[str, object]:
    """The outbox as a whole: system-level figures only."""
    return {
        "deliveries": {state: outbox.deliveries.get(state, 0) for state in OUTBOX},
        "oldest_waiting": None if outbox.oldest_waiting is None else timestamp(outbox.oldest_waiting),
        "handover": {
            "available": outage is None,
            "reason": None if outage is None else outage.reason,
            "next_try": None if outage is None else timestamp(outage.next_try),
        },
        "counters": dict(counters),
    }


def timestamp(seconds: float) -> str:
    """Unix seconds as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def json_text(document: dict[str, object]) -> str:
    """A document as it goes out."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
