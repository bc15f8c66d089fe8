"""A plain model of what facts say of recipients: all of them kept, and judged from the start each time.

It knows neither files nor orders of arrival, so what a store says can be held against it.
"""

from collections.abc import Mapping

from postroom.store.shared.suppression import Delivered, Enough, Refused


class PlainList:
    """Facts of any number of recipients, told in any order, any number of times."""

    def __init__(self, rules: Mapping[str, Enough]) -> None:
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
