"""The limits an operator sets, and what one message asks of them. Pure.

A rule counts one kind of key (client, login, sender, ...) in one window; `100/1h, 1000/1d`
for the same key are two rules. A rule whose key the message does not have does not apply:
the null sender, for one, has no sender to count.

Flow:  config -> Rule -> demands() -> limiter.py
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from postroom.store.shared.interface import Demand

OnStoreLoss = Literal["local", "allow", "defer"]
Unit = Literal["messages", "recipients", "octets"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit.

    Args:
        name:     stable name, unique among the rules; shown in refusals, logs and metrics.
        key:      kind of key counted: client, login, uid, sender, ...
        count:    units allowed in any span of the window.
        window_s: length of the window in seconds.
        burst:    units allowed at once, or None (store/shared/window.py).
        on_store_loss: without a store, `local` counts within this process, `allow` does
                  not count, `defer` refuses for the time being.
        unit:     what one message costs is counted in.

    Raises:
        ValueError: a number out of range (as Demand), so that no message meets it first.
    """

    name: str
    key: str
    count: int
    window_s: int
    burst: int | None = None
    on_store_loss: OnStoreLoss = "local"
    unit: Unit = "messages"

    def __post_init__(self) -> None:
        self.demand("", 1)

    def demand(self, value: str, cost: int) -> Demand:
        return Demand(self.name, f"{self.key}:{value}", cost, self.count, self.window_s, self.burst)


def demands(rules: Sequence[Rule], subject: Mapping[str, str], costs: Mapping[Unit, int]) -> list[Demand]:
    """What a message asks of the rules that apply to it.

    Args:
        subject: kind of key -> its value, hashed where it is private; the store keeps it as it is.
        costs:   what the message costs in each unit its rules count; a cost of 0 asks nothing.
    """
    return [
        rule.demand(subject[rule.key], costs[rule.unit]) for rule in rules if rule.key in subject and costs[rule.unit]
    ]
