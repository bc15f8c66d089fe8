"""The client of one connection: its address, both ends, and who it is to the table of senders.

    logged in                      its login, and its address
    from this host                 the user whose socket it is; 127.0.0.1
    from this host, owner unknown  127.0.0.1 alone
    from anywhere else             its address

The owner is asked for when the client connects, and again before its mail is signed: a client that hangs up early is
known from before, and one that does not match itself is unknown (identity/local_client.py).

Flow:    session.py -> ConnectedClient.identity -> senders/table.py
Limits:  Postfix must tell its own port at the connection ({daemon_port}, postfix-conf/milter.main.cf).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from postroom.identity.local_client import THIS_HOST, LocalClient, is_of_this_host
from postroom.identity.socket_owner import Address, End, owner_of
from postroom.runtime.accounts import groups_of, name_of
from postroom.senders.table import SenderIdentity, SendersTable

PORT_UNTOLD = (
    "the users of connections from this host are not known: nothing in `senders` that names users holds for them"
)
TELL_PORT = (
    "run scripts/setup-postfix.sh again, or add {daemon_port} to milter_connect_macros, "
    "in main.cf and wherever master.cf sets it, then `postfix reload`"
)
"""What the log says where Postfix does not tell its port."""


@dataclass(frozen=True, slots=True)
class HostUsers:
    """What the host knows of its users.

    Attributes:
        owner_of:  uid of a connection's client, by its own end and the far one; None is unknown.
        name_of:   account name of a uid; "" where it has none.
        groups_of: gids of a uid.
    """

    owner_of: Callable[[End, End], int | None] = owner_of
    name_of: Callable[[int], str] = name_of
    groups_of: Callable[[int], frozenset[int]] = groups_of

    def user(self, uid: int | None, table: SendersTable, address: Address | None = None) -> SenderIdentity:
        """A user, as far as the table asks for it; None is unknown."""
        if uid is None or table.is_empty:
            return SenderIdentity(uid=uid, address=address)
        groups = self.groups_of(uid) if table.names_groups else frozenset[int]()
        return SenderIdentity(uid=uid, gids=groups, user=self.name_of(uid), address=address)


class ConnectedClient:
    """One client, as long as it is connected.

    Args:
        client: its end; None where it has no IP address.
        server: smtpd's end; None where Postfix does not tell it.
    """

    def __init__(self, client: End | None, server: End | None, users: HostUsers) -> None:
        self.address = None if client is None else client[0]
        self.ends = None if client is None or server is None else (client, server)
        self._users = users
        self._local = None if self.ends is None else LocalClient(*self.ends, users.owner_of)

    @cached_property
    def is_of_this_host(self) -> bool:
        """Whether it connects from an address of this host."""
        return self.address is not None and is_of_this_host(self.address)

    @property
    def is_port_untold(self) -> bool:
        """Whether its owner cannot be known because Postfix does not tell its port."""
        return self.is_of_this_host and self._local is None

    def identity(self, login: str, table: SendersTable) -> SenderIdentity:
        """Who it is now; asks the kernel again."""
        if not self.is_of_this_host or self.address is None:
            return SenderIdentity(login=login, address=self.address)
        # An address in a network of ours is no other machine's when it is the host's own.
        if login:
            return SenderIdentity(login=login, address=THIS_HOST)
        return self._users.user(None if self._local is None else self._local.uid(), table, THIS_HOST)
