"""Who may write From which domain."""

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from postroom.senders.table import Allowance, SenderIdentity, SendersTable

TABLE = SendersTable(
    [
        Allowance(
            frozenset({"example.org"}),
            uids=frozenset({33}),
            gids=frozenset({50}),
            logins=frozenset({"anna"}),
            clients=frozenset({"shop"}),
            networks=[ip_network("192.0.2.0/24")],
        ),
        Allowance(frozenset({"example.net"}), uids=frozenset({34})),
    ],
    "mail.example.org",
)
NAMED = (
    SenderIdentity(uid=33),
    SenderIdentity(gids=frozenset({7, 50})),
    SenderIdentity(login="anna"),
    SenderIdentity(client="shop"),
    SenderIdentity(address=ip_address("192.0.2.9")),
    SenderIdentity(address=ip_address("::ffff:192.0.2.9")),
)
STRANGERS = (
    SenderIdentity(),
    SenderIdentity(uid=0),
    SenderIdentity(login="joe", client="x"),
    SenderIdentity(address=ip_address("198.51.100.1")),
    SenderIdentity(uid=34),
)


def test_whoever_is_named_may_use_the_domains_beside() -> None:
    """By uid, group, login, client or network; exactly these domains."""
    for who in NAMED:
        assert TABLE.may_use(who, "example.org")
        assert not TABLE.may_use(who, "example.net")
        assert not TABLE.may_use(who, "www.example.org")
    assert TABLE.may_use(SenderIdentity(uid=34), "example.net")


def test_whoever_is_not_named_may_use_the_hosts_own_name() -> None:
    """So the mail of cron(8) goes on; all else is not theirs, also mail without one author."""
    for who in STRANGERS:
        assert TABLE.may_use(who, "mail.example.org")
        assert not TABLE.may_use(who, "example.org")
    for who in (*NAMED, *STRANGERS):
        assert not TABLE.may_use(who, None)


@given(
    st.builds(SenderIdentity, uid=st.none() | st.integers(), login=st.text(), client=st.text()), st.none() | st.text()
)
def test_an_empty_table_allows_everything(who: SenderIdentity, domain: str | None) -> None:
    """Without a table all is as if there were none."""
    assert SendersTable((), "mail.example.org", refuses_others=True).may_use(who, domain)


def test_groups_are_asked_for_only_where_they_matter() -> None:
    """Their look-up may go to a directory service."""
    assert TABLE.names_groups
    assert not SendersTable([Allowance(frozenset({"example.org"}), uids=frozenset({1}))]).names_groups
