"""`senders`: the From domains each user, login, client or network may use."""

from typing import Literal, Self

from pydantic import Field, model_validator

from postroom.config import values
from postroom.config.section import Section


class SenderSection(Section):
    """Domains, and who may write mail From them; each is known at its own door by something else."""

    domains: tuple[values.DomainName, ...] = Field(description="Domains of From, without their subdomains.")
    users: tuple[values.User, ...] = Field((), description="Users of sendmail(1), by name.")
    uids: tuple[values.Uid, ...] = Field((), description="The same by number.")
    groups: tuple[values.Group, ...] = Field((), description="Groups of users of sendmail(1).")
    logins: tuple[values.Login, ...] = Field((), description="Names that log in at a submission service (SASL).")
    clients: tuple[values.Name, ...] = Field((), description="Clients of the API, as under `submission.clients`.")
    networks: tuple[values.NetworkValue, ...] = Field((), description="Addresses of SMTP clients.")

    @model_validator(mode="after")
    def _stands_for_somebody(self) -> Self:
        if not (self.users or self.uids or self.groups or self.logins or self.clients or self.networks):
            raise ValueError("identifies nobody; add users, uids, groups, logins, clients or networks")
        if not self.domains:
            raise ValueError("has no domains; add those that may be used")
        return self


class SendersSection(Section):
    """Who may write mail From which domain. Empty, everybody may use every domain."""

    allow: tuple[SenderSection, ...] = Field(
        (), description="Who may use what. Whoever is not named may use the host's own name (`hostname`) only."
    )
    others: Literal["unsigned", "refuse"] = Field(
        "unsigned",
        description="Mail From a domain its sender may not use: passed without our signature, or refused (550). "
        "At the API it is always refused.",
    )
