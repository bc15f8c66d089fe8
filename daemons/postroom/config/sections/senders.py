"""`senders`: the From domains and addresses each user, login, client or network may use."""

from typing import Literal, Self

from pydantic import Field, model_validator

from postroom.config import values
from postroom.config.section import Section


class SenderSection(Section):
    """Domains and addresses, and who may write mail From them; each is known at its own door by something else."""

    domains: tuple[values.DomainName, ...] = Field((), description="Domains of From, without their subdomains.")
    addresses: tuple[values.AddressValue, ...] = Field(
        (), description="Single addresses of From, and their subaddresses (`anna+news@`)."
    )
    users: tuple[values.User, ...] = Field(
        (), description="Users of this host, by name: with sendmail(1), and by SMTP from this host without a login."
    )
    uids: tuple[values.UidRange, ...] = Field((), description="The same by number, or by a range of numbers.")
    groups: tuple[values.Group, ...] = Field((), description="Groups of such users.")
    logins: tuple[values.Login, ...] = Field((), description="Names that log in at a submission service (SASL).")
    clients: tuple[values.Name, ...] = Field((), description="Clients of the API, as under `submission.clients`.")
    networks: tuple[values.NetworkValue, ...] = Field(
        (),
        description="Addresses of SMTP clients. A client on this host is 127.0.0.1, whichever of the host's addresses "
        "it uses, and naming that names every user of the host.",
    )

    @model_validator(mode="after")
    def _stands_for_somebody(self) -> Self:
        if not (self.users or self.uids or self.groups or self.logins or self.clients or self.networks):
            raise ValueError("identifies nobody; add users, uids, groups, logins, clients or networks")
        if not self.domains and not self.addresses:
            raise ValueError("has no domains and no addresses; add those that may be used")
        return self


class SendersSection(Section):
    """Who may write mail From which domain or address. Empty, everybody may use every address."""

    allow: tuple[SenderSection, ...] = Field(
        (),
        description="Who may use what. A user of this host may also use its own name at the host's names (`hostname`, "
        "and Postfix's `myorigin`), root every address there. Whoever is not named may use nothing else.",
    )
    logins: Literal["listed", "own_address", "own_domain"] = Field(
        "listed",
        description="What a login may use that no entry names: nothing, its own address (`anna@example.org`), or every "
        "address of its own domain, if that is one of `domains`. A login without a domain, or with a name of the "
        "host as its realm (`anna`), has its own address in each of them.",
    )
    others: Literal["unsigned", "refuse"] = Field(
        "unsigned",
        description="Mail From an address its sender may not use: passed without our signature, or refused (550). "
        "At the API it is always refused.",
    )

    @property
    def is_table(self) -> bool:
        """Whether anybody is kept from any address."""
        return bool(self.allow) or self.logins != "listed"
