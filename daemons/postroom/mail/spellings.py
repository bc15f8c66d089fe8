"""The ways to write one recipient, and the address Postfix makes of each. Pure.

Postfix completes and rewrites a recipient after policy and milters have seen it as the client named it:

    jane                          jane@example.org       append_at_myorigin
    jane@mail                     jane@mail.example.org  append_dot_mydomain, where that is set
    jane%example.net              jane@example.net       allow_percent_hack
    example.net!jane              jane@example.net       swap_bangpath
    jane%example.net@localhost    jane@example.net       a domain of ours is taken off, then the same again
    jane%example.net@example.com  itself                 only the host of that domain may read its local part

These are spellings of an address. What tables make of it (canonical, virtual, aliases) is another address.

Taken are dot-atoms before the @. What needs quotes, has several @ or an IP address for a domain is refused: Postfix
reads all of them, but nobody writes to a person so.

Source:  trivial-rewrite(8), "STANDARDS"; address rewriting and resolving in its sources (rewrite.c, resolve.c) and
         resolve_local(3); tests/recipients/test_spellings_postfix.py asks the real one.
BUGS:    settings that `-o` gives to the service `rewrite` alone in master.cf are not known.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from postroom.mail.addresses import AddressInvalid

_ATEXT = r"[^\x00-\x20\x7f()<>\[\]:;@\\,\".]"
_DOT_ATOM = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
# Left as it is whatever the settings: no operator before the @, a dot in the domain and none at its end.
_PLAIN = re.compile(r"[^%!@]+@[^@.]+(?:\.[^@.]+)+")


@dataclass(frozen=True, slots=True)
class DomainPattern:
    """One pattern of a list of domains such as mydestination.

    Attributes:
        name:      domain in lower case; None is a table, of which nothing is known here.
        is_inside: whether what matches is in the list: False after a "!".
    """

    name: str | None
    is_inside: bool = True


@dataclass(frozen=True, slots=True)
class AddressRewriting:
    """What Postfix goes by; each attribute is the parameter of that name (postconf(5)).

    Attributes:
        mydestination: its patterns in their order; the first that matches decides.
    """

    myhostname: str
    mydomain: str
    myorigin: str
    mydestination: Sequence[DomainPattern]
    recipient_delimiter: str = ""
    allow_percent_hack: bool = True
    swap_bangpath: bool = True
    append_at_myorigin: bool = True
    append_dot_mydomain: bool = False

    def is_local(self, domain: str) -> bool | None:
        """Whether the domain is in mydestination; None where a table decides."""
        name = domain.removesuffix(".").casefold()
        possible: set[bool] = set()
        for pattern in self.mydestination:
            if pattern.name is None:
                possible.add(pattern.is_inside)
            elif pattern.name == name:
                possible.add(pattern.is_inside)
                break
        else:
            possible.add(False)
        return possible.pop() if len(possible) == 1 else None


def resolved(address: str, rewriting: AddressRewriting | None) -> str:
    """The address Postfix delivers to when a client names this one, in the form smtpd(8) gives it: without quotes.

    Args:
        rewriting: None where Postfix's settings are not known. Then a name alone stays alone, and an address that
            could be routed is refused.

    Raises:
        AddressInvalid: it is no address, or what Postfix makes of it cannot be told.
    """
    if _DOT_ATOM.fullmatch(address.rpartition("@")[0] or address) is None:
        raise AddressInvalid("the part before the @ must be a dot-atom")
    if _PLAIN.fullmatch(address) is not None:
        return address
    if rewriting is None:
        return _unrouted(address)
    # Each turn but the last takes a % or ! away, or completes the address.
    for _ in range(len(address) + 2):
        local, domain = _rewritten(address, rewriting)
        is_local = rewriting.is_local(domain)
        is_routed = (rewriting.swap_bangpath and "!" in local) or (rewriting.allow_percent_hack and "%" in local)
        if is_local is None and is_routed:
            raise AddressInvalid("it names a further domain before the @, and only a table says whether that counts")
        if not (is_local and is_routed):
            return f"{local}@{domain}"
        address = local
    raise AddressInvalid("it names too many domains")


def _rewritten(address: str, rewriting: AddressRewriting) -> tuple[str, str]:
    """One pass of Postfix's rewriting: local part and domain."""
    local, at, domain = address.rpartition("@")
    if not at and rewriting.swap_bangpath and "!" in address:
        domain, _, local = address.partition("!")
    elif not at and rewriting.allow_percent_hack and "%" in address:
        local, _, domain = address.rpartition("%")
    elif not at and rewriting.append_at_myorigin and rewriting.myorigin:
        local, domain = address, rewriting.myorigin
    elif not at:
        # The resolver does it later, and asks once more whether that domain is local.
        return address, rewriting.myhostname
    if not local or domain in {"", "."}:
        raise AddressInvalid("the address needs a part before and a part after the @")
    if domain.startswith("["):
        raise AddressInvalid("an IP address in brackets after the @ is not accepted")
    if rewriting.append_dot_mydomain and rewriting.mydomain and "." not in domain:
        domain = f"{domain}.{rewriting.mydomain}"
    return local, domain if domain.endswith("..") else domain.removesuffix(".")


def _unrouted(address: str) -> str:
    local, at, domain = address.rpartition("@")
    if "%" in (local or address) or "!" in (local or address):
        raise AddressInvalid("it names a further domain before the @, and Postfix's settings cannot be read")
    return f"{local}@{domain.removesuffix('.')}" if at else address
