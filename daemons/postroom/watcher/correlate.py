"""Records to facts: what the log says of our mail, with recipients hashed and replies masked. Pure.

Which queue ids are ours is not decided here: track.db knows, by the tokens it has seen (store/track/track_store.py).
"""

from collections.abc import Iterator
from dataclasses import replace

from postroom.bounces.classify import classify
from postroom.mail import tokens
from postroom.mail.logsafe import safe
from postroom.mail.recipients import masked_recipient, masked_reply
from postroom.mail.states import State
from postroom.store.track.evidence import RecipientFault
from postroom.store.track.facts import (
    DeliveryTried,
    Fact,
    GaveUp,
    InstanceStarted,
    InstanceStopping,
    LeftQueue,
    SeenInQueue,
    SessionEnded,
    SessionOpened,
)
from postroom.watcher.lines import Line
from postroom.watcher.records import types
from postroom.watcher.records.parse import parse_record

HANDOVER_LISTENER = "postfix/postroom-in"
"""syslog_name of our listener (postfix-conf/submission.master.cf)."""

_WITHOUT_FACTS = frozenset(
    {"anvil", "bounce", "pickup", "postscreen", "scache", "tlsproxy", "trivial-rewrite", "verify"}
)
"""Programs whose lines say nothing of a delivery's state."""
_TAKEN_OUT = {"removed": State.DISCARDED, "requeued": None}
"""What of postsuper's actions ends a queue id, and the state of recipients without an outcome."""


class Correlator:
    """Turns the lines of Postfix's log into facts for track.db.

    Args:
        key:           the recipients are hashed with it.
        is_relayhosted: whether Postfix hands its mail to a relayhost, which says "sent" for "taken"; may change.
    """

    def __init__(self, key: bytes, *, is_relayhosted: bool) -> None:
        self._key = key
        self.is_relayhosted = is_relayhosted

    def facts(self, line: Line) -> Iterator[Fact]:
        """The facts in a line; none in most."""
        # What cannot concern us is dropped before it is read: sessions of other listeners above all.
        if line.daemon in _WITHOUT_FACTS or (line.daemon == "smtpd" and line.syslog_name != HANDOVER_LISTENER):
            return
        match parse_record(line):
            case types.Delivery() as delivery:
                yield from self._tried(delivery, line)
            case types.Active() | types.PutOnHold() as queued:
                token = tokens.of_sender(queued.sender)
                if token is not None:
                    recipients = queued.recipients if isinstance(queued, types.Active) else 1
                    yield SeenInQueue(token, queued.queue_id, line.syslog_name, recipients)
            case types.Operated(queue_id, action) if action in _TAKEN_OUT:
                yield LeftQueue(queue_id, line.at, _TAKEN_OUT[action])
            case types.Removed(queue_id):
                yield LeftQueue(queue_id, line.at)
            case types.Expired(queue_id):
                yield GaveUp(queue_id, line.at)
            case types.Connected():
                yield SessionOpened(line.pid)
            case types.Disconnected() as disconnected:
                yield SessionEnded(line.pid, disconnected.noops)
            case types.Stopping():
                yield InstanceStopping(line.syslog_name)
            case types.Started():
                yield InstanceStarted(line.syslog_name)

    def _tried(self, delivery: types.Delivery, line: Line) -> Iterator[DeliveryTried]:
        state = delivery.state(line.daemon, is_relayhosted=self.is_relayhosted)
        if state is None:
            return
        recipient = masked_recipient(self._key, delivery.to)
        original = None if delivery.orig_to is None else masked_recipient(self._key, delivery.orig_to).hash
        is_evidence = state in {State.BOUNCED, State.DEFERRED} and delivery.is_plain
        fault = fault_of_recipient(delivery.dsn, delivery.reason) if is_evidence else None
        if fault is not None and state is State.DEFERRED:
            # It counts when Postfix gives up, and is no proof by itself: Postfix may defer what was refused for good
            # (soft_bounce).
            fault = replace(fault, proof="after")
        yield DeliveryTried(
            delivery.queue_id,
            recipient,
            original,
            state,
            enhanced_status=delivery.dsn,
            reason=masked_reply(delivery.reason, delivery.to, delivery.orig_to or ""),
            relay=safe(delivery.relay),
            at=line.at,
            fault=fault,
        )


def fault_of_recipient(enhanced_status: str, reason: str) -> RecipientFault | None:
    """The fault a refusal or deferral shows of its recipient; None when it does not speak against it.

    Args:
        enhanced_status: Postfix's dsn=.
        reason:          the words of the log line, the server's name before the reply included.
    """
    judgement = classify(reason, status=enhanced_status)
    if judgement.suppress == "never":
        return None
    return RecipientFault(judgement.fault.name, judgement.suppress, judgement.rule, judgement.version)
