"""An SMTP client on this host: that it is one, and whose, as far as the kernel can tell.

A client is of this host when its address is: loopback, or any address of one of our interfaces. It is
asked about when the connection is first seen and again before it counts, for a client may be gone by then:

    first answer that is certain      its owner
    no answer later (it hung up)      the same owner
    another certain answer later      unknown, from then on: the addresses are in use by somebody else

A subordinate uid (rootless containers) is the user it was given to.

Flow:    policy/, milter/ -> LocalClient -> socket_owner.owner_of
Limits:  as socket_owner. Of a connection over a link-local IPv6 address the owner is unknown.
BUGS:    whatever passes connections on speaks as one user: docker-proxy, stunnel, ssh -L. Where a rule of the host's
         firewall redirects a port of loopback, both ends are other ones than smtpd sees, and all owners are unknown.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address

from postroom.identity.socket_owner import Address, End, owner_of, plain
from postroom.runtime.subordinate_uids import SubordinateUids

THIS_HOST = ip_address("127.0.0.1")
"""What stands for every address of this host where clients are counted or named."""

_SUBORDINATES = SubordinateUids()
_DISCARD = 9
"""Any port does: connect(2) on a datagram socket sends nothing."""


def is_of_this_host(address: Address) -> bool:
    """Whether this is an address of this host."""
    address = plain(address)
    if address.is_loopback:
        return True
    if address.version == 4:
        return _is_own(socket.AF_INET, str(address), ())
    if not address.is_link_local:
        return _is_own(socket.AF_INET6, str(address), (0, 0))
    bare = str(address).partition("%")[0]  # the link is not always told with it
    return any(_is_own(socket.AF_INET6, bare, (0, index)) for index, _ in socket.if_nameindex())


class LocalClient:
    """The client of one connection from this host.

    Args:
        client, server: its end, and smtpd's.
        ask:            owner_of, or what stands for it.
        user_of:        whom a subordinate uid belongs to.
    """

    def __init__(
        self,
        client: End,
        server: End,
        ask: Callable[[End, End], int | None] = owner_of,
        user_of: Callable[[int], int] = _SUBORDINATES.user_of,
    ) -> None:
        self._ends = client, server
        self._ask = ask
        self._user_of = user_of
        self._uid: int | None = None
        self._is_ambiguous = False

    def uid(self) -> int | None:
        """Ask whose connection it is; None is unknown."""
        owner = self._ask(*self._ends)
        found = None if owner is None else self._user_of(owner)
        if found is not None:
            self._is_ambiguous |= self._uid not in {None, found}
            self._uid = found
        return None if self._is_ambiguous else self._uid


def _is_own(family: socket.AddressFamily, address: str, scope: tuple[int, ...]) -> bool:
    # The kernel reaches an address of its own from that very address; any other from one of ours.
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        asking.connect((address, _DISCARD, *scope))
        return str(asking.getsockname()[0]).partition("%")[0] == address
    return False
