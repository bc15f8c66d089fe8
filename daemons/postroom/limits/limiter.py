"""Asks the store whether a subject may pass, and decides without it when it does not answer.

The store gets `budget_s`. When it is lost, each rule says what then: `local` counts in
this process (fallback.py), `allow` does not count, `defer` refuses for the time being.

BUGS:    a take that the store commits in the very moment the budget ends is counted there
         and here: too strict by one message, never too lax.
Flow:    policy/, milter/, submission/ -> Limiter -> Takes | LocalLimiter
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from postroom.limits.fallback import LocalLimiter
from postroom.limits.rules import LimitRule, demands
from postroom.limits.subject import Key, Subject
from postroom.runtime.circuit_breaker import CircuitBreaker
from postroom.store.errors import StoreUnavailable
from postroom.store.limits.interface import Demand, Door, Takes, Verdict
from postroom.store.limits.window import never_fits

DEFER_RETRY_S = 60.0
"""How long a `defer` rule has the sender wait: when the store comes back nobody knows."""

LIMITS_LOST = "in-process limiter"


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of a subject's demands.

    Args:
        verdict: allowed, or what refused it.
        by:      who decided; None where no rule applies.
    """

    verdict: Verdict
    by: Literal["store", "process"] | None


class Limiter:
    """Decides for one process.

    Args:
        rules:    with unique names.
        local:    what decides without the store.
        breaker:  of the file of the limits.
        budget_s: seconds the store may take for one subject.

    Raises:
        ValueError: two rules of one name.
    """

    def __init__(
        self,
        takes: Takes,
        rules: Sequence[LimitRule],
        local: LocalLimiter,
        breaker: CircuitBreaker,
        budget_s: float,
    ) -> None:
        self.use(rules)
        self._takes = takes
        self._local = local
        self._breaker = breaker
        self._budget_s = budget_s

    def use(self, rules: Sequence[LimitRule]) -> None:
        """Decide by these rules from now on; what is being decided goes by those it began with.

        Raises:
            ValueError: two rules of one name.
        """
        named = {rule.name: rule for rule in rules}
        if len(named) != len(rules):
            raise ValueError("two rules have the same name; mend: give each rule its own")
        self._rules = named

    def counts_by(self, *keys: Key) -> bool:
        """Whether any rule counts by one of these kinds of key."""
        return any(rule.key in keys for rule in self._rules.values())

    def never_fitting(self, subject: Subject) -> Demand | None:
        """The first demand of the subject that no waiting helps; None when all can fit. Counts nothing."""
        return next(filter(never_fits, self._demands(subject)), None)

    async def decide(
        self, instance: str, door: Door, subject: Subject, queue_id: str | None = None, now: float | None = None
    ) -> Decision:
        """Take what the subject costs under all rules that apply, or nothing; always answers.

        Args:
            instance: Postfix's id of the delivery attempt, or ours; asked again it is not counted again.
            now:      Unix seconds, for tests; None is the clock of whoever decides.
        """
        asked, rules = self._demands(subject), self._rules
        if not asked:
            return Decision(Verdict(True, None, None, 0.0, False, ()), None)
        try:
            verdict = await self._breaker.ask(
                lambda: self._takes.take(instance, door, asked, queue_id, now), self._budget_s
            )
        except StoreUnavailable:
            return Decision(self._without_store(instance, door, asked, rules, now), "process")
        if verdict.allowed:
            self._local.note(instance, door, asked, verdict, now)
        return Decision(verdict, "store")

    def _demands(self, subject: Subject) -> list[Demand]:
        return demands(list(self._rules.values()), subject)

    def _without_store(
        self, instance: str, door: Door, asked: list[Demand], rules: Mapping[str, LimitRule], now: float | None
    ) -> Verdict:
        if (first := self._local.first_verdict(instance, door, now)) is not None:
            return first
        for demand in asked:
            if never_fits(demand):
                return Verdict(False, demand.rule, demand.key, 0.0, True, ())
        for demand in asked:
            if rules[demand.rule].on_store_loss == "defer":
                return Verdict(False, demand.rule, demand.key, DEFER_RETRY_S, False, ())
        counted = [demand for demand in asked if rules[demand.rule].on_store_loss == "local"]
        return self._local.take(instance, door, counted, now)
