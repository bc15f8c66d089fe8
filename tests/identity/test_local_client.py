"""Which addresses are this host's, and whose a connection stays: real addresses, and the kernel's answers in order."""

import os
import socket
from collections.abc import Iterable
from ipaddress import ip_address

import pytest

from postroom.identity.local_client import LocalClient, is_of_this_host
from postroom.identity.socket_owner import End

ENDS: tuple[End, End] = ((ip_address("127.0.0.1"), 1025), (ip_address("127.0.0.1"), 25))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.200.3.4", "::1", "::ffff:127.9.9.9"])
def test_all_of_loopback_is_this_host(address: str) -> None:
    """Whichever of its addresses a client chose."""
    assert is_of_this_host(ip_address(address))


@pytest.mark.parametrize(
    "address", ["192.0.2.99", "8.8.8.8", "2001:db8::1", "::ffff:8.8.8.8", "fe80::dead", "224.0.0.1"]
)
def test_others_are_not(address: str) -> None:
    """Those of documentation, of the world, of a neighbour on the link, of nobody."""
    assert not is_of_this_host(ip_address(address))


def test_the_addresses_of_interfaces_are_this_host() -> None:
    """Each address the kernel lists, those of a link too."""
    for address in own_addresses():
        assert is_of_this_host(ip_address(address)), address


def own_addresses() -> Iterable[str]:
    with open("/proc/net/if_inet6", encoding="ascii") as listed:
        yield from (str(ip_address(int(line.split()[0], 16).to_bytes(16, "big"))) for line in listed)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.254", 9))
        except OSError:
            return  # a host without a route has loopback alone
        yield probe.getsockname()[0]


def test_the_kernel_is_asked_by_default() -> None:
    """A connection of this process is its user's."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        near, far = client.getsockname(), client.getpeername()
        asked = LocalClient((ip_address(near[0]), near[1]), (ip_address(far[0]), far[1]))
        assert asked.uid() == os.geteuid()


@pytest.mark.parametrize(
    ("answers", "uids"),
    [
        ([1000, 1000], [1000, 1000]),
        ([1000, None], [1000, 1000]),
        ([None, 1000], [None, 1000]),
        ([None, None], [None, None]),
        ([1000, 1001, 1000], [1000, None, None]),
        ([1000, None, 1001, None], [1000, 1000, None, None]),
        ([0, None], [0, 0]),
    ],
)
def test_the_first_certain_owner_stands(answers: list[int | None], uids: list[int | None]) -> None:
    """Who hung up is still whose connection it was; two owners are none, and stay so."""
    left = list(answers)
    asked = LocalClient(*ENDS, lambda client, server: left.pop(0))
    assert [asked.uid() for _ in answers] == uids


def test_a_subordinate_uid_is_its_users() -> None:
    """So that a user in a namespace of its own has one count, not 65,536."""
    left = [100_001, 100_002, None]
    asked = LocalClient(*ENDS, lambda client, server: left.pop(0), lambda uid: 1001 if uid >= 100_000 else uid)
    assert [asked.uid() for _ in range(3)] == [1001, 1001, 1001]
