"""The client that a question at the SMTP door is about: a login, a user of this host, or an address elsewhere.

    logged in (SASL)       its login, wherever it connects from: a webmail's users are not www-data
    of this host           the user who owns the client's socket
    of another host        its address

The owner is asked for at the first question about a message, when the client is most likely still there, and again
before the message is counted. The first certain owner of a message stands; with two of them it is unknown.

What is known is kept by message, not by connection. Nothing Postfix says names a connection: `instance` holds the
process, the time and the number of the message, and the same process may serve the same pair of ports for another
user a moment later, who would then answer for what the last one sent.

Diagnostics: uid in policy.answered.
Limits:  of more than MAX_MESSAGES under way the oldest is asked about anew at its end, and so is one whose end
         meets another process. Its owner is known then if the client is still there.
BUGS:    as identity/local_client.py: docker-proxy, stunnel and ssh -L speak as one user.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from postroom.identity.local_client import THIS_HOST, LocalClient, is_of_this_host
from postroom.identity.socket_owner import Address, End, owner_of
from postroom.limits.subject import UNKNOWN_UID, client_network
from postroom.policy.protocol import PolicyRequest

MAX_MESSAGES = 2_000
"""Messages of this host whose owner is kept from their first question on; 1 kB each, and each smtpd process has one."""


@dataclass(frozen=True, slots=True)
class SmtpClient:
    """Who submits a message at the SMTP door.

    Args:
        login:   "" for who has not logged in.
        address: 127.0.0.1 for all of this host; None where Postfix told none.
        is_user: it is a user of this host, without a login.
        uid:     of that user; None is unknown.
    """

    login: str
    address: Address | None = None
    is_user: bool = False
    uid: int | None = None

    @property
    def identity(self) -> str:
        """What it is known by, kind and value as the limits name them."""
        if self.login:
            return f"login:{self.login}"
        return f"uid:{self.counted_uid}" if self.is_user else f"client_address:{self.network}"

    @property
    def network(self) -> str:
        """Its value of the key `client_address`."""
        return "" if self.address is None else client_network(self.address)

    @property
    def counted_uid(self) -> str:
        """Its value of the key `uid`; "" for what is no user of this host."""
        if not self.is_user:
            return ""
        return UNKNOWN_UID if self.uid is None else str(self.uid)


@dataclass(slots=True)
class _Owner:
    """The owner of a message's connection as it was last told."""

    client: LocalClient
    uid: int | None = None


class SmtpClients:
    """Tells the clients of one process's messages.

    Args:
        is_local: whether an address is this host's.
        ask:      who owns a connection; the kernel's answer comes in about 100 us, and without waiting for anybody, so
                  it is asked on the event loop: a hop to a thread and back costs as much.
    """

    def __init__(
        self,
        is_local: Callable[[Address], bool] = is_of_this_host,
        ask: Callable[[End, End], int | None] = owner_of,
        max_messages: int = MAX_MESSAGES,
    ) -> None:
        self._is_local = is_local
        self._ask = ask
        self._max_messages = max_messages
        self._owners: OrderedDict[tuple[str, End, End], _Owner] = OrderedDict()

    def client_of(self, request: PolicyRequest, *, ask_again: bool) -> SmtpClient:
        """Who this message comes from. The kernel is asked for clients of this host only.

        Args:
            ask_again: also where the owner is known from a question before: the message is being counted.
        """
        address = _address(request.client_address)
        if address is None or not self._is_local(address):
            return SmtpClient(request.login, address)
        if request.login:
            return SmtpClient(request.login, THIS_HOST)
        return SmtpClient("", THIS_HOST, is_user=True, uid=self._uid(request, ask_again))

    def _uid(self, request: PolicyRequest, ask_again: bool) -> int | None:
        ends = ends_of(request)
        if ends is None:
            return None
        message = request.instance, *ends
        known = self._owners.get(message)
        if known is None:
            known = self._owners[message] = _Owner(LocalClient(*ends, self._ask))
            if len(self._owners) > self._max_messages:
                self._owners.popitem(last=False)
        elif not ask_again:
            return known.uid
        known.uid = known.client.uid()
        return known.uid


def ends_of(request: PolicyRequest) -> tuple[End, End] | None:
    """The client's end of the connection and smtpd's; None where Postfix does not tell both."""
    client, server = _address(request.client_address), _address(request.server_address)
    if client is None or server is None or not (request.client_port and request.server_port):
        return None
    return (client, request.client_port), (server, request.server_port)


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
