"""Recipients that get no mail, and what led to that, as values. Times are Unix seconds.

Recipients stand here as keyed hash, domain and masked hint (mail/recipients.py); texts are masked.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

SuppressionSource = Literal["bounce", "complaint", "manual", "import"]
"""Who says so. What stands further right in RANKS is not replaced by what stands left of it."""

COMPLAINT: SuppressionSource = "complaint"
"""Also the cause of such an entry, and of the fact that brings it."""

RANKS: tuple[SuppressionSource, ...] = ("bounce", "import", "complaint", "manual")


@dataclass(frozen=True, slots=True)
class Suppression:
    """Why no mail is sent to one recipient.

    Args:
        recipient_hash:  who (mail/recipients.py).
        domain, hint:    what people may see of the address: its domain, and the masked form; "" where only the
                         hash is known.
        cause:           word of the class: `invalid_recipient`, `manual`, …
        enhanced_status: of the reply or notice that proved it, if there was one.
        evidence:        its text, addresses masked.
        source:          who says so.
        added_at:        since when.
        expires_at:      from when on it no longer holds; None is never.
        rule:            id of the rule that judged the evidence; "" where none did.
        rule_version:    of that rule; 0 where none did.
        stream:          the one stream of mail it is about; "" is all mail.
        wave:            the wave it came with (see Wave), if any.
        is_held:         it waits for the review of its wave, and is not in effect.
    """

    recipient_hash: str
    domain: str
    hint: str
    cause: str
    enhanced_status: str | None
    evidence: str
    source: SuppressionSource
    added_at: float
    expires_at: float | None
    rule: str = ""
    rule_version: int = 0
    stream: str = ""
    wave: int | None = None
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class ProofRule:
    """When refusals of one class are proof.

    Args:
        bounces: so many of them, without mail delivered in between; at most MOST_REFUSALS.
        over_s:  and so many seconds between the first and the last.
        kept_s:  how long the recipient stays suppressed, from the last of them on.
    """

    bounces: int
    over_s: float
    kept_s: float


MOST_REFUSALS = 20
"""So many refusals of one recipient, class and kind (proof or not) are kept: the first ones, and the last."""

REFUSAL_KEPT_S = 180 * 86_400.0
"""A refusal is forgotten after so long."""

GOOD_KEPT_S = 3_600.0
"""That a recipient got mail is remembered for so long: what hosts pass on late and out of order is older than that."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A fact: a refusal that speaks against its recipient.

    Args:
        id:       unique over all hosts; learned twice, it counts once.
        evidence: the reply, masked.
        at:       when it was given.
        is_proof: it is proof by itself; else it counts.
    """

    id: str
    recipient_hash: str
    domain: str
    hint: str
    cause: str
    rule: str
    rule_version: int
    enhanced_status: str
    evidence: str
    at: float
    is_proof: bool


@dataclass(frozen=True, slots=True)
class Delivered:
    """A fact: mail reached this recipient."""

    recipient_hash: str
    domain: str
    at: float


class Learned(StrEnum):
    """What a fact has changed."""

    SUPPRESSED = "suppressed"
    KNOWN = "known"
    """It was suppressed already; it may be for longer now."""
    COUNTED = "counted"
    """A refusal that proves nothing yet."""
    OUTDATED = "outdated"
    """A refusal that was learned before, or is older than mail that reached the recipient."""
    HELD = "held"
    """It belongs to a wave that waits for review, and is not in effect."""
    WAVE_BEGAN = "wave_began"
    """As held, and the wave begins with it."""
    LIFTED = "lifted"
    """The delivery put an end to a suppression."""
    NOTHING = "nothing"
    """The delivery met no suppression."""


@dataclass(frozen=True, slots=True)
class KeptRefusal:
    """A refusal as it is kept."""

    cause: str
    rule: str
    rule_version: int
    enhanced_status: str
    evidence: str
    at: float
    is_proof: bool


@dataclass(frozen=True, slots=True)
class RecipientHistory:
    """All that is kept about one recipient.

    Attributes:
        entries:  what is said against it, what is about all mail first; held ones too, expired ones not.
        refusals: those that count, the first one first.
        good_at:  when it last got mail, or was lifted, if that was lately (GOOD_KEPT_S).
    """

    entries: tuple[Suppression, ...]
    refusals: tuple[KeptRefusal, ...]
    good_at: float | None

    @property
    def is_suppressed(self) -> bool:
        """Whether any entry is in effect."""
        return any(not entry.is_held for entry in self.entries)


@dataclass(frozen=True, slots=True)
class WaveGuard:
    """When suppressions are a wave: a receiver, or a rule of ours, that is wrong about many at once.

    Args:
        suppressions: more than so many by bounces, of one domain or by one rule;
        within_s:     in so many seconds, at most GOOD_KEPT_S;
        percent:      and more than so many of a hundred recipients, mail to the others having arrived.
    """

    suppressions: int
    within_s: float
    percent: int


WaveState = Literal["open", "accepted", "undone"]

WAVE_KEPT_S = 30 * 86_400.0
"""A wave of which nothing is left is forgotten so long after its last suppression."""


@dataclass(frozen=True, slots=True)
class Wave:
    """Suppressions that came in a burst.

    Attributes:
        number:    its name.
        subject:   what they have in common: `domain:example.net`, `rule:recipient.unknown`, or `complaint:unsigned`.
        state:     `open` holds what comes; once `accepted`, what comes is in effect; `undone` is lifted.
        began_at:  when the burst was noticed.
        last_at:   when the last one came.
        held:      how many wait for the review.
        in_effect: how many are in effect.
    """

    number: int
    subject: str
    state: WaveState
    began_at: float
    last_at: float
    held: int
    in_effect: int
