"""What holds a delivery that is due: its recipient was suppressed since it was accepted, or a limit of mail is used up.

A message is counted here and nowhere else. What is counted is the message's id, so whichever of its deliveries comes
first takes for all, and none is counted again after a crash. Once any of them was offered to Postfix nothing is asked
any more, however long ago that was.

Waiting: deliveries held by one counter are asked for again one after the other, as units come free at the
limit's even pace; were all to ask at the first free unit, each would be refused over and over.

BUGS:    a message that Postfix or a milter refuses for good at the hand-over stays counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from postroom.mail.states import State
from postroom.store.limits.interface import Verdict
from postroom.store.outbox.messages import ClaimedDelivery
from postroom.submission.socket_door import SocketDoor

MAX_COUNTERS = 10_000
"""Counters whose next free unit is remembered."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a delivery is not handed over now.

    Attributes:
        state:  suppressed or failed for good, deferred until `due_at` (Unix seconds).
        rule:   the stable name of what holds it.
        reason: for whoever asks about the message.
    """

    state: State
    rule: str
    enhanced_status: str
    reason: str
    due_at: float = 0.0


class HandoverGate:
    """Lets deliveries pass, or holds them.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, door: SocketDoor, clock: Callable[[], float]) -> None:
        self._door = door
        self._clock = clock
        self._next_free: dict[tuple[str, str], float] = {}

    async def decide(self, claimed: Sequence[ClaimedDelivery]) -> list[tuple[ClaimedDelivery, Hold | None]]:
        """For each of these deliveries, in order: None when it may go out now, and is counted; else what holds it."""
        suppressed = {
            stream: await self._door.suppressed([each.recipient for each in claimed if each.stream == stream], stream)
            for stream in {delivery.stream for delivery in claimed}
        }
        verdicts: dict[str, Verdict] = {}
        decided: list[tuple[ClaimedDelivery, Hold | None]] = []
        for delivery in claimed:
            hold: Hold | None = None
            if (refusal := suppressed[delivery.stream].get(delivery.recipient)) is not None:
                hold = Hold(State.SUPPRESSED, refusal.rule, refusal.enhanced_status, refusal.text)
            elif not delivery.is_counted:
                if delivery.message not in verdicts:
                    verdicts[delivery.message] = await self._door.take(
                        delivery.message, delivery.client, delivery.sender, delivery.recipients
                    )
                hold = self._hold(verdicts[delivery.message])
            decided.append((delivery, hold))
        return decided

    def _hold(self, verdict: Verdict) -> Hold | None:
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
            if len(self._next_free) >= MAX_COUNTERS:
                self._next_free = {known: at for known, at in self._next_free.items() if at > now}
            self._next_free[counter] = due_at + usage.window_s / max(1, usage.limit)
        return due_at
