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
    ForeignMail,
    GaveUp,
    InstanceStarted,
    InstanceStopping,
    LeftQueue,
    MailBegan,
    MailForwarded,
    MailRefused,
    NoticeQueued,
    ProbeEnded,
    SeenInQueue,
    SessionEnded,
    SessionOpened,
)
from postroom.watcher.foreign_arrivals import ForeignArrivals
from postroom.watcher.lines import Line
from postroom.watcher.records import types
from postroom.watcher.records.parse import parse_record
from postroom.watcher.records.refused import MailBegins, WholeRefusal, mail_refused

HANDOVER_LISTENER = "postfix/postroom-in"
"""syslog_name of our listener (postfix-conf/submission.master.cf)."""
PROBE_LISTENER = "postfix/postroom-probe"
"""And of the one that takes no mail (postfix-conf/probe.master.cf)."""

MAX_BEGUN = 20_000
"""Mails whose beginning is remembered."""
UNSEEN_BEGAN_S = 300.0
"""How long before its refusal a mail began at most, where its beginning was not seen."""

_WITHOUT_FACTS = frozenset({"anvil", "postscreen", "scache", "tlsproxy", "trivial-rewrite", "verify"})
"""Programs whose lines say nothing of a delivery's state."""
_LISTENERS = frozenset({HANDOVER_LISTENER, PROBE_LISTENER})
_FORWARDED = "forwarded as "
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
        self._began_at: dict[str, float] = {}
        self.is_relayhosted = is_relayhosted
        self._arrivals = ForeignArrivals()

    def facts(self, line: Line) -> Iterator[Fact]:
        """The facts in a line; none in most."""
        is_others = line.daemon == "smtpd" and line.syslog_name not in _LISTENERS
        if is_others:
            self._arrivals.by_smtpd(line.text)
        if line.daemon in {"smtpd", "cleanup"} and (fact := self._began_or_refused(line)) is not None:
            if isinstance(fact, MailBegan) and not is_others:
                self._arrivals.forget(fact.queue_id)
            yield fact
            return
        # What cannot concern us is dropped before it is read: sessions of other listeners above all.
        if is_others or line.daemon in _WITHOUT_FACTS:
            return
        match parse_record(line):
            case types.Delivery() as delivery:
                yield from self._tried(delivery, line)
            case types.Active() | types.PutOnHold() as queued:
                yield from self._queued(queued, line)
            case types.Operated(queue_id, action) if action in _TAKEN_OUT:
                yield LeftQueue(queue_id, line.at, _TAKEN_OUT[action])
            case types.Removed(queue_id):
                self._arrivals.forget(queue_id)
                yield LeftQueue(queue_id, line.at)
            case types.Expired(queue_id):
                yield GaveUp(queue_id, line.at)
            case types.Notified(queue_id, "sender", "non-delivery", notice):
                yield NoticeQueued(queue_id, notice)
            case types.PickedUp() as picked_up:
                self._arrivals.by_pickup(picked_up)
            case record:
                yield from self._of_session(record, line)

    def _of_session(self, record: types.Record | None, line: Line) -> Iterator[Fact]:
        """Facts of our listeners, and of the Postfix they are of."""
        match record:
            case types.Disconnected() as disconnected if line.syslog_name == PROBE_LISTENER:
                yield ProbeEnded(disconnected.noops)
            case types.Connected() if line.syslog_name == HANDOVER_LISTENER:
                yield SessionOpened(line.pid)
            case types.Disconnected() as disconnected:
                yield SessionEnded(line.pid, disconnected.noops)
            case types.Stopping():
                yield InstanceStopping(line.syslog_name)
            case types.Started():
                yield InstanceStarted(line.syslog_name)

    def _queued(self, queued: types.Active | types.PutOnHold, line: Line) -> Iterator[Fact]:
        token = tokens.of_sender(queued.sender)
        if token is None:
            return
        if (before := self._arrivals.came_of(queued.queue_id)) is not None:
            yield ForeignMail(token, queued.queue_id, before)
        recipients = queued.recipients if isinstance(queued, types.Active) else 1
        yield SeenInQueue(token, queued.queue_id, line.syslog_name, recipients)

    def _began_or_refused(self, line: Line) -> MailBegan | MailRefused | None:
        match mail_refused(line):
            case MailBegins(queue_id):
                if len(self._began_at) >= MAX_BEGUN:
                    del self._began_at[next(iter(self._began_at))]
                self._began_at.pop(queue_id, None)
                self._began_at[queue_id] = line.at
                return MailBegan(queue_id, line.at)
            case WholeRefusal(queue_id, is_over):
                began_at = self._began_at.get(queue_id, line.at - UNSEEN_BEGAN_S)
                return MailRefused(queue_id, began_at, line.at, is_over)
        return None

    def _tried(self, delivery: types.Delivery, line: Line) -> Iterator[DeliveryTried | MailForwarded]:
        if line.daemon == "local" and delivery.status == "sent" and delivery.reason.startswith(_FORWARDED):
            yield MailForwarded(delivery.queue_id, delivery.reason.removeprefix(_FORWARDED))
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
