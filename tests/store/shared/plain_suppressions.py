"""A plain model of what facts say of recipients: all of them kept, and judged from the start each time.

It knows neither files nor orders of arrival, so what a store says can be held against it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from postroom.store.shared.values import Delivered, ProofRule, Refused, WaveGuard


class PlainList:
    """Facts of any number of recipients, told in any order, any number of times."""

    def __init__(self, rules: Mapping[str, ProofRule]) -> None:
        self._rules = rules
        self._facts = set[Refused | Delivered]()

    def learn(self, fact: Refused | Delivered) -> None:
        """Keep it."""
        self._facts.add(fact)

    def ends(self) -> dict[str, float]:
        """Those who are suppressed by bounces, and until when."""
        ends = {who: self._end(who) for who in {fact.recipient_hash for fact in self._facts}}
        return {who: end for who, end in ends.items() if end is not None}

    def _end(self, who: str) -> float | None:
        mine = [fact for fact in self._facts if fact.recipient_hash == who]
        good_at = max((fact.at for fact in mine if isinstance(fact, Delivered)), default=float("-inf"))
        counting = [fact for fact in mine if isinstance(fact, Refused) and fact.at > good_at]
        ends = []
        for cause, enough in self._rules.items():
            times = [fact.at for fact in counting if fact.cause == cause]
            is_proof = any(fact.is_proof for fact in counting if fact.cause == cause)
            if is_proof or (len(times) >= enough.bounces and max(times) - min(times) >= enough.over_s):
                ends.append(max(times) + enough.kept_s)
        return max(ends, default=None)


@dataclass
class PlainEntry:
    """A suppression by a bounce."""

    domain: str
    rule: str
    at: float
    wave: int | None = None
    is_held: bool = False


@dataclass
class PlainWave:
    """A burst."""

    subject: str
    last_at: float
    state: str = "open"


class PlainWaves:
    """Recipients that are refused once each, or get mail; looked through as a whole at each step."""

    def __init__(self, guard: WaveGuard) -> None:
        self._guard = guard
        self.entries: dict[str, PlainEntry] = {}
        self.waves: list[PlainWave] = []
        self._delivered: list[tuple[str, float]] = []

    def delivered(self, domain: str, at: float) -> None:
        """Mail reached a recipient nobody has heard of before."""
        self._delivered.append((domain, at))

    def refused(self, who: str, domain: str, rule: str, at: float) -> None:
        """A recipient nobody has heard of before is proved dead."""
        entry = PlainEntry(domain, rule, at)
        for subject in (f"domain:{domain}", f"rule:{rule}"):
            if self._joined(entry, subject):
                break
        self.entries[who] = entry

    def accept(self, number: int) -> None:
        """Put it into effect."""
        if number <= len(self.waves) and self.waves[number - 1].state == "open":
            self.waves[number - 1].state = "accepted"
            for entry in self.entries.values():
                entry.is_held = entry.is_held and entry.wave != number

    def undo(self, number: int) -> None:
        """Lift all of it."""
        if number <= len(self.waves):
            self.waves[number - 1].state = "undone"
            self.entries = {who: entry for who, entry in self.entries.items() if entry.wave != number}

    def _joined(self, entry: PlainEntry, subject: str) -> bool:
        since = entry.at - self._guard.within_s
        current = [wave for wave in self.waves if wave.subject == subject and wave.last_at > since]
        if current and current[-1].state != "undone":
            current[-1].last_at = max(current[-1].last_at, entry.at)
            entry.wave = self.waves.index(current[-1]) + 1
            entry.is_held = current[-1].state == "open"
            return True
        alike = [
            other
            for other in self.entries.values()
            if subject in {f"domain:{other.domain}", f"rule:{other.rule}"} and other.at > since and other.wave is None
        ]
        arrived = sum(
            at > since and subject in {f"domain:{domain}", f"rule:{entry.rule}"} for domain, at in self._delivered
        )
        count = len(alike) + 1
        if not current and (
            count <= self._guard.suppressions or 100 * count <= self._guard.percent * (count + arrived)
        ):
            return False
        self.waves.append(PlainWave(subject, entry.at))
        for other in [*alike, entry]:
            other.wave = len(self.waves)
        entry.is_held = True
        return True
