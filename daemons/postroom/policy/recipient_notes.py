"""The recipients of messages under way, noted one by one until the message is counted.

Postfix names each recipient at RCPT and, when there are several, none at END-OF-MESSAGE. A note lies
in the store, because the question at the end may come to another process than the ones before: smtpd
connects again when a daemon was restarted or a reply was lost. It is kept here as well, for the time the
store is lost; then a message whose questions meet several processes is counted without the recipients
that only the others know.

Limits:  notes in the store lapse after NOTE_KEPT_S; here the oldest messages make room for the newest.
Flow:    decisions.py -> RecipientNotes -> Notes
"""

from collections import OrderedDict
from collections.abc import Mapping

from postroom.runtime.circuit_breaker import CircuitBreaker
from postroom.store.errors import StoreUnavailable
from postroom.store.limits.interface import Door, Notes


class RecipientNotes:
    """The notes of one process, and those of all in the store.

    Args:
        notes:     the store's, which all processes share.
        breaker:   of the file of the limits.
        budget_s:  seconds the store may take for one call; may be replaced between two.
        max_notes: recipients kept here at once, of all messages.
    """

    def __init__(self, notes: Notes, breaker: CircuitBreaker, budget_s: float, max_notes: int = 100_000) -> None:
        self._notes = notes
        self._breaker = breaker
        self.budget_s = budget_s
        self._max_notes = max_notes
        self._count = 0
        self._here: OrderedDict[tuple[Door, str], dict[str, str]] = OrderedDict()

    async def add(self, instance: str, door: Door, recipient: str, domain: str, now: float | None = None) -> None:
        """Note a recipient, by its hash and domain, of the message `instance`; once however often it is noted."""
        here = self._here.setdefault((door, instance), {})
        self._count += recipient not in here
        here[recipient] = domain
        while self._count > self._max_notes:
            _, oldest = self._here.popitem(last=False)
            self._count -= len(oldest)
        try:
            await self._breaker.ask(lambda: self._notes.note(instance, door, recipient, domain, now), self.budget_s)
        except StoreUnavailable:
            return

    async def of(self, instance: str, door: Door, now: float | None = None) -> Mapping[str, str]:
        """The recipients noted for this message: hash -> domain."""
        here = self._here.get((door, instance), {})
        try:
            noted = await self._breaker.ask(lambda: self._notes.noted(instance, door, now), self.budget_s)
        except StoreUnavailable:
            return dict(here)
        return {**noted, **here}
