"""One check of recipients for all doors: can this be an address, and may mail go to it?

    syntax        553 5.1.3   recipient_syntax
    suppressed    550 5.1.1   recipient_suppressed (or the status of class 5 that suppressed it)

Each address is resolved as Postfix will resolve it (resolver.py), so no spelling of a suppressed one passes.
A store that is lost lets mail pass: a mail that bounces once more does less harm than mail that does not go.

Flow:  policy/, submission/ -> RecipientCheck -> RecipientResolver, Suppressions.suppressed
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from postroom.mail.addresses import AddressInvalid
from postroom.recipients.resolver import RecipientResolver, ResolvedRecipient
from postroom.runtime.circuit_breaker import CircuitBreaker
from postroom.store.errors import StoreUnavailable
from postroom.store.shared.interface import Suppressions
from postroom.store.shared.values import Suppression

CHECK_LOST = "suppressed recipients pass"
SYNTAX_RULE, SUPPRESSED_RULE = "recipient_syntax", "recipient_suppressed"


@dataclass(frozen=True, slots=True)
class RecipientRefusal:
    """Why a recipient gets no mail: SMTP code and enhanced status, the rule's stable name, a sentence."""

    code: int
    enhanced_status: str
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.enhanced_status} {self.text}"


SUPPRESSED_IN_SHORT = RecipientRefusal(
    550,
    "5.1.1",
    "recipient_suppressed",
    "recipient gets no mail from here (recipient_suppressed); ask the postmaster of this host",
)
"""For who may know that a recipient is suppressed, but not since when and by what."""


class RecipientCheck:
    """Checks recipients.

    Args:
        resolver: tells who they are; may be replaced between two questions.
        breaker:  of the file of the suppressions.
        budget_s: seconds it may take for one call.
    """

    def __init__(
        self, suppressions: Suppressions, resolver: RecipientResolver, breaker: CircuitBreaker, budget_s: float
    ) -> None:
        self._suppressions = suppressions
        self.resolver = resolver
        self._breaker = breaker
        self._budget_s = budget_s

    async def refusals(
        self, addresses: Sequence[str], stream: str = "", now: float | None = None
    ) -> list[RecipientRefusal | None]:
        """For each address, in order: why it is refused, or None.

        Args:
            stream: of the mail; "" where it is not known, as at RCPT: then only what is about all mail refuses.
        """
        who = [self._resolved(address) for address in addresses]
        hashes = [known for one in who if isinstance(one, ResolvedRecipient) for known in one.suppressed]
        try:
            found = await self._breaker.ask(lambda: self._suppressions.suppressed(hashes, stream, now), self._budget_s)
        except StoreUnavailable:
            found = {}
        return [
            one
            if isinstance(one, RecipientRefusal)
            else _suppressed(next((found[known] for known in one.suppressed if known in found), None))
            for one in who
        ]

    def _resolved(self, address: str) -> ResolvedRecipient | RecipientRefusal:
        try:
            return self.resolver.resolve(address)
        except AddressInvalid as invalid:
            return RecipientRefusal(553, "5.1.3", SYNTAX_RULE, f"bad recipient address: {invalid.reason}")


def _suppressed(suppression: Suppression | None) -> RecipientRefusal | None:
    if suppression is None:
        return None
    # The code is 550, so its status must be of class 5 too (RFC 2034 §4).
    status = suppression.enhanced_status or ""
    of_stream = f" for {suppression.stream}" if suppression.stream else ""
    since = datetime.fromtimestamp(suppression.added_at, UTC).date().isoformat()
    return RecipientRefusal(
        550,
        status if status.startswith("5.") else "5.1.1",
        SUPPRESSED_RULE,
        f"recipient is suppressed{of_stream}: {suppression.cause}, since {since}",
    )
