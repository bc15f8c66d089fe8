"""Whose socket is at the other end of a loopback connection: the kernel's word, not the client's.

For every door that is reached by TCP from this host.

One question by both addresses, one answer, about 100 µs, no privileges. The owner is believed only when the
kernel knows the connection by exactly these addresses, it is open at the client's end, and the socket still
belongs to a process. A client that sends all and closes at once is unknown, for the kernel then shows uid 0.

Source:  sock_diag(7), NETLINK_SOCK_DIAG (linux/inet_diag.h, linux/netlink.h).
Limits:  client and server must live in our network namespace (no PrivateNetwork=), and our user namespace must
         know the uid (no PrivateUsers=), or everybody is unknown or 65534.
BUGS:    the owner is that of the *socket*: stunnel, docker-proxy and ssh -L stand for many.
"""

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address
End = tuple[Address, int]
"""Address and port."""

TIMEOUT_S = 1.0

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_NO_COOKIE = 0xFFFFFFFF
_ESTABLISHED, _CLOSE_WAIT = 1, 8
_MESSAGE = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence, port."""
_REQUEST = struct.Struct("=BBBxI")
"""inet_diag_req_v2 up to its id: family, protocol, extensions, states."""
_PORTS = struct.Struct("!HH")
_INTERFACE_AND_COOKIE = struct.Struct("=III")
_ANSWER = struct.Struct("=BBBB48sIIIII")
"""inet_diag_msg: family, state, timer, retransmits, id, expires, both queues, uid, inode."""


@dataclass(frozen=True, slots=True)
class SocketEntry:
    """A TCP socket as the kernel describes it: its own end, the other end, and whose it is."""

    near: End
    far: End
    state: int
    uid: int
    inode: int


def question(near: End, far: End) -> bytes:
    """The question for the socket whose own end is `near`. Both addresses are of one family."""
    family = socket.AF_INET if near[0].version == 4 else socket.AF_INET6
    identity = (
        _PORTS.pack(near[1], far[1])
        + near[0].packed.ljust(16, b"\0")
        + far[0].packed.ljust(16, b"\0")
        + _INTERFACE_AND_COOKIE.pack(0, _NO_COOKIE, _NO_COOKIE)
    )
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0xFFFFFFFF) + identity
    return _MESSAGE.pack(_MESSAGE.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0) + body


def answer(octets: bytes) -> SocketEntry | None:
    """The socket in an answer; None when it holds none (an error, or nothing that can be read)."""
    if len(octets) < _MESSAGE.size + _ANSWER.size:
        return None
    length, kind, _, _, _ = _MESSAGE.unpack_from(octets)
    if kind != _SOCK_DIAG_BY_FAMILY or length < _MESSAGE.size + _ANSWER.size:
        return None
    family, state, _, _, identity, _, _, _, uid, inode = _ANSWER.unpack_from(octets, _MESSAGE.size)
    width = {socket.AF_INET: 4, socket.AF_INET6: 16}.get(family)
    if width is None:
        return None
    near_port, far_port = _PORTS.unpack_from(identity)
    near, far = ip_address(identity[4 : 4 + width]), ip_address(identity[20 : 20 + width])
    return SocketEntry((plain(near), near_port), (plain(far), far_port), state, uid, inode)


def believed(found: SocketEntry | None, near: End, far: End) -> int | None:
    """The owner's uid, where that answer can be believed for this connection."""
    if found is None or (found.near, found.far) != (near, far):
        return None  # without an open connection the kernel shows who listens there
    return found.uid if found.state in {_ESTABLISHED, _CLOSE_WAIT} and found.inode else None


def owner_of(client: End, server: End) -> int | None:
    """Ask the kernel which uid owns the client's socket of this connection; None is unknown."""
    client, server = (plain(client[0]), client[1]), (plain(server[0]), server[1])
    if client[0].version != server[0].version:
        return None
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as asking:
            asking.settimeout(TIMEOUT_S)
            asking.sendto(question(client, server), (0, 0))
            return believed(answer(asking.recv(4096)), client, server)
    except OSError:
        return None


def plain(address: Address) -> Address:
    """The address as IPv4 where it is one (::ffff:192.0.2.1)."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
