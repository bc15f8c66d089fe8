"""What all hosts and daemons know together of recipients and processes, whatever engine keeps it.

Protocols, and the values of beats (values.py has the others); tests/store/shared/ holds
each engine to them. Each operation is one transaction (or one script), safe to repeat, and
raises StoreUnavailable when the store cannot answer.

Time:  Unix seconds. `now=None` is the store's own clock, which no step of the system's clock
       moves; tests pass `now`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from postroom.store.shared.values import (
    Delivered,
    Learned,
    ProofRule,
    RecipientHistory,
    Refused,
    Suppression,
    Wave,
    WaveGuard,
)

BEAT_KEPT_S = 3_600
"""A process that was silent for so long is forgotten."""


@dataclass(frozen=True, slots=True)
class Beat:
    """The last sign of life of one process, with its samples (metric name -> value).

    Attributes:
        at:    when it came, Unix seconds by the store's clock.
        age_s: how long before it was read, by the same clock, which no step of the system's moves.
    """

    word: str
    host: str
    pid: int
    at: float
    samples: Mapping[str, float]
    age_s: float


class Suppressions(Protocol):
    """Recipients that get no mail."""

    async def suppressed(
        self, recipient_hashes: Sequence[str], stream: str = "", now: float | None = None
    ) -> Mapping[str, Suppression]:
        """Those of these recipients that get no mail of this stream, by their hash.

        What is about all mail holds for each stream. What has expired or is held is not in effect.

        Args:
            stream: "" asks for what is about all mail alone.
        """

    async def suppress(self, suppressions: Sequence[Suppression], now: float | None = None) -> list[bool]:
        """Suppress recipients; says of each whether it was not suppressed before (in the same stream).

        One that is already has the new cause and evidence, its first `added_at`, and the later of the two ends;
        but what a source of a higher rank has said (values.py, RANKS) stays as it is.
        """

    async def lift(self, recipient_hash: str, stream: str | None = None, now: float | None = None) -> bool:
        """Let mail go to this recipient again; returns whether it was suppressed, held entries included.

        Lifted from all mail, what was said against it so far counts no more.

        Args:
            stream: lift only what is about this stream ("": about all mail); None lifts everything.
        """

    async def page(self, after: tuple[str, str], limit: int, now: float | None = None) -> list[Suppression]:
        """Those that have not expired, held ones too, in the order of hash and stream.

        Up to `limit`, from the first past `after` (hash, stream) on.
        """


class Evidence(Protocol):
    """What deliveries and refusals say of recipients, and who is suppressed by it."""

    async def learn(
        self,
        facts: Sequence[Refused | Delivered],
        rules: Mapping[str, ProofRule],
        guard: WaveGuard,
        now: float | None = None,
    ) -> list[Learned]:
        """Learn what deliveries and refusals say; returns what each fact, in order, has changed.

        Learned twice, a fact counts once. A recipient is suppressed when its refusals of a class are proof, by the
        rule of that class; a class without one proves nothing. A delivery takes back what earlier refusals have
        brought about, not what a person said. In whatever order facts come, who is suppressed in the end is the
        same. Suppressions that come in a burst, as the guard says, are held (see Waves).
        """

    async def history(self, recipient_hash: str, now: float | None = None) -> RecipientHistory:
        """All that is kept about this recipient."""

    async def erase(self, recipient_hash: str, *, forget: bool) -> None:
        """Take out what people could know this recipient by: domain, masked address, replies.

        Args:
            forget: the hash goes too, and with it whether it is suppressed and what counts against it. Else it stays
                    suppressed, under its hash alone.
        """


class Waves(Protocol):
    """Bursts of suppressions, held for review.

    A server that says "user unknown" to everybody for an hour, or a rule of ours that is wrong, would empty a list of
    good addresses. So when suppressions by bounces pile up in one domain, or under one rule, further ones are held:
    they wait for the operator, are not in effect meanwhile, and a delivery lifts them as any other. Those that came
    before the burst was noticed belong to the wave too, so that undoing it lifts all.

        no wave ─ more than the guard allows ─► open ─► accepted: what comes is in effect
                                                  └──► undone: all lifted; what comes at once is a new wave, held

    A wave goes on as long as its suppressions come without a pause of `within_s`. Its subject is the domain where that
    alone is too much, else the rule.
    """

    async def hold(self, suppressions: Sequence[Suppression], subject: str, now: float | None = None) -> list[Learned]:
        """Hold these for review, in the open wave of this subject, or a new one.

        What is said against a recipient already stays as it is (KNOWN). An accepted wave takes no more of them: each
        is to be looked at.
        """

    async def latest(self, limit: int = 100, now: float | None = None) -> list[Wave]:
        """The waves, the latest first."""

    async def accept(self, number: int) -> int | None:
        """Put all that an open wave holds into effect, and what comes of it; how many, None for no open wave."""

    async def undo(self, number: int, now: float | None = None) -> int | None:
        """Lift all suppressions of a wave, also those in effect; how many, None for no wave or one undone before.

        What was said against their recipients so far counts no more.
        """


class Beats(Protocol):
    """The last sign of life of each process."""

    async def beat(
        self, word: str, host: str, pid: int, samples: Mapping[str, float], now: float | None = None
    ) -> None:
        """Note that the process lives, and its samples in place of its earlier ones."""

    async def recent(self, max_age_s: float, now: float | None = None) -> list[Beat]:
        """The beats not older than `max_age_s`, ordered by word, host and pid."""
