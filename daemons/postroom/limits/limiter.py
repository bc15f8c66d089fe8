"""Asks the store whether a message may pass, and decides without it when it does not answer.

The store gets `budget_s`. When it is lost, each rule says what then: `local` counts in
this process (fallback.py), `allow` does not count, `defer` refuses for the time being.
After a loss the store is left alone for `retry_s`, so that not every message waits the budget.

BUGS:    a take that the store commits in the very moment the budget ends is counted there
         and here: too strict by one message, never too lax.
Diagnostics: logs nothing; Decision says who decided, and `turn` when the store was
         lost or came back, so that the caller logs it once.
Flow:    policy/, milter/, submission/ -> Limiter -> SharedStore | LocalLimiter
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from postroom.limits.fallback import LocalLimiter
from postroom.limits.rules import Rule, Unit, demands
from postroom.store.errors import StoreUnavailable
from postroom.store.shared.interface import Demand, Door, SharedStore, Verdict
from postroom.store.shared.window import never_fits

DEFER_RETRY_S = 60.0
"""What a `defer` rule tells the sender to wait: when the store comes back nobody knows."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of a message's demands.

    Args:
        verdict: allowed, or what refused it.
        by:      who decided; `process` also when no rule applies.
        error:   why the store did not, for the log; None when it did.
        turn:    `lost` on the first decision without the store, `back` on the first with it again.
    """

    verdict: Verdict
    by: Literal["store", "process"]
    error: str | None = None
    turn: Literal["lost", "back"] | None = None


class Limiter:
    """Decides for one process.

    Args:
        rules:    with unique names.
        local:    what decides without the store.
        budget_s: seconds the store may take for one message.
        retry_s:  seconds between two tries at a lost store.

    Raises:
        ValueError: two rules of one name.
    """

    def __init__(
        self, store: SharedStore, rules: Sequence[Rule], local: LocalLimiter, budget_s: float, retry_s: float = 0.5
    ) -> None:
        self._rules = {rule.name: rule for rule in rules}
        if len(self._rules) != len(rules):
            raise ValueError("two rules have the same name; mend: give each rule its own")
        self._store = store
        self._local = local
        self._budget_s = budget_s
        self._retry_s = retry_s
        self._error: str | None = None
        self._next_try = 0.0

    async def decide(
        self,
        instance: str,
        door: Door,
        subject: Mapping[str, str],
        costs: Mapping[Unit, int],
        queue_id: str | None = None,
        now: float | None = None,
    ) -> Decision:
        """Take what the message costs under all rules that apply, or nothing; always answers.

        Args:
            instance: Postfix's id of the delivery attempt, or ours; asked again it is not counted again.
            subject, costs: see rules.demands.
            now:      Unix seconds, for tests; None is the clock of whoever decides.
        """
        asked = demands(list(self._rules.values()), subject, costs)
        if not asked:
            return Decision(Verdict(True, None, None, 0.0, False, ()), "process")
        loop = asyncio.get_running_loop()
        if self._error is not None and loop.time() < self._next_try:
            return Decision(self._without_store(instance, door, asked, now), "process", self._error)
        self._next_try = loop.time() + self._retry_s
        try:
            async with asyncio.timeout(self._budget_s):
                verdict = await self._store.take(instance, door, asked, queue_id, now)
        except TimeoutError:
            return self._lost(f"timeout after {self._budget_s:g} s", instance, door, asked, now)
        except StoreUnavailable as error:
            return self._lost(str(error), instance, door, asked, now)
        turn: Literal["back"] | None = "back" if self._error is not None else None
        self._error = None
        if verdict.allowed:
            self._local.note(instance, door, asked, verdict, now)
        return Decision(verdict, "store", None, turn)

    def _lost(self, error: str, instance: str, door: Door, asked: list[Demand], now: float | None) -> Decision:
        turn: Literal["lost"] | None = "lost" if self._error is None else None
        self._error = error
        self._next_try = asyncio.get_running_loop().time() + self._retry_s
        return Decision(self._without_store(instance, door, asked, now), "process", error, turn)

    def _without_store(self, instance: str, door: Door, asked: list[Demand], now: float | None) -> Verdict:
        if (first := self._local.first_verdict(instance, door, now)) is not None:
            return first
        for demand in asked:
            if never_fits(demand):
                return Verdict(False, demand.rule, demand.key, 0.0, True, ())
        for demand in asked:
            if self._rules[demand.rule].on_store_loss == "defer":
                return Verdict(False, demand.rule, demand.key, DEFER_RETRY_S, False, ())
        counted = [demand for demand in asked if self._rules[demand.rule].on_store_loss == "local"]
        return self._local.take(instance, door, counted, now)
