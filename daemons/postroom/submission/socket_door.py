"""What is asked of every mail at the socket door, at accept and again at hand-over: who is suppressed, what is counted.

A message is counted as at the other doors: once, with all its recipients, in one step, when it is handed over
(handover/gate.py). At accept only what can never go out is refused (api/message_check.py).
"""

from collections.abc import Sequence

from postroom.limits.limiter import Limiter
from postroom.limits.subject import Subject, counted_sender, of_mail
from postroom.mail.recipients import private
from postroom.recipients.check import SUPPRESSED_RULE, RecipientCheck, RecipientRefusal
from postroom.store.limits.interface import Demand, Verdict


class SocketDoor:
    """Asks the list of suppressed recipients, and the limits of mail.

    Args:
        check:    has the resolver that recipients are counted by as well.
        key:      hashes senders before they are counted.
        hostname: value of the key `server`.
    """

    def __init__(self, check: RecipientCheck, limiter: Limiter, key: bytes, hostname: str) -> None:
        self._check = check
        self._limiter = limiter
        self._key = key
        self._hostname = hostname

    async def refused(self, recipients: Sequence[str], stream: str) -> dict[str, RecipientRefusal]:
        """Those of the recipients that get no mail of this stream, and why."""
        refusals = zip(recipients, await self._check.refusals(recipients, stream), strict=True)
        return {recipient: refusal for recipient, refusal in refusals if refusal is not None}

    async def suppressed(self, recipients: Sequence[str], stream: str) -> dict[str, RecipientRefusal]:
        """Those of them that are suppressed; what was accepted goes out although it can no longer be resolved."""
        refused = await self.refused(recipients, stream)
        return {recipient: refusal for recipient, refusal in refused.items() if refusal.rule == SUPPRESSED_RULE}

    def counted_sender(self, address: str) -> str:
        """A From address in the form limits count it by, hashed."""
        return private(self._key, counted_sender(address))

    def never_fitting(self, client: str, sender: str, recipients: Sequence[str]) -> Demand | None:
        """The limit that such a message is larger than, however long it waits; None when it fits all of them."""
        return self._limiter.never_fitting(self._subject(client, sender, recipients))

    async def take(self, message: str, client: str, sender: str, recipients: Sequence[str]) -> Verdict:
        """Count a message; asked again with its id it gives the first verdict again."""
        subject = self._subject(client, sender, recipients)
        return (await self._limiter.decide(message, "socket", subject)).verdict

    def _subject(self, client: str, sender: str, recipients: Sequence[str]) -> Subject:
        return of_mail(
            {"client": client, "sender": sender, "server": self._hostname},
            {one.counted: one.domain for one in map(self._check.resolver.resolve_or_keep, recipients)},
            len(recipients),
        )
