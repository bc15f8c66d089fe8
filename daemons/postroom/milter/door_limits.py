"""The limits of the sendmail door: all keys of a mail in one step, at its end.

    allowed     it passes, and is counted
    over        450: Postfix keeps it in the deferred queue, with our reason, and brings it again
    many over   past `hold_above` of one key it is put on hold instead: no retries, until `postroom limits release`
    never fits  550

What is counted is the mail as Postfix first had it (its first queue id and date) with the recipients it now brings:
the same however often Postfix brings it again, for a limit, a lost answer or a requeue. A requeued mail that had
passed a door before is not counted; of one that was held instead, the count is made up for.

Flow:    session.py -> DoorLimits.decide -> limits/limiter.py, Waiting
BUGS:    while the store is lost nothing is held, and a requeued mail is counted unless its signature holds; so is
         a mail without signature that is requeued again after it was requeued and passed, as `unknown`.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeVar

from postroom.limits.limiter import Decision, Limiter
from postroom.limits.subject import UNKNOWN_UID, Subject, counted_sender, of_mail
from postroom.mail.recipients import private
from postroom.milter.origin import Origin
from postroom.recipients.resolver import RecipientResolver
from postroom.runtime.circuit_breaker import CircuitBreaker
from postroom.senders.envelope import counted_together
from postroom.store.errors import StoreUnavailable
from postroom.store.limits.interface import Door, Takes, Usage, Verdict, Waiting

T = TypeVar("T")

DOOR: Door = "sendmail"


@dataclass(frozen=True, slots=True)
class DoorMail:
    """A mail at the end of its transaction.

    Args:
        queue_id:   of this transaction.
        sender:     envelope sender; "" is the null sender.
        recipients: those Postfix took.
        is_signed:  it brought a signature of ours that holds.
        is_sender_anothers: its sender is an address of ours that the table does not give to its user.
    """

    origin: Origin
    queue_id: str
    sender: str
    recipients: Sequence[str]
    is_signed: bool
    is_sender_anothers: bool = False


@dataclass(frozen=True, slots=True)
class DoorDecision:
    """What becomes of a mail, and what the log says about it.

    Args:
        what:  pass, wait (450), hold (it passes into Postfix's hold queue) or refuse (550).
        text:  of the reply or the hold.
        uid:   whose mail it is; "unknown".
        by:    who decided the limits; None where they were not asked.
    """

    what: Literal["pass", "wait", "hold", "refuse"]
    text: str
    uid: str
    rule: str | None = None
    usage: Usage | None = None
    by: Literal["store", "process"] | None = None


@dataclass(frozen=True, slots=True)
class SendmailDoor:
    """What a session asks at the sendmail door: is it Postfix that connects, and what becomes of the mail?

    Attributes:
        postfix_uid: the owner of a connection that is believed; None is nobody.
        decide:      blocks until the limits have decided about the mail.
    """

    postfix_uid: int | None
    decide: Callable[[DoorMail], DoorDecision]


class DoorLimits:
    """The limits of one process, asked about one mail after the other.

    Args:
        breaker:    of the file of the limits, shared with the limiter.
        budget_s:   seconds the store may take for one question; there are at most four.
        resolver:   tells who the recipients are.
        key:        hashes what is private before it is counted.
        hostname:   value of the key `server`.
        hold_above: how many may wait under one key; None is any number.
        clock:      Unix seconds.
    """

    def __init__(
        self,
        waiting: Waiting,
        takes: Takes,
        limiter: Limiter,
        breaker: CircuitBreaker,
        budget_s: float,
        *,
        resolver: RecipientResolver,
        key: bytes,
        hostname: str,
        hold_above: int | None,
        clock: Callable[[], float],
    ) -> None:
        self._waiting = waiting
        self._takes = takes
        self._limiter = limiter
        self._breaker = breaker
        self._budget_s = budget_s
        self._resolver = resolver
        self._key = key
        self._hostname = hostname
        self._hold_above = hold_above
        self._clock = clock

    async def decide(self, mail: DoorMail) -> DoorDecision:
        """Decide about a mail and count it; a lost store raises nothing here."""
        origin = mail.origin
        uid = UNKNOWN_UID if origin.uid is None else str(origin.uid)
        instance = self._instance(mail)
        if (passed_as := origin.passed_as) is not None:
            passage = await self._asked(lambda: self._waiting.passage(passed_as))
            if passage is not None and passage.outcome == "held":
                instance, uid = passage.instance, passage.owner
            elif passage is not None or mail.is_signed:
                return DoorDecision("pass", "requeued", uid)
        decision = await self._limiter.decide(instance, DOOR, self._subject(mail, uid), mail.queue_id)
        return await self._outcome(mail, instance, uid, decision)

    async def give_back(self, queue_id: str, began_at: float) -> bool:
        """Make a mail cost nothing that policy has counted at the door `smtp` and the milter refuses.

        Where the store is lost the watcher does it, which reads of the refusal in the journal.
        """
        return bool(await self._asked(lambda: self._takes.give_back(queue_id, began_at, self._clock())))

    def _subject(self, mail: DoorMail, uid: str) -> Subject:
        sender = counted_sender(mail.sender)
        if mail.is_sender_anothers:
            sender = counted_together(f"uid:{uid}", sender)
        return of_mail(
            {
                "uid": uid,
                "sender": private(self._key, sender),
                "server": self._hostname,
            },
            {one.counted: one.domain for one in map(self._resolver.resolve_or_keep, mail.recipients)},
            max(1, len(mail.recipients)),
        )

    def _instance(self, mail: DoorMail) -> str:
        name = mail.origin.first or mail.origin.passed_as or mail.queue_id
        # The recipients too: a mail of many comes in several pieces, and each is to be counted.
        known = "\n".join([name, *sorted(mail.recipients)]).encode("utf-8", "surrogateescape")
        return f"{name.partition(' ')[0]}/{hmac.digest(self._key, known, hashlib.sha256).hex()[:32]}"

    async def _outcome(self, mail: DoorMail, instance: str, uid: str, decision: Decision) -> DoorDecision:
        verdict = decision.verdict
        if verdict.allowed or verdict.rule is None or verdict.key is None:
            return DoorDecision("pass", "", uid, by=decision.by)
        rule, counted = verdict.rule, verdict.key
        usage = next((one for one in verdict.usages if (one.rule, one.key) == (rule, counted)), None)
        if verdict.never_fits:
            text = f"More recipients than the limit {rule} allows at once"
            return DoorDecision("refuse", text, uid, rule, usage, decision.by)
        if decision.by == "store" and await self._wait_or_hold(instance, rule, counted, uid, mail.queue_id):
            text = f"over the limit {rule} for {counted}, like many others; postroom limits release"
            return DoorDecision("hold", text, uid, rule, usage, decision.by)
        return DoorDecision("wait", self._wait_text(verdict), uid, rule, usage, decision.by)

    async def _wait_or_hold(self, instance: str, rule: str, counted: str, uid: str, queue_id: str) -> bool:
        """Note that the mail waits; where too many do, that it is held instead."""
        at_most = self._hold_above or 0
        others = await self._asked(lambda: self._waiting.wait(instance, DOOR, rule, counted, uid, at_most))
        if self._hold_above is None or others is None or others < at_most:
            return False

        async def hold() -> bool:
            await self._waiting.hold(instance, DOOR, queue_id)
            return True

        return await self._asked(hold) is not None

    def _wait_text(self, verdict: Verdict) -> str:
        at = datetime.fromtimestamp(self._clock() + verdict.retry_after_s, UTC)
        return f"Over the limit {verdict.rule} for {verdict.key}, not before {at:%Y-%m-%d %H:%M:%S} UTC"

    async def _asked(self, operation: Callable[[], Awaitable[T]]) -> T | None:
        """The store's answer; None when it is lost."""
        try:
            return await self._breaker.ask(operation, self._budget_s)
        except StoreUnavailable:
            return None
