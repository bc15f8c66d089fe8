"""What a subject asks of the limits an operator set."""

from ipaddress import ip_address

import pytest

from postroom.limits.rules import LimitRule, demands
from postroom.limits.subject import Key, beyond, client_network, of_mail, of_request
from postroom.store.limits.interface import Demand

REQUESTS = LimitRule("requests", "client", 50, 60, counts="requests")
CLIENT = LimitRule("per_client", "client", 100, 3600, burst=20)
LOGIN = LimitRule("per_login", "login", 1000, 86_400, counts="recipients")
RECIPIENT = LimitRule("per_recipient", "recipient", 5, 3600)
DOMAIN = LimitRule("per_domain", "recipient_domain", 30, 60)
DOMAIN_RECIPIENTS = LimitRule("per_domain_recipients", "recipient_domain", 40, 60, counts="recipients")
SINGLES: dict[Key, str] = {"client": "shop", "login": "#1234", "sender": ""}
THREE = {"#a": "example.org", "#b": "example.net", "#c": "example.org"}


def test_each_rule_asks_in_its_own_unit_for_its_own_key() -> None:
    """Messages and recipients are counted apart, and the key says what kind it is."""
    assert demands([REQUESTS, CLIENT, LOGIN], of_mail(SINGLES, THREE, 3)) == [
        Demand("per_client", "client:shop", 1, 100, 3600, 20),
        Demand("per_login", "login:#1234", 3, 1000, 86_400, None),
    ]


def test_a_message_is_counted_once_under_each_of_its_recipients_and_their_domains() -> None:
    """Three recipients at two domains: three keys and two, each with what is its own."""
    assert demands([RECIPIENT, DOMAIN, DOMAIN_RECIPIENTS], of_mail({}, THREE, 3)) == [
        *(Demand("per_recipient", f"recipient:#{name}", 1, 5, 3600) for name in "abc"),
        Demand("per_domain", "recipient_domain:example.org", 1, 30, 60),
        Demand("per_domain", "recipient_domain:example.net", 1, 30, 60),
        Demand("per_domain_recipients", "recipient_domain:example.org", 2, 40, 60),
        Demand("per_domain_recipients", "recipient_domain:example.net", 1, 40, 60),
    ]


def test_requests_and_mail_pass_by_each_others_rules() -> None:
    """A request to the API is no message yet, and a message is no request."""
    assert demands([REQUESTS, CLIENT], of_request("shop")) == [Demand("requests", "client:shop", 1, 50, 60)]
    assert demands([REQUESTS], of_mail(SINGLES, THREE, 3)) == []


def test_a_rule_whose_key_the_message_lacks_does_not_apply() -> None:
    """The null sender is no sender, and mail without a login is not counted under an empty one."""
    assert demands([LOGIN, LimitRule("per_sender", "sender", 1, 60)], of_mail({"sender": ""}, THREE, 3)) == []


def test_one_more_recipient_adds_only_what_is_its_own() -> None:
    """The message is counted with its first recipient, a domain's with the first there."""
    first = of_mail(SINGLES, {"#a": "example.org"}, 1)
    second = of_mail(SINGLES, {"#a": "example.org", "#c": "example.org"}, 2)
    rules = [CLIENT, LOGIN, RECIPIENT, DOMAIN, DOMAIN_RECIPIENTS]
    assert demands(rules, beyond({}, first)) == demands(rules, first)
    assert demands(rules, beyond(first, second)) == [
        Demand("per_login", "login:#1234", 1, 1000, 86_400),
        Demand("per_recipient", "recipient:#c", 1, 5, 3600),
        Demand("per_domain_recipients", "recipient_domain:example.org", 1, 40, 60),
    ]
    assert demands(rules, beyond(second, second)) == []


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1:aaaa::1", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:bbbb::2", "2001:db8:0:1::/64"),
    ],
)
def test_an_ipv6_client_is_its_network(address: str, network: str) -> None:
    """It may choose any address of its /64."""
    assert client_network(ip_address(address)) == network


@pytest.mark.parametrize(
    ("rule", "count", "window_s", "burst"),
    [
        (LimitRule("plain", "uid", 1000, 3600), 100, 3600, None),
        (LimitRule("small", "uid", 5, 60), 1, 60, None),
        (LimitRule("burst", "uid", 100, 60, burst=50), 10, 60, 10),
        (LimitRule("small burst", "uid", 100, 60, burst=5), 10, 60, 5),
        (LimitRule("own", "uid", 100, 60, burst=50, unknown=(70, 3600)), 70, 3600, 50),
        (LimitRule("of others", "login", 100, 60), 100, 60, None),
    ],
    ids=lambda value: value.name if isinstance(value, LimitRule) else "",
)
def test_users_who_cannot_be_told_have_a_rate_of_their_own(
    rule: LimitRule, count: int, window_s: int, burst: int | None
) -> None:
    """A tenth, at least one, in the same window, unless another is set; who is known has the whole rate."""
    unknown, known = rule.demand("unknown", 1), rule.demand("1000", 1)
    assert (unknown.limit, unknown.window_s, unknown.burst) == (count, window_s, burst)
    assert (known.limit, known.window_s, known.burst) == (rule.count, rule.window_s, rule.burst)


@pytest.mark.parametrize(("count", "window_s", "burst"), [(-1, 60, None), (1, 0, None), (1, 60, 0)])
def test_a_rule_out_of_range_is_refused_when_it_is_made(count: int, window_s: int, burst: int | None) -> None:
    """The error names the rule, at start and not at the first message."""
    with pytest.raises(ValueError, match="rule strange: "):
        LimitRule("strange", "client", count, window_s, burst)
