"""One check of recipients for all doors: can this be an address, and may mail go to it?

    syntax        553 5.1.3   recipient_syntax
    suppressed    550 5.1.1   recipient_suppressed (or the status of class 5 that suppressed it)

A store that is lost lets mail pass: a mail that bounces once more does less harm than mail that does not go.

Flow:  policy/, submission/ -> RecipientCheck -> Suppressions.suppressed
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from postroom.mail.recipients import recipient_hash
from postroom.recipients.syntax import fault
from postroom.runtime.circuit_breaker import CircuitBreaker
from postroom.store.errors import StoreUnavailable
from postroom.store.shared.interface import Suppressions
from postroom.store.shared.values import Suppression

CHECK_LOST = "suppressed recipients pass"


@dataclass(frozen=True, slots=True)
class RecipientRefusal:
    """Why a recipient gets no mail: SMTP code and enhanced status, the rule's stable name, a sentence."""

    code: int
    enhanced_status: str
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.enhanced_status} {self.text}"


class RecipientCheck:
    """Checks recipients.

    Args:
        key:      hashes them (`postroom store init` made it).
        breaker:  of the file of the suppressions.
        budget_s: seconds it may take for one call.
    """

    def __init__(self, suppressions: Suppressions, key: bytes, breaker: CircuitBreaker, budget_s: float) -> None:
        self._suppressions = suppressions
        self._key = key
        self._breaker = breaker
        self._budget_s = budget_s

    async def refusals(
        self, addresses: Sequence[str], stream: str = "", now: float | None = None
    ) -> list[RecipientRefusal | None]:
        """For each address, in order: why it is refused, or None.

        Args:
            stream: of the mail; "" where it is not known, as at RCPT: then only what is about all mail refuses.
        """
        hashes = [recipient_hash(self._key, address) for address in addresses]
        try:
            found = await self._breaker.ask(lambda: self._suppressions.suppressed(hashes, stream, now), self._budget_s)
        except StoreUnavailable:
            found = {}
        return [
            _syntax(address) or _suppressed(found.get(known)) for address, known in zip(addresses, hashes, strict=True)
        ]


def _syntax(address: str) -> RecipientRefusal | None:
    reason = fault(address)
    return (
        None
        if reason is None
        else RecipientRefusal(553, "5.1.3", "recipient_syntax", f"bad recipient address: {reason}")
    )


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
        "recipient_suppressed",
        f"recipient is suppressed{of_stream}: {suppression.cause}, since {since}",
    )
