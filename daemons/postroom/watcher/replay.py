"""An old log read again: what became of every mail in it, by queue id. Pure.

A mail here is one life of a queue id. Short ids are used again, so a line that begins a mail (client=, uid=,
message-id=) begins a new life when the one before was queued already or has ended; so does an active mail of
another sender or size. All other lines belong to the last life, also those that come late.

What a line cannot say alone is put together at the end: a line of expiry names no recipient, so it speaks of all
that were deferred last; a mail that an operator removed takes its waiting recipients along; one that left the
queue with a recipient still waiting has its end in lines that are missing (untracked).

A mail stands in a tree: it was requeued (postsuper -r) or re-injected from another (orig_queue_id), is a notice of
one, or was handed on by one ("queued as", "forwarded as"). What a mail lacks of its own, as the log begins later,
it has from the one it was before.

Limits:  memory grows with the number of mails. Queue ids are told apart by the host that logs them.
BUGS:    a recipient that two addresses of one mail were rewritten to is one here; its last line counts, and its
         attempts are those of both.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from postroom.mail.states import State
from postroom.watcher.lines import Line
from postroom.watcher.records import types
from postroom.watcher.records.parse import parse_record

_HANDED_ON = re.compile(r"(?P<how>queued|forwarded) as (?P<id>[0-9A-Za-z]{5,32})\b")


@dataclass(slots=True)
class ReplayedRecipient:
    """What the last line about it said; `dsn` is as Postfix wrote it."""

    state: State
    dsn: str
    attempts: int


@dataclass(slots=True, eq=False)
class ReplayedMail:
    """One life of a queue id.

    Attributes:
        message_id: as it is logged; None where the log does not say.
        sender:     of the envelope; "" is the null sender, None unknown.
        recipients: by the address Postfix tried ("to").
        was:        the mail it was before, where it was requeued or re-injected.
        next:       the mails it became or led to, and a word for how.
        end:        how it left the queue: "" while it has not; removed, deleted (by an operator) or requeued.
    """

    queue_id: str
    message_id: str | None = None
    sender: str | None = None
    size: int | None = None
    recipients: dict[str, ReplayedRecipient] = field(default_factory=dict)
    was: "ReplayedMail | None" = None
    next: dict["ReplayedMail", str] = field(default_factory=dict)
    has_arrived: bool = False
    is_queued: bool = False
    is_resent_id: bool = False
    has_expired: bool = False
    end: str = ""

    @property
    def is_removed(self) -> bool:
        """Whether it has left the queue for good."""
        return self.end in {"removed", "deleted"}

    def state(self, recipient: ReplayedRecipient) -> State:
        """The state of one of its recipients, with what is known of the whole mail."""
        if recipient.state is not State.DEFERRED:
            return recipient.state
        if self.has_expired:
            return State.EXPIRED
        return {"deleted": State.DISCARDED, "removed": State.UNTRACKED}.get(self.end, State.DEFERRED)

    def tried(self, to: str, state: State, dsn: str) -> None:
        """Note one more attempt for a recipient."""
        before = self.recipients.get(to)
        self.recipients[to] = ReplayedRecipient(state, dsn, 1 if before is None else before.attempts + 1)


class LogReplay:
    """Follows mails through the lines of a log, taken in their order.

    Args:
        is_relayhosted: whether Postfix hands its mail to a relayhost, which says "sent" for "taken".
    """

    def __init__(self, *, is_relayhosted: bool) -> None:
        self._is_relayhosted = is_relayhosted
        self._lives: list[ReplayedMail] = []
        self._last: dict[tuple[str, str], ReplayedMail] = {}
        self._awaited: dict[tuple[str, str], tuple[ReplayedMail, str]] = {}
        """Notices that were spoken of before they showed: of which mail, and a word for it."""

    def take(self, line: Line) -> None:
        match parse_record(line):
            case types.Received() | types.PickedUp() | types.MessageId() | types.Acted() | types.PutOnHold() as record:
                self._arriving(line, record)
            case types.Delivery() as record:
                self._tried(line, record)
            case types.Active(queue_id, sender, size):
                mail = self._active(line, queue_id, sender, size)
                mail.sender, mail.size, mail.is_queued = sender, size, True
            case types.Expired(queue_id, sender):
                mail = self._mail(line, queue_id)
                mail.sender, mail.has_expired = sender, True
            case types.Removed(queue_id):
                mail = self._mail(line, queue_id)
                mail.end = mail.end or "removed"
            case types.Operated(queue_id, action):
                mail = self._mail(line, queue_id)
                mail.end = {"removed": "deleted", "requeued": "requeued"}.get(action, mail.end)
            case types.Notified(queue_id, _, kind, notice):
                mail, key = self._mail(line, queue_id), (line.host, notice)
                if not self._link(mail, f"{kind} notice", key):
                    self._awaited[key] = mail, f"{kind} notice"
            case types.AttemptFailed(queue_id) | types.Skipped(queue_id):
                self._mail(line, queue_id)

    def mails(self) -> list[ReplayedMail]:
        """All mails, in the order in which they appeared; to be asked once, at the end."""
        for mail in self._lives:
            _inherit(mail)
        return self._lives

    def _arriving(
        self, line: Line, record: types.Received | types.PickedUp | types.MessageId | types.Acted | types.PutOnHold
    ) -> None:
        match record:
            case types.Received(str(queue_id), _, attributes):
                mail = self._arrived(line, queue_id)
                if (orig := attributes.get("orig_queue_id")) is not None:
                    self._came_of(mail, line, orig, "re-injected")
            case types.PickedUp(queue_id, _, sender, orig_id):
                mail = self._arrived(line, queue_id)
                mail.sender = sender
                if orig_id is not None:
                    self._came_of(mail, line, orig_id, "requeued")
            case types.MessageId(queue_id, message_id, is_resent):
                mail = self._beginning(line, queue_id)
                if mail.message_id is None or (mail.is_resent_id and not is_resent):
                    mail.message_id, mail.is_resent_id = message_id, is_resent
            case types.Acted(str(queue_id), _, of_envelope) | types.PutOnHold(queue_id, _, of_envelope):
                mail = self._mail(line, queue_id)
                mail.sender = of_envelope if mail.sender is None else mail.sender

    def _tried(self, line: Line, delivery: types.Delivery) -> None:
        mail = self._mail(line, delivery.queue_id)
        state = delivery.state(line.daemon, is_relayhosted=self._is_relayhosted)
        if state is None:
            return
        mail.is_queued = True
        mail.tried(delivery.to, state, delivery.dsn)
        if delivery.status == "sent" and (handed := _HANDED_ON.search(delivery.reason)) is not None:
            # Mail of this host shows in its log before the reply does; most ids here are another server's.
            self._link(mail, f"{handed['how']} as", (line.host, handed["id"]))

    def _mail(self, line: Line, queue_id: str) -> ReplayedMail:
        """The last life of this id."""
        mail = self._last.get((line.host, queue_id))
        return self._new(line, queue_id) if mail is None else mail

    def _new(self, line: Line, queue_id: str) -> ReplayedMail:
        mail = self._last[line.host, queue_id] = ReplayedMail(queue_id)
        self._lives.append(mail)
        if (awaited := self._awaited.pop((line.host, queue_id), None)) is not None:
            before, how = awaited
            before.next[mail] = how
        return mail

    def _link(self, mail: ReplayedMail, how: str, key: tuple[str, str]) -> bool:
        """Whether the mail it leads to is there."""
        later = self._last.get(key)
        if later is not None and later is not mail:
            mail.next.setdefault(later, how)
        return later is not None

    def _beginning(self, line: Line, queue_id: str) -> ReplayedMail:
        mail = self._mail(line, queue_id)
        return self._new(line, queue_id) if mail.end or mail.is_queued else mail

    def _arrived(self, line: Line, queue_id: str) -> ReplayedMail:
        mail = self._beginning(line, queue_id)
        if mail.has_arrived:  # the one before was never queued: its client broke off
            mail = self._new(line, queue_id)
        mail.has_arrived = True
        return mail

    def _active(self, line: Line, queue_id: str, sender: str, size: int) -> ReplayedMail:
        mail = self._mail(line, queue_id)
        is_other = mail.size is not None and (mail.sender, mail.size) != (sender, size)
        return self._new(line, queue_id) if mail.end or is_other else mail

    def _came_of(self, mail: ReplayedMail, line: Line, queue_id: str, how: str) -> None:
        before = self._last.get((line.host, queue_id))
        if before is not None and before is not mail:
            mail.was = before
            before.next.setdefault(mail, how)


def _inherit(mail: ReplayedMail) -> None:
    for before in _ancestors(mail):
        mail.message_id = before.message_id if mail.message_id is None else mail.message_id
        mail.sender = before.sender if mail.sender is None else mail.sender


def _ancestors(mail: ReplayedMail) -> Iterator[ReplayedMail]:
    seen = {id(mail)}
    while mail.was is not None and id(mail.was) not in seen:
        mail = mail.was
        seen.add(id(mail))
        yield mail


def states(mails: list[ReplayedMail]) -> Counter[State]:
    """How many recipients are in each state."""
    return Counter(mail.state(recipient) for mail in mails for recipient in mail.recipients.values())
