"""A recipient as it is kept once its message is with Postfix, and the replies that speak of it: never in clear.

Limits:  a reply is kept with at most REASON_CHARS characters.
"""

import re
from dataclasses import dataclass

from postroom.mail.addresses import domain_of, masked
from postroom.mail.hashes import recipient_hash
from postroom.mail.logsafe import redacted, safe

REASON_CHARS = 500


@dataclass(frozen=True, slots=True)
class MaskedRecipient:
    """Keyed hash (mail/hashes.py), domain, and the hint that people see (j…@example.org)."""

    hash: str
    domain: str
    hint: str


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
