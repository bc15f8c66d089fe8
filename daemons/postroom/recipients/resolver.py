"""Whom a client names: the address Postfix makes of it, and the hashes it is counted and looked for under. Pure.

The one place where the spellings of a recipient are told to be one, for all doors:

    policy at RCPT and at the end    what smtpd(8) was given
    milter, sendmail door            what Postfix brings from its queue, without canonical and virtual tables
    submission                       what a request names; an address of ours may be routed as well

What Postfix logs and reports on is the resolved address, so its hash is the one that suppressions are kept under.

With `plus_addresses: same` an address with a subaddress (RFC 5233) is counted, and suppressed, as the address without.
What is after the delimiter is then left out: at a domain of ours any character of recipient_delimiter, elsewhere `+`.

Flow:    policy/, milter/, submission/, check.py -> RecipientResolver -> mail/spellings.py
BUGS:    what tables make of an address (canonical, virtual, aliases) is another recipient. So is the same name at
         another domain of ours, although local(8) delivers both to one mailbox.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from postroom.mail.addresses import AddressInvalid, domain_of
from postroom.mail.recipients import private, recipient_hash
from postroom.mail.spellings import AddressRewriting, resolved
from postroom.recipients.syntax import fault

PlusAddresses = Literal["separate", "same"]


@dataclass(frozen=True, slots=True)
class ResolvedRecipient:
    """One recipient, however it was written.

    Attributes:
        address:    the one Postfix delivers to.
        counted:    value of the key `recipient`.
        suppressed: hashes under which a suppression holds for it; its own is the first.
    """

    address: str
    domain: str
    counted: str
    suppressed: Sequence[str]


class RecipientResolver:
    """Resolves recipients.

    Args:
        key:            hashes them.
        rewriting:      Postfix's settings; None where they are not known.
        plus_addresses: whether subaddresses are recipients of their own.
    """

    def __init__(
        self, key: bytes, rewriting: AddressRewriting | None, plus_addresses: PlusAddresses = "separate"
    ) -> None:
        self._key = key
        self._rewriting = rewriting
        self._are_plus_addresses_same = plus_addresses == "same"

    def resolve(self, named: str) -> ResolvedRecipient:
        """The recipient that a client names so.

        Raises:
            AddressInvalid: it is no address, or whose it is cannot be told.
        """
        if (reason := fault(named)) is not None:
            raise AddressInvalid(reason)
        address = resolved(named, self._rewriting)
        if address != named and (reason := fault(address)) is not None:
            raise AddressInvalid(reason)
        return self._known(address)

    def resolve_or_keep(self, named: str) -> ResolvedRecipient:
        """As `resolve`, where a refusal comes too late; what cannot be resolved is a recipient as it is written."""
        try:
            return self.resolve(named)
        except AddressInvalid:
            return self._known(named)

    def _known(self, address: str) -> ResolvedRecipient:
        exact = recipient_hash(self._key, address)
        base = self._base(address) if self._are_plus_addresses_same else address
        counted = private(self._key, base)
        suppressed = (exact,) if base == address else (exact, recipient_hash(self._key, base))
        return ResolvedRecipient(address, domain_of(address), counted, suppressed)

    def _base(self, address: str) -> str:
        local, at, domain = address.lower().rpartition("@")
        rewriting = self._rewriting
        if rewriting is not None and rewriting.is_local(domain) is True:
            delimiters = rewriting.recipient_delimiter
        else:
            delimiters = "+"
        # As Postfix does it (split_addr(3)): at the first of them, not at the start, and these names never.
        is_whole = "-" in delimiters and (
            local.startswith("owner-") or local.endswith("-request") or local == "mailer-daemon"
        )
        cut = min((index for one in delimiters if (index := local.find(one)) >= 0), default=0)
        return f"{local[:cut]}{at}{domain}" if cut > 0 and not is_whole else address
