"""The return path of a From domain: where its bounces go.

    verp DOMAIN     each delivery has an address of its own at DOMAIN; its bounce names it
    shared DOMAIN   the same, at one DOMAIN that serves several From domains
    none            a plain mailbox; bounces that come late are not seen by us

Source:  RFC 5321 §4.4 (return path), RFC 7489 §3.1.2 (SPF alignment).
BUGS:    alignment needs the public suffix list to be exact. Here two names belong
         together when they share a parent of two labels or more, so that
         shop.co.uk and bounces.co.uk pass.
"""

from dataclasses import dataclass
from typing import Literal

from postroom.config.units import quoted
from postroom.config.values import domain_name


@dataclass(frozen=True, slots=True)
class ReturnPath:
    """Where the bounces of one From domain go.

    Attributes:
        kind:    `verp`, `shared` or `none`.
        domain:  of the signed return addresses, with `verp` and `shared`; else None.
        mailbox: the fixed return address, with `none`; else None.
    """

    kind: Literal["verp", "shared", "none"]
    domain: str | None = None
    mailbox: str | None = None

    def __str__(self) -> str:
        return self.kind if self.domain is None else f"{self.kind} {self.domain}"


def return_path(text: str, from_domain: str | None) -> ReturnPath:
    """Read a return path as it is configured for mail From `from_domain`.

    Args:
        from_domain: None when the name itself is broken: then the two are not compared.

    Raises:
        ValueError: none of the forms, or a domain that cannot serve.
    """
    match text.split():
        case ["none"]:
            return ReturnPath("none")
        case ["verp" | "shared" as kind, name]:
            domain = domain_name(name)
        case _:
            raise ValueError(
                f"{quoted(text)} is not a return path; write verp bounces.<domain>, shared returns.<domain>, or none"
            )
    if domain == from_domain:
        # Every address there that is no token of ours would get 550 5.1.1.
        raise ValueError(f"{quoted(domain)} has mailboxes of its own; write for example {kind} bounces.{domain}")
    if kind == "verp" and from_domain is not None and _top(domain) != _top(from_domain):
        raise ValueError(
            f"{quoted(domain)} is not under {_top(from_domain)}, so SPF would not align (RFC 7489 §3.1.2); "
            f"write verp bounces.{from_domain}, or shared {domain}"
        )
    return ReturnPath(kind, domain)


def _top(domain: str) -> str:
    """The widest parent that can belong to one owner: two labels."""
    return ".".join(domain.split(".")[-2:])
