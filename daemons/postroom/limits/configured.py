"""The limits of the configuration as rules, the same for every daemon and the command."""

from collections.abc import Iterable

from postroom.config.model import Limit
from postroom.limits.rules import Rule


def rules(limits: Iterable[Limit]) -> list[Rule]:
    """One rule for each limit, in their order."""
    return [
        Rule(
            limit.name,
            limit.key,
            limit.rate.count,
            limit.rate.window_s,
            limit.burst,
            limit.on_store_loss,
            limit.counts,
        )
        for limit in limits
    ]
