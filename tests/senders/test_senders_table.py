"""Who may write From which address."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.senders.table import Allowance, LoginRule, SenderIdentity, SendersTable

HOST_NAMES = frozenset({"mail.example.org", "origin.example"})
TABLE = SendersTable(
    [
        Allowance(
            frozenset({"example.org"}),
            uids=[range(33, 34), range(900, 1000)],
            gids=frozenset({50}),
            logins=frozenset({"anna"}),
            clients=frozenset({"shop"}),
            networks=[ip_network("192.0.2.0/24")],
        ),
        Allowance(frozenset({"example.net"}), uids=[range(34, 35)]),
        Allowance(addresses=frozenset({"News@example.net", "jobs+a@example.net"}), uids=[range(35, 36)]),
    ],
    HOST_NAMES,
    frozenset({"example.org", "example.net"}),
)
NAMED = (
    SenderIdentity(uid=33),
    SenderIdentity(uid=900),
    SenderIdentity(uid=999),
    SenderIdentity(gids=frozenset({7, 50})),
    SenderIdentity(login="anna"),
    SenderIdentity(client="shop"),
    SenderIdentity(address=ip_address("192.0.2.9")),
    SenderIdentity(address=ip_address("::ffff:192.0.2.9")),
)
STRANGERS = (
    SenderIdentity(),
    SenderIdentity(uid=1000, user="eve"),
    SenderIdentity(login="joe", client="x"),
    SenderIdentity(login="joe@example.org"),
    SenderIdentity(address=ip_address("198.51.100.1")),
    SenderIdentity(uid=34),
    SenderIdentity(uid=899),
)
EVE = SenderIdentity(uid=1000, user="eve")


def test_whoever_is_named_may_use_the_domains_beside() -> None:
    """By uid, range of uids, group, login, client or network; exactly these domains."""
    for who in NAMED:
        assert TABLE.names(who)
        assert TABLE.may_use(who, "a@example.org")
        assert not TABLE.may_use(who, "a@example.net")
        assert not TABLE.may_use(who, "a@www.example.org")
        assert not TABLE.may_use(who, "a@mail.example.org")
    assert TABLE.may_use(SenderIdentity(uid=34), "a@example.net")


def test_whoever_is_not_named_may_use_nothing() -> None:
    """Neither a domain of ours nor the host's name; and nobody may use mail without one author."""
    for who in STRANGERS:
        assert not TABLE.may_use(who, "a@example.org")
        assert not TABLE.may_use(who, "a@mail.example.org")
    for who in (*NAMED, *STRANGERS):
        assert not TABLE.may_use(who, None)


@pytest.mark.parametrize(
    "address", ["news@example.net", "NEWS@example.net", "news+x@example.net", "jobs+a@example.net"]
)
def test_an_address_is_given_alone(address: str) -> None:
    """With its subaddresses, in any case; the rest of its domain is not given with it."""
    assert TABLE.may_use(SenderIdentity(uid=35), address)
    assert not TABLE.may_use(SenderIdentity(uid=36), address)


@pytest.mark.parametrize(
    "address",
    [
        "boss@example.net",
        "new@example.net",
        "newsx@example.net",
        "news@example.org",
        "jobs@example.net",
        '""@example.net',
    ],
)
def test_an_address_that_only_looks_like_a_given_one_is_another(address: str) -> None:
    """Also the address of which a subaddress was given, and one whose local part is quoted."""
    assert not TABLE.may_use(SenderIdentity(uid=35), address)


@pytest.mark.parametrize("domain", sorted(HOST_NAMES))
def test_a_user_of_the_host_may_use_the_own_address(domain: str) -> None:
    """At the hostname and at myorigin, with subaddresses; no other user's, also not root's."""
    for local in ("eve", "Eve", "eve+news"):
        assert TABLE.may_use(EVE, f"{local}@{domain}")
    for local in ("root", "boss", "eve2", "ev", "", '""'):
        assert not TABLE.may_use(EVE, f"{local}@{domain}")
    assert not TABLE.may_use(EVE, "eve@example.org")
    assert not TABLE.names(EVE)
    assert not TABLE.may_use(SenderIdentity(uid=1000), f"eve@{domain}")


def test_root_may_use_every_address_of_the_host() -> None:
    """What daemons and root's cron jobs write: logwatch@, root@; no other domain without an entry."""
    root = SenderIdentity(uid=0, user="root")
    assert TABLE.may_use(root, "logwatch@mail.example.org")
    assert TABLE.may_use(root, "root@origin.example")
    assert not TABLE.may_use(root, "root@example.org")


def test_crons_mail_is_roots_for_every_user() -> None:
    """Debian's cron sends as the user whose crontab it is, From root; nobody but users of the host may."""
    assert TABLE.may_use(EVE, "root@mail.example.org", is_cron_mail=True)
    assert not TABLE.may_use(EVE, "boss@mail.example.org", is_cron_mail=True)
    assert not TABLE.may_use(EVE, "root@example.org", is_cron_mail=True)
    for who in (SenderIdentity(), SenderIdentity(login="eve"), SenderIdentity(address=ip_address("127.0.0.1"))):
        assert not TABLE.may_use(who, "root@mail.example.org", is_cron_mail=True)


@pytest.mark.parametrize(
    ("login", "address", "rules"),
    [
        ("anna@example.org", "anna@example.org", {"own_address", "own_domain"}),
        ("Anna@Example.ORG", "anna+news@example.org", {"own_address", "own_domain"}),
        ("anna@example.org", "boss@example.org", {"own_domain"}),
        ("anna@example.org", "anna@example.net", set()),
        ("anna@other.example", "anna@other.example", {"own_address", "own_domain"}),
        ("anna@other.example", "boss@other.example", set()),
        ("anna@mail.example.org", "anna@mail.example.org", {"own_address", "own_domain"}),
        ("anna@mail.example.org", "boss@mail.example.org", set()),
        ("anna", "anna@example.org", {"own_address", "own_domain"}),
        ("anna", "anna@mail.example.org", {"own_address", "own_domain"}),
        ("anna@mail.example.org", "anna@example.org", {"own_address", "own_domain"}),
        ("anna@origin.example", "anna+x@example.net", {"own_address", "own_domain"}),
        ("anna@mail.example.org", "boss@example.org", set()),
        ("anna@mail.example.org", "anna@other.example", set()),
        ("@mail.example.org", "@mail.example.org@example.org", {"own_address", "own_domain"}),
        ("anna", "boss@example.org", set()),
        ("anna", "anna@other.example", set()),
        ("@example.org", "+boss@example.org", {"own_domain"}),
        ("boss", "boss@example.org", set()),  # an entry names it, so it has what that gives and no more
        ("", "@example.org", set()),
    ],
)
def test_what_a_login_may_use_that_no_entry_names(login: str, address: str, rules: set[LoginRule]) -> None:
    """Nothing, its own address, or its own domain where that is ours."""
    entries = [Allowance(frozenset({"example.com"}), logins=frozenset({"boss"}))]
    domains = frozenset({"example.org", "example.net"})
    every_rule: tuple[LoginRule, ...] = ("listed", "own_address", "own_domain")
    tables = {rule: SendersTable(entries, HOST_NAMES, domains, rule) for rule in every_rule}
    assert {rule for rule in tables if tables[rule].may_use(SenderIdentity(login=login), address)} == rules


def test_a_rule_for_logins_is_a_table() -> None:
    """Without any entry, too."""
    table = SendersTable((), HOST_NAMES, frozenset({"example.org"}), "own_domain")
    assert not table.is_empty
    assert not table.may_use(EVE, "eve@example.org")
    assert table.names(SenderIdentity(login="anna"))
    assert table.names(SenderIdentity(login="anna@example.org"))
    assert not table.names(SenderIdentity(login="anna@other.example"))
    assert not table.names(SenderIdentity())


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_named_by_the_address_it_is_always_known_by(address: str) -> None:
    """And by the very address, where that is named."""
    for network in ("127.0.0.0/8", "127.0.0.1/32", f"{address.removeprefix('::ffff:')}"):
        table = SendersTable([Allowance(frozenset({"example.org"}), networks=[ip_network(network)])])
        assert table.may_use(SenderIdentity(address=ip_address(address)), "a@example.org")
    table = SendersTable([Allowance(frozenset({"example.org"}), networks=[ip_network("192.0.2.0/24")])])
    assert not table.may_use(SenderIdentity(address=ip_address(address)), "a@example.org")


@given(
    st.builds(SenderIdentity, uid=st.none() | st.integers(), login=st.text(), client=st.text()),
    st.none() | st.text(),
    st.booleans(),
)
def test_an_empty_table_allows_everything(who: SenderIdentity, address: str | None, is_cron_mail: bool) -> None:
    """Without a table all is as if there were none."""
    table = SendersTable((), HOST_NAMES, refuses_others=True)
    assert table.may_use(who, address, is_cron_mail=is_cron_mail)
    assert table.names(who)


@given(
    st.builds(
        SenderIdentity, uid=st.integers(1000, 2000), user=st.sampled_from(["eve", ""]), login=st.just("") | st.text()
    ),
    st.text(st.characters(exclude_characters="@")),
    st.sampled_from(["example.org", "example.net"]),
    st.booleans(),
)
def test_nobody_gets_an_address_of_ours_by_its_spelling(
    who: SenderIdentity, local: str, domain: str, is_cron_mail: bool
) -> None:
    """Whoever is not named gets none, whatever stands before the @."""
    assert who.login == "anna" or not TABLE.may_use(who, f"{local}@{domain}", is_cron_mail=is_cron_mail)


def test_groups_are_asked_for_only_where_they_matter() -> None:
    """Their look-up may go to a directory service."""
    assert TABLE.names_groups
    assert not SendersTable([Allowance(frozenset({"example.org"}), uids=[range(1, 2)])]).names_groups
