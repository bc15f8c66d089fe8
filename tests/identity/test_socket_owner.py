"""Whose socket a loopback connection is: real sockets of real users, and answers that are none."""

import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.identity.socket_owner import End, SocketEntry, answer, believed, owner_of, question

LOOPBACK = ip_address("127.0.0.1")
NEAR, FAR = (LOOPBACK, 1025), (LOOPBACK, 25)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def ends(client: socket.socket) -> tuple[End, End]:
    near, far = client.getsockname()[:2], client.getpeername()[:2]
    return (ip_address(near[0]), near[1]), (ip_address(far[0]), far[1])


def test_an_open_connection_is_its_owners(listener: socket.socket) -> None:
    """As the server sees it: the client's address and its own; over IPv6 sockets too."""
    with socket.create_connection(listener.getsockname()) as client:
        assert owner_of(*ends(client)) == os.geteuid()
    with socket.socket(socket.AF_INET6) as client:
        client.connect(("::ffff:127.0.0.1", listener.getsockname()[1]))
        assert owner_of(*ends(client)) == os.geteuid()
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as other,
        socket.create_connection(other.getsockname()[:2]) as client,
    ):
        assert owner_of(*ends(client)) == os.geteuid()


def test_a_connection_that_was_closed_is_nobodys(listener: socket.socket) -> None:
    """The kernel would say uid 0 of it, and that is not believed."""
    client = socket.create_connection(listener.getsockname())
    both = ends(client)
    accepted, _ = listener.accept()
    with accepted:
        client.sendall(b"all there is")
        client.close()
        assert owner_of(*both) is None


def test_a_connection_that_is_none_is_nobodys(listener: socket.socket) -> None:
    """Another port of the client, another of the server; the listening socket is not taken for it."""
    port = listener.getsockname()[1]
    with socket.create_connection(listener.getsockname()) as client:
        near, far = ends(client)
        assert owner_of(near, (far[0], far[1] - 1)) is None
        assert owner_of((near[0], 1), far) is None
        assert owner_of((LOOPBACK, port), (LOOPBACK, 1)) is None
        assert owner_of(near, (ip_address("::1"), port)) is None


def diag(near: End = NEAR, far: End = FAR, state: int = 1, uid: int = 33, inode: int = 7, kind: int = 20) -> bytes:
    """An answer as the kernel gives it."""
    identity = struct.pack("!HH16s16s", near[1], far[1], near[0].packed, far[0].packed) + bytes(12)
    body = struct.pack("=BBBB", socket.AF_INET, state, 0, 0) + identity + struct.pack("=IIIII", 0, 0, 0, uid, inode)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body


def test_an_answer_is_believed_only_whole() -> None:
    """The very connection, open at the client's end, and a socket that still belongs to a process."""
    assert answer(diag()) == SocketEntry(NEAR, FAR, 1, 33, 7)
    assert believed(answer(diag()), NEAR, FAR) == 33
    assert believed(answer(diag(state=8)), NEAR, FAR) == 33
    for other in (
        diag(state=10),
        diag(state=6),
        diag(inode=0),
        diag(near=FAR),
        diag(far=NEAR),
        diag(kind=2),
        diag()[:-1],
        b"",
    ):
        assert believed(answer(other), NEAR, FAR) is None


def test_a_question_has_the_kernels_size() -> None:
    """linux/inet_diag.h: 16 octets of netlink's, 56 of its own."""
    assert len(question(NEAR, FAR)) == struct.unpack_from("=I", question(NEAR, FAR))[0] == 72


@given(st.binary(max_size=120))
def test_any_octets_are_an_answer_or_none(octets: bytes) -> None:
    """What cannot be read is no socket."""
    found = answer(octets)
    assert found is None or isinstance(found, SocketEntry)
