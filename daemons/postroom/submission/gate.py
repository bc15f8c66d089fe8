"""What may go out at the socket door: who is suppressed, and what is over a limit of mail.

    accept      refuses what can never go out: all recipients suppressed, or more of them than a limit ever holds;
                recipients of a message that are suppressed beside others become deliveries in that state
    hand-over   asks again: a recipient may have been suppressed meanwhile; limits are taken here and nowhere else

A message is counted as at the other doors: once, with all its recipients, in one step. What is counted is the
message's id, so whichever of its deliveries comes first takes for all, and none is counted again after a crash.
Once any of them was offered to Postfix nothing is asked any more, however long ago that was.

Waiting: deliveries held by one counter are asked for again one after the other, as units come free at the
limit's even pace; were all to ask at the first free unit, each would be refused over and over.
Flow:    api, outbox -> Gate -> RecipientCheck, Limiter
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from postroom.limits.limiter import Limiter
from postroom.limits.subject import Subject, of_mail
from postroom.mail.addresses import domain_of
from postroom.mail.hashes import private
from postroom.mail.senders import counted_sender
from postroom.mail.states import State
from postroom.recipients.check import RecipientCheck, RecipientRefusal
from postroom.store.outbox.messages import ClaimedDelivery, StoredMessage, Unsent
from postroom.store.shared.interface import Verdict
from postroom.submission.api.problem import ApiProblem, FieldError
from postroom.submission.api.request import MessageRequest
from postroom.submission.api.writer import WrittenMessage

SUPPRESSED_RULE = "recipient_suppressed"
MAX_QUEUES = 10_000
"""Counters whose next free unit is remembered."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a delivery is not handed over now.

    Args:
        state:  suppressed or failed for good, deferred until `due_at` (Unix seconds).
        rule:   the stable name of what holds it.
        reason: for whoever asks about the message.
    """

    state: State
    rule: str
    enhanced_status: str
    reason: str
    due_at: float = 0.0


@dataclass(frozen=True, slots=True)
class AcceptedMessage:
    """A message that may be accepted, and those of its recipients that get nothing of it."""

    message: StoredMessage
    suppressed: Mapping[str, Unsent]


class Gate:
    """Decides at accept and at hand-over.

    Args:
        key:      hashes recipients before they are counted.
        hostname: value of the key `server`.
        clock:    Unix seconds.
    """

    def __init__(
        self, check: RecipientCheck, limiter: Limiter, key: bytes, hostname: str, clock: Callable[[], float]
    ) -> None:
        self._check = check
        self._limiter = limiter
        self._key = key
        self._hostname = hostname
        self._clock = clock
        self._next_free: dict[tuple[str, str], float] = {}

    async def accept(self, request: MessageRequest, written: WrittenMessage) -> AcceptedMessage:
        """Let a message in, with the sender it will be counted under.

        Raises:
            ApiProblem: 422, it can never go out: no recipient is left, or there are too many for a limit.
        """
        suppressed = await self._suppressed(written.recipients, written.message.stream)
        if len(suppressed) == len(written.recipients):
            raise ApiProblem(
                422, "suppressed", "no mail goes to any of the recipients; see errors", _faults(request, suppressed)
            )
        assert request.from_ is not None, "what is written has a From"
        message = replace(written.message, sender=private(self._key, counted_sender(request.from_.address)))
        left = [recipient for recipient in written.recipients if recipient not in suppressed]
        too_large = self._limiter.never_fitting(self._subject(message.client, message.sender, left))
        if too_large is not None:
            raise ApiProblem(
                422,
                "never_fits",
                f"{len(left)} recipients are more than the limit {too_large.rule} ever holds at once; "
                "send to fewer in one message",
            )
        return AcceptedMessage(
            message,
            {recipient: Unsent(refusal.enhanced_status, refusal.text) for recipient, refusal in suppressed.items()},
        )

    async def hand_over(self, claimed: Sequence[ClaimedDelivery]) -> list[tuple[ClaimedDelivery, Hold | None]]:
        """For each of these deliveries, in order: None when it may go out now, and is counted; else what holds it."""
        streams = {delivery.stream for delivery in claimed}
        suppressed = {
            stream: await self._suppressed([each.recipient for each in claimed if each.stream == stream], stream)
            for stream in streams
        }
        verdicts: dict[str, Verdict] = {}
        decided: list[tuple[ClaimedDelivery, Hold | None]] = []
        for delivery in claimed:
            held: Hold | None = None
            if (refusal := suppressed[delivery.stream].get(delivery.recipient)) is not None:
                held = Hold(State.SUPPRESSED, refusal.rule, refusal.enhanced_status, refusal.text)
            elif not delivery.is_counted:
                if delivery.message not in verdicts:
                    verdicts[delivery.message] = await self._take(delivery)
                held = self._held(verdicts[delivery.message])
            decided.append((delivery, held))
        return decided

    async def _suppressed(self, recipients: Sequence[str], stream: str) -> dict[str, RecipientRefusal]:
        refusals = zip(recipients, await self._check.refusals(recipients, stream), strict=True)
        return {
            recipient: refusal
            for recipient, refusal in refusals
            # Their syntax was checked, with its pointer, when the request was read.
            if refusal is not None and refusal.rule == SUPPRESSED_RULE
        }

    async def _take(self, delivery: ClaimedDelivery) -> Verdict:
        subject = self._subject(delivery.client, delivery.sender, delivery.recipients)
        return (await self._limiter.decide(delivery.message, "socket", subject)).verdict

    def _subject(self, client: str, sender: str, recipients: Sequence[str]) -> Subject:
        return of_mail(
            {"client": client, "sender": sender, "server": self._hostname},
            {private(self._key, recipient): domain_of(recipient) for recipient in recipients},
            len(recipients),
        )

    def _held(self, verdict: Verdict) -> Hold | None:
        if verdict.allowed or verdict.rule is None:
            return None
        if verdict.never_fits:
            reason = f"more recipients than the limit {verdict.rule} ever holds at once"
            return Hold(State.FAILED, verdict.rule, "5.7.1", reason)
        return Hold(State.DEFERRED, verdict.rule, "4.7.1", f"over the limit {verdict.rule}", self._due_at(verdict))

    def _due_at(self, verdict: Verdict) -> float:
        now, counter = self._clock(), (verdict.rule or "", verdict.key or "")
        due_at = max(now + max(1.0, verdict.retry_after_s), self._next_free.get(counter, 0.0))
        usage = next((usage for usage in verdict.usages if (usage.rule, usage.key) == counter), None)
        if usage is not None:
            if len(self._next_free) >= MAX_QUEUES:
                self._next_free = {known: at for known, at in self._next_free.items() if at > now}
            self._next_free[counter] = due_at + usage.window_s / max(1, usage.limit)
        return due_at


def _faults(request: MessageRequest, suppressed: Mapping[str, RecipientRefusal]) -> list[FieldError]:
    return [
        FieldError(f"/{field}/{index}", "suppressed", suppressed[mailbox.address].text)
        for field, mailboxes in (("to", request.to), ("cc", request.cc), ("bcc", request.bcc))
        for index, mailbox in enumerate(mailboxes)
    ]
