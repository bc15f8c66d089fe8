"""Whose fault was it: which refusals speak against the recipient itself. Pure; the rules are data.

A rule names the enhanced status codes that say "this address does not exist" (RFC 3463 §3.2), and words in the
reply that take it back: big providers send 5.1.1 for full mailboxes and for senders they do not like. Policy,
reputation, content (5.7.x), size, routing and our own faults are no rule here, so they never suppress.

Source:  RFC 3463 §3.2 (X.1.1), RFC 7505 §4.2 and the registry of enhanced status codes (X.1.10, null MX).
BUGS:    a server that answers 5.1.1 to a sender it refuses, without a word of it, is believed.
"""

import re
from dataclasses import dataclass

from postroom.store.local.facts import Fault

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One class of recipient faults.

    Attributes:
        cause:  its stable name.
        codes:  enhanced status codes.
        unless: found in the reply, it is another fault after all.
        kept_s: how long such an address stays suppressed, in seconds.
    """

    cause: str
    codes: frozenset[str]
    unless: re.Pattern[str]
    kept_s: float


# 552 and 452 are "exceeded storage allocation" (RFC 5321 §4.2.3), whatever enhanced code stands beside.
_OTHER_FAULT = re.compile(
    r"\b[45]52[ -]|quota|mailbox[^.]{0,20}full|over.?size|too (large|big)|spam|polic(y|ies)|black.?list|block|"
    r"reputation|bann?ed|denied|dmarc|dkim|\bspf\b|\bdns(bl)?\b|\brbl\b|relaying",
    re.IGNORECASE,
)

RULES = (
    Rule("invalid_recipient", frozenset({"5.1.1"}), _OTHER_FAULT, 180 * DAY_S),
    Rule("invalid_domain", frozenset({"5.1.10"}), _OTHER_FAULT, 30 * DAY_S),
)


def fault_of_recipient(enhanced_status: str, reason: str) -> Fault | None:
    """The rule a permanent refusal falls under; None when it does not speak against its recipient."""
    # Before it stands the server's name, which may hold any word ("host mx.blocks.example[…] said: 550 …").
    reply = reason.partition(" said: ")[2] or reason
    for rule in RULES:
        if enhanced_status in rule.codes and rule.unless.search(reply) is None:
            return Fault(rule.cause, rule.kept_s)
    return None
