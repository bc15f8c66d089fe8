"""Who may write mail From which address. Pure.

Without entries, and without a rule for logins, everybody may use every address, as if there were no table. With one:

    whoever an entry names      its addresses, and every address of its domains
    a user of this host         user@ the host's own names: the hostname and Postfix's myorigin
    root                        every address at those names: daemons and cron jobs write them
    a login no entry names      its own address, or its own domain: as `logins` says
    cron(8)                     root@ the host's own names, in cron's own form, for any user of this host

What becomes of the rest, unsigned or refused, is the door's business.

Limits:  a domain is exactly it, no subdomain of it. An address stands for its subaddresses too (anna+news, RFC 5233),
         and the case of a local part does not matter. A quoted local part is nobody's address; it may be used by
         whoever may use its domain.
Flow:    milter/, policy/, submission/ -> SendersTable.may_use
BUGS:    any user can write mail in cron's form, as anybody's crontab can send it: cron sends with the user's own uid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal

from postroom.mail.addresses import domain_of

Address = IPv4Address | IPv6Address
LoginRule = Literal["listed", "own_address", "own_domain"]

ROOT = 0
_LOOPBACK = ip_address("127.0.0.1")


@dataclass(frozen=True, slots=True)
class SenderIdentity:
    """The sender of a mail, as far as its door knows: at each door it is known by something else.

    Attributes:
        uid:     of a user of this host; None is unknown, or no such user.
        gids:    the groups of that user.
        user:    the account name of that user; "" is unknown.
        login:   as it logged in (SASL).
        client:  of the API.
        address: of an SMTP client; 127.0.0.1 for any address of this host.
    """

    uid: int | None = None
    gids: frozenset[int] = frozenset()
    user: str = ""
    login: str = ""
    client: str = ""
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """Domains and addresses, and those who may use them: whoever one of the others names."""

    domains: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    uids: Sequence[range] = ()
    gids: frozenset[int] = frozenset()
    logins: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    networks: Sequence[IPv4Network | IPv6Network] = ()

    def names(self, who: SenderIdentity) -> bool:
        """Whether it is one of those."""
        return (
            any(who.uid in uids for uids in self.uids)
            or not self.gids.isdisjoint(who.gids)
            or who.login in self.logins
            or who.client in self.clients
            or _is_in(self.networks, who.address)
        )

    def gives(self, address: str) -> bool:
        """Whether this address is one of them."""
        return domain_of(address) in self.domains or any(_is_same(address, own) for own in self.addresses)


@dataclass(frozen=True, slots=True)
class SendersTable:
    """The table.

    Attributes:
        host_names:     the host's own: its hostname and Postfix's myorigin.
        domains:        those of `domains`, which mail may be From.
        logins:         what a login may use that no entry names.
        refuses_others: mail From another address is refused, not only left unsigned.
    """

    allowances: Sequence[Allowance] = ()
    host_names: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    logins: LoginRule = "listed"
    refuses_others: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether everybody may use every address."""
        return not self.allowances and self.logins == "listed"

    @property
    def names_groups(self) -> bool:
        """Whether any entry names groups, so that those of a sender must be looked up."""
        return any(allowance.gids for allowance in self.allowances)

    @property
    def own_domains(self) -> frozenset[str]:
        """All domains whose addresses the table gives to some and not to others."""
        return self.domains | self.host_names

    def may_use(self, who: SenderIdentity, address: str | None, *, is_cron_mail: bool = False) -> bool:
        """Whether this sender may write From this address.

        Args:
            address:      local@domain, the domain in lower-case A-labels; None is mail without one author.
            is_cron_mail: its From has the form that cron(8) gives it.
        """
        if self.is_empty:
            return True
        if address is None:
            return False
        return (
            any(allowance.gives(address) and allowance.names(who) for allowance in self.allowances)
            or self._is_own_of_user(who, address, is_cron_mail=is_cron_mail)
            or self._is_own_of_login(who.login, address)
        )

    def names(self, who: SenderIdentity) -> bool:
        """Whether this sender may use more than a user's own address: it is named, or there is no table."""
        return (
            self.is_empty
            or who.uid == ROOT
            or any(allowance.names(who) for allowance in self.allowances)
            or (bool(who.login) and self.logins != "listed" and domain_of(who.login) in {"", *self.own_domains})
        )

    def _is_own_of_user(self, who: SenderIdentity, address: str, *, is_cron_mail: bool) -> bool:
        local, _, domain = address.rpartition("@")
        if domain not in self.host_names:
            return False
        return (
            who.uid == ROOT
            or (bool(who.user) and _is_same(address, f"{who.user}@{domain}"))
            or (bool(who.user) and is_cron_mail and local == "root")
        )

    def _is_own_of_login(self, login: str, address: str) -> bool:
        if not login or self.logins == "listed" or any(login in allowance.logins for allowance in self.allowances):
            return False
        domain = domain_of(address)
        login_domain = domain_of(login)
        if login_domain in {"", *(self.host_names - self.domains)}:  # the host's own users: SASL adds a realm, or none
            user = login.rpartition("@")[0] or login
            return domain in self.own_domains and _is_same(address, f"{user}@{domain}")
        if self.logins == "own_domain" and domain == login_domain and domain in self.domains:
            return True
        return _is_same(address, login)


def _is_same(address: str, own: str) -> bool:
    """Whether an address is that one, or a subaddress of it."""
    local, _, _ = address.rpartition("@")
    own_local, _, _ = own.rpartition("@")
    if domain_of(address) != domain_of(own):
        return False
    local, own_local = local.lower(), own_local.lower()
    return local == own_local or (bool(own_local) and local.startswith(f"{own_local}+"))


def _is_in(networks: Sequence[IPv4Network | IPv6Network], address: Address | None) -> bool:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address is None:
        return False
    # Whichever of its loopback addresses a client uses, it is this host; so is any loopback network that is named.
    if address.is_loopback:
        return any(network.is_loopback or _LOOPBACK in network for network in networks)
    return any(address in network for network in networks)
