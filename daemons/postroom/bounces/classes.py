"""Classes of faults: what a refusal says, whose it is, and what follows for its recipient. Pure.

    bucket     whose fault: `recipient` (the address is dead), `mailbox` (it lives, and cannot take mail now),
               `sender` (what we are or what we sent), `infrastructure` (machines and ways between)
    suppress   `now`    a permanent refusal of this class is proof enough
               `after`  proof only when it repeats
               `never`  says nothing against the recipient

Only classes of the bucket `recipient` suppress `now`, and only when the reply is permanent, speaks of the recipient
and shows no sign of another fault (classify.py).
"""

from dataclasses import dataclass
from typing import Literal

Bucket = Literal["recipient", "mailbox", "sender", "infrastructure"]
Suppress = Literal["now", "after", "never"]


@dataclass(frozen=True, slots=True)
class FaultClass:
    """A class of faults, and the most that can follow from it.

    Attributes:
        name:     its stable name; the cause of a suppression.
        bucket:   whose fault it is.
        suppress: the most that can follow.
    """

    name: str
    bucket: Bucket
    suppress: Suppress


_ALL = (
    FaultClass("invalid_recipient", "recipient", "now"),
    FaultClass("invalid_domain", "recipient", "now"),
    FaultClass("inactive", "recipient", "now"),
    FaultClass("mailbox_full", "mailbox", "after"),
    FaultClass("too_large", "sender", "never"),
    FaultClass("spam", "sender", "never"),
    FaultClass("virus", "sender", "never"),
    FaultClass("content", "sender", "never"),
    FaultClass("blocklist", "sender", "never"),
    FaultClass("auth", "sender", "never"),
    FaultClass("policy", "sender", "never"),
    FaultClass("rate_limit", "sender", "never"),
    FaultClass("relay_denied", "sender", "never"),
    FaultClass("greylist", "infrastructure", "never"),
    FaultClass("connection", "infrastructure", "never"),
    FaultClass("routing", "infrastructure", "never"),
    FaultClass("tls", "infrastructure", "never"),
    FaultClass("protocol", "infrastructure", "never"),
    FaultClass("system", "infrastructure", "never"),
    FaultClass("expired", "infrastructure", "never"),
    FaultClass("unknown", "infrastructure", "never"),
)

CLASSES = {each.name: each for each in _ALL}
