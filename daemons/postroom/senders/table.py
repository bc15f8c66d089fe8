"""Who may write mail From which domain. Pure.

Without any allowance everybody may use every domain, as if there were no table. With one, somebody whom it does not
name may use the host's own name only (root@mail.example.org: cron(8), daemons). What becomes of the rest, unsigned
or refused, is the door's business.

Limits:  a domain is exactly it, no subdomain of it.
Flow:    milter/, submission/ -> SendersTable.may_use
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class SenderIdentity:
    """The sender of a mail, as far as its door knows: at each door it is known by something else."""

    uid: int | None = None
    gids: frozenset[int] = frozenset()
    login: str = ""
    client: str = ""
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """Domains, and those who may use them: whoever one of the others names."""

    domains: frozenset[str]
    uids: frozenset[int] = frozenset()
    gids: frozenset[int] = frozenset()
    logins: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    networks: Sequence[IPv4Network | IPv6Network] = ()

    def names(self, who: SenderIdentity) -> bool:
        """Whether it is one of those."""
        return (
            who.uid in self.uids
            or not self.gids.isdisjoint(who.gids)
            or who.login in self.logins
            or who.client in self.clients
            or _is_in(self.networks, who.address)
        )


@dataclass(frozen=True, slots=True)
class SendersTable:
    """The table.

    Attributes:
        hostname:       the domain anybody may use.
        refuses_others: mail From another domain is refused, not only left unsigned.
    """

    allowances: Sequence[Allowance] = ()
    hostname: str = ""
    refuses_others: bool = False

    @property
    def names_groups(self) -> bool:
        """Whether any entry names groups, so that those of a sender must be looked up."""
        return any(allowance.gids for allowance in self.allowances)

    def may_use(self, who: SenderIdentity, domain: str | None) -> bool:
        """Whether this sender may write From this domain; None is mail without one author."""
        if not self.allowances:
            return True
        if domain is None:
            return False
        return domain == self.hostname or any(
            domain in allowance.domains and allowance.names(who) for allowance in self.allowances
        )


def _is_in(networks: Sequence[IPv4Network | IPv6Network], address: Address | None) -> bool:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address is not None and any(address in network for network in networks)
