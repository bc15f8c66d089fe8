"""A recipient as it is kept once its message is with Postfix: never in clear."""

from dataclasses import dataclass

from postroom.mail.addresses import domain_of, masked
from postroom.mail.hashes import recipient_hash


@dataclass(frozen=True, slots=True)
class MaskedRecipient:
    """Keyed hash (mail/hashes.py), domain, and the hint that people see (j…@example.org)."""

    hash: str
    domain: str
    hint: str


def masked_recipient(key: bytes, address: str) -> MaskedRecipient:
    """The kept form of an address; any text gives one."""
    return MaskedRecipient(recipient_hash(key, address), domain_of(address), masked(address))
