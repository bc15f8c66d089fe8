"""How people are known once their message is with Postfix: by keyed hash and masked address, never in clear.

The same address gives the same hash on every host that has the key, and
without the key a hash says nothing. Case is folded, of the local part too:
`Jane` and `jane` may be two people in theory, but a list that one of them is
on must be found for both, and no known host tells them apart. For the same
reason quotes that a local part does not need are left out, and characters
beyond ASCII may be composed or not (RFC 6530 §10.1).

Source:  RFC 5321 §4.1.2: quotes are no part of the local part.

Limits:  a reply is kept with at most REASON_CHARS characters.
"""

import hmac
import re
import unicodedata
from dataclasses import dataclass

from postroom.mail.addresses import domain_of, masked, normalised
from postroom.mail.logsafe import redacted, safe

REASON_CHARS = 500
KEY_OCTETS = 32
HASH_HEX = 32
"""128 bits: no two addresses meet by chance."""


@dataclass(frozen=True, slots=True)
class MaskedRecipient:
    """Keyed hash, domain, and the hint that people see (j…@example.org)."""

    hash: str
    domain: str
    hint: str


def recipient_hash(key: bytes, address: str) -> str:
    """The keyed hash of an address, in HASH_HEX hexadecimal digits."""
    known = unicodedata.normalize("NFC", normalised(address)).casefold()
    return hmac.digest(key, known.encode("utf-8", "surrogatepass"), "sha256").hex()[:HASH_HEX]


def private(key: bytes, value: str) -> str:
    """An address or login as the key of a limit: `#` and its keyed hash; "" stays empty."""
    return f"#{recipient_hash(key, value)}" if value else ""


def masked_recipient(key: bytes, address: str) -> MaskedRecipient:
    """The kept form of an address; any text gives one."""
    return MaskedRecipient(recipient_hash(key, address), domain_of(address), masked(address))


def masked_reply(reply: str, *recipients: str) -> str:
    """The reply without addresses, and without the recipient's local part: servers repeat that alone too."""
    text = redacted(reply)
    for recipient in recipients:
        local = recipient.rpartition("@")[0]
        if len(local) > 2 and _may_hold(text, local):
            text = re.sub(rf"(?<!\w){re.escape(local)}(?!\w)", "…", text, flags=re.IGNORECASE)
    return safe(text, REASON_CHARS)


def _may_hold(text: str, word: str) -> bool:
    """Whether a pattern that ignores case could find the word: making one takes longer than all else here."""
    is_ascii = text.replace("…", "").isascii() and word.isascii()  # beyond it case has rules of its own
    return not is_ascii or word.lower() in text.lower()
