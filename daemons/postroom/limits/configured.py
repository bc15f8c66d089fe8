"""The limits of the configuration as rules, the same for every daemon and the command."""

from collections.abc import Iterable

from postroom.config.sections.limits import LimitSection
from postroom.limits.rules import LimitRule


def rules(limits: Iterable[LimitSection]) -> list[LimitRule]:
    """One rule for each limit, in their order."""
    return [
        LimitRule(
            limit.name,
            limit.key,
            limit.rate.count,
            limit.rate.window_s,
            burst=limit.burst,
            on_store_loss=limit.on_store_loss,
            counts=limit.counts,
            unknown=None if (rate := limit.unknown_rate) is None else (rate.count, rate.window_s),
        )
        for limit in limits
    ]
