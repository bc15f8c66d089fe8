"""What a message asks of the limits an operator set."""

import pytest

from postroom.limits.rules import Rule, demands
from postroom.store.shared.interface import Demand

CLIENT = Rule("per_client", "client", 100, 3600, burst=20)
LOGIN = Rule("per_login", "login", 1000, 86_400, unit="recipients")
VOLUME = Rule("volume", "client", 10_000_000, 86_400, unit="octets")


def test_each_rule_asks_in_its_own_unit_for_its_own_key() -> None:
    """Messages, recipients and octets are counted apart, and the key says what kind it is."""
    asked = demands(
        [CLIENT, LOGIN, VOLUME],
        {"client": "192.0.2.1", "login": "anna"},
        {"messages": 1, "recipients": 3, "octets": 2048},
    )
    assert asked == [
        Demand("per_client", "client:192.0.2.1", 1, 100, 3600, 20),
        Demand("per_login", "login:anna", 3, 1000, 86_400, None),
        Demand("volume", "client:192.0.2.1", 2048, 10_000_000, 86_400, None),
    ]


def test_a_rule_whose_key_the_message_lacks_does_not_apply() -> None:
    """Mail without a login is not counted under an empty one."""
    assert demands([LOGIN, CLIENT], {"client": "192.0.2.1"}, {"messages": 1, "recipients": 1}) == [
        Demand("per_client", "client:192.0.2.1", 1, 100, 3600, 20)
    ]


def test_what_costs_nothing_asks_nothing() -> None:
    """A size not yet known (0 octets) is no demand."""
    assert demands([VOLUME], {"client": "192.0.2.1"}, {"octets": 0}) == []


@pytest.mark.parametrize(("count", "window_s", "burst"), [(-1, 60, None), (1, 0, None), (1, 60, 0)])
def test_a_rule_out_of_range_is_refused_when_it_is_made(count: int, window_s: int, burst: int | None) -> None:
    """The error names the rule, at start and not at the first message."""
    with pytest.raises(ValueError, match="rule strange: "):
        Rule("strange", "client", count, window_s, burst)
