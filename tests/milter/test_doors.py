"""Which door a message came through."""

from ipaddress import ip_address, ip_network

import pytest

from postroom.milter.doors import Networks, NetworksUnreadable, door_of

OURS = Networks.of([ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")])


def test_the_handover_listener_names_itself() -> None:
    """Whoever its client is; a name that only looks like it is none."""
    assert door_of("POSTROOM", None, None, OURS) == "socket"
    assert door_of("POSTROOM_SENDMAIL", None, None, OURS) == "sendmail"
    assert door_of("postroom", None, ip_address("198.51.100.1"), OURS) == "inbound"
    assert door_of(None, None, None, OURS) == "inbound"


def test_a_login_or_one_of_our_networks_makes_mail_outbound() -> None:
    """Either is enough; a client without an address is in no network."""
    stranger, member = ip_address("198.51.100.1"), ip_address("192.0.2.7")
    assert door_of("mail", "jane", stranger, OURS) == "smtp"
    assert door_of("mail", "jane", None, OURS) == "smtp"
    assert door_of("mail", None, member, OURS) == "smtp"
    assert door_of("mail", "", stranger, OURS) == "inbound"
    assert door_of("mail", None, None, OURS) == "inbound"


def test_an_ipv4_client_on_an_ipv6_socket_is_itself() -> None:
    """::ffff:192.0.2.7 is 192.0.2.7."""
    assert ip_address("::ffff:192.0.2.7") in OURS
    assert ip_address("::ffff:198.51.100.1") not in OURS
    assert ip_address("2001:db8::1") in OURS


def test_mynetworks_is_read_as_postfix_writes_it() -> None:
    """Brackets, commas, a single address, host bits."""
    networks = Networks.parse("127.0.0.0/8, [::ffff:127.0.0.0]/104 [::1]/128\n 192.0.2.1 10.1.2.3/8")
    for member in ("127.0.0.1", "::1", "192.0.2.1", "10.255.0.1"):
        assert ip_address(member) in networks
    for stranger in ("192.0.2.2", "::2", "11.0.0.1"):
        assert ip_address(stranger) not in networks
    assert ip_address("127.0.0.1") not in Networks.parse("\n")


def test_the_first_pattern_that_fits_decides() -> None:
    """As match_list(3) does it: what ! excludes before its network is out."""
    assert ip_address("192.0.2.1") not in Networks.parse("!192.0.2.1 192.0.2.0/24")
    assert ip_address("192.0.2.2") in Networks.parse("!192.0.2.1 192.0.2.0/24")
    assert ip_address("192.0.2.1") in Networks.parse("192.0.2.0/24 !192.0.2.1")


@pytest.mark.parametrize(
    "word", ["hash:/etc/postfix/networks", "/etc/postfix/networks", "mail.example.org", "[::1", "!"]
)
def test_what_cannot_be_followed_is_refused_by_its_name(word: str) -> None:
    """Better no start than mail that goes unsigned without a word."""
    with pytest.raises(NetworksUnreadable) as unreadable:
        Networks.parse(f"127.0.0.0/8 {word}")
    assert str(unreadable.value) == f"{word!r} is not a network"
