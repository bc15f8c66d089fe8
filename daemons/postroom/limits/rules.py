"""The limits an operator sets, and what a subject asks of them. Pure.

A rule counts one kind of key (client, login, sender, ...) in one window; `100/1h, 1000/1d`
for the same key are two rules. A rule whose key the subject does not have, or whose unit it
does not cost, does not apply: requests and mail pass by each other's rules.

Flow:  config -> LimitRule -> demands() -> limiter.py
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from postroom.limits.subject import UNKNOWN_UID, Key, Subject, Unit
from postroom.store.limits.interface import Demand

OnStoreLoss = Literal["local", "allow", "defer"]

UNKNOWN_SHARE = 10
"""By how much less may pass of unknown users than of one who is known, where nothing else is set."""


@dataclass(frozen=True, slots=True)
class LimitRule:
    """One limit.

    Args:
        name:     stable name, unique among the rules; shown in refusals, logs and metrics.
        key:      kind of key counted.
        count:    units allowed in any span of the window.
        window_s: length of the window in seconds.
        burst:    units allowed at once, or None (store/limits/window.py).
        on_store_loss: without a store, `local` counts within this process, `allow` does
                  not count, `defer` refuses for the time being.
        counts:   the unit.
        unknown:  of key `uid`: count and window_s for mail whose user is not known, which all who hide share;
                  None is a tenth of `count`, in the same window.

    Raises:
        ValueError: a number out of range (as Demand), so that no message meets it first.
    """

    name: str
    key: Key
    count: int
    window_s: int
    burst: int | None = None
    on_store_loss: OnStoreLoss = "local"
    counts: Unit = "messages"
    unknown: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self.demand("", 1)
        self.demand(UNKNOWN_UID, 1)

    def demand(self, value: str, cost: int) -> Demand:
        count, window_s, burst = self.count, self.window_s, self.burst
        if self.key == "uid" and value == UNKNOWN_UID:
            count, window_s = self.unknown or (max(1, count // UNKNOWN_SHARE), window_s)
            burst = None if burst is None else min(burst, count)
        return Demand(self.name, f"{self.key}:{value}", cost, count, window_s, burst)


def demands(rules: Sequence[LimitRule], subject: Subject) -> list[Demand]:
    """What a subject asks of the rules that apply to it; a cost of 0 asks nothing."""
    return [
        rule.demand(value, cost)
        for rule in rules
        for value, costs in subject.get(rule.key, {}).items()
        if (cost := costs.get(rule.counts, 0))
    ]
