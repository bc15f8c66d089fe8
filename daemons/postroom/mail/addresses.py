"""Addresses: one mailbox from text, and the few forms in which an address is shown or kept.

`parse_mailbox` reads what people and programs write into a from, to or cc:

    jane@example.org    Jane Doe <jane@example.org>    "Doe, Jane" <jane@example.org>

Exactly one mailbox. Groups, comments, routes, quoted local parts and bracketed
IP addresses are legal mail and refused here: nobody needs them in outbound
mail, and readers disagree about them, which is how one address is checked and
another one served. Whether the domain exists is asked in recipients/.

Privacy: no error quotes the address; at most a single character or the domain.
Source:  RFC 5321 §4.1.2 and §4.5.3.1, RFC 5322 §3.4; syntax and IDNA 2008 by email-validator.
Limits:  local part 64, domain 253 (of the 255 octets of RFC 5321, two are DNS's own),
         address 254 (a path of 256 without < and >), display name MAX_NAME_CHARS.
"""

import re
from dataclasses import dataclass

import email_validator

from postroom.mail.controls import control_in

MAX_MAILBOX_CHARS = 1_000
MAX_NAME_CHARS = 200  # so that 50 of them fit into a header Postfix keeps whole (headers.py)
MAX_LOCAL_OCTETS = 64
MAX_ADDRESS_OCTETS = 254

# A lab's .test, a site's .local and root@localhost are good domains for the
# Postfix that knows them. The list is the library's own knob for its users.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_LOCAL = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last label is no number, else 192.0.2.1 would be a domain (RFC 3696 §2).
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"')
# RFC 5322 "specials" without the dot: J. R. Doe is written so by everybody.
_SPECIALS = re.compile(r'[()<>\[\]:;@\\,"]')


class AddressInvalid(ValueError):
    """The text is not one mailbox that can be served; `reason` is a sentence without the address."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One mailbox, always fit for a header and an SMTP path.

    Attributes:
        name:   display name as plain Unicode text, "" when there is none.
        local:  part before the @, a dot-atom in ASCII, case as written.
        domain: lower-case, A-labels (xn--…) for international names.

    Raises:
        AddressInvalid: also when made directly, not by `parse_mailbox`.
    """

    name: str
    local: str
    domain: str

    def __post_init__(self) -> None:
        for text in (self.name, self.local, self.domain):
            if (control := control_in(text)) is not None:
                raise AddressInvalid(f"a mailbox cannot hold the control character {control}")
        if len(self.name) > MAX_NAME_CHARS:
            raise AddressInvalid(f"the display name is longer than {MAX_NAME_CHARS} characters")
        if _LOCAL.fullmatch(self.local) is None or len(self.local) > MAX_LOCAL_OCTETS:
            raise AddressInvalid(f"the part before the @ must be a dot-atom of up to {MAX_LOCAL_OCTETS} octets")
        if self.local.startswith("-"):
            # Postfix takes no such address (allow_min_user = no): it could pass for an option of a command.
            raise AddressInvalid("the part before the @ cannot start with a hyphen: Postfix refuses it")
        if _DOMAIN.fullmatch(self.domain) is None:
            raise AddressInvalid("the part after the @ must be a lower-case host name that does not end in a number")
        if len(self.local) + 1 + len(self.domain) > MAX_ADDRESS_OCTETS:
            raise AddressInvalid(f"the address is longer than {MAX_ADDRESS_OCTETS} octets")

    @property
    def address(self) -> str:
        """local@domain, as it goes into an SMTP path between < and >."""
        return f"{self.local}@{self.domain}"


def parse_mailbox(text: str) -> Mailbox:
    """Read exactly one mailbox.

    The local part stays as written (RFC 5321 §2.4: only its host may judge its
    case); the domain becomes lower-case A-labels.

    Raises:
        AddressInvalid: anything else; the reason says what to mend.
    """
    # Before any library sees it: what they do with a line break has changed from version to version.
    if (control := control_in(text)) is not None:
        raise AddressInvalid(f"a mailbox cannot hold the control character {control}")
    if len(text) > MAX_MAILBOX_CHARS:
        raise AddressInvalid(f"a mailbox cannot be longer than {MAX_MAILBOX_CHARS} characters")
    text = text.strip(" ")
    if not text.endswith(">"):
        local, domain = _split(text)
        return Mailbox("", local, domain)
    name, bracket, address = text[:-1].rpartition("<")
    if not bracket:
        raise AddressInvalid("the address ends with > but has no <")
    local, domain = _split(address)
    return Mailbox(_name(name.strip(" ")), local, domain)


def _name(written: str) -> str:
    if written.startswith('"'):
        if (quoted := _QUOTED.fullmatch(written)) is None:
            raise AddressInvalid("the display name must be one quoted string, or have no quotes")
        return re.sub(r"\\(.)", r"\1", quoted[1])
    if _SPECIALS.search(written):
        raise AddressInvalid('put the display name in double quotes: it holds one of ( ) < > [ ] : ; @ \\ , "')
    return " ".join(filter(None, written.split(" ")))


def _split(address: str) -> tuple[str, str]:
    """Local part and A-label domain of a bare address."""
    if not address:
        raise AddressInvalid("there is no address")
    if '"' in address or "\\" in address:
        raise AddressInvalid("a quoted part before the @ is not accepted")
    local, at, domain = address.rpartition("@")
    if not at:
        raise AddressInvalid("the address has no @")
    if "@" in local:
        raise AddressInvalid("the address has more than one @; write exactly one mailbox, without a route")
    if not local.isascii():
        raise AddressInvalid("the part before the @ needs SMTPUTF8, which the hand-over does not use")
    if len(local) > MAX_LOCAL_OCTETS:
        raise AddressInvalid(f"the part before the @ is longer than {MAX_LOCAL_OCTETS} octets")
    if domain.startswith("["):
        raise AddressInvalid("an IP address in brackets after the @ is not accepted")
    if _is_plain(local, domain):
        # Nothing here is the library's to judge, which takes 100 us.
        return local, domain.lower()
    try:
        return local, _valid(address).ascii_domain
    except email_validator.EmailSyntaxError as wrong:
        # From None: the library's exception carries more of the address than we show.
        raise AddressInvalid(str(wrong)) from None


def _is_plain(local: str, domain: str) -> bool:
    """Whether it is certainly an address: a dot-atom at a host name in ASCII, without IDNA (xn--…)."""
    return (
        len(local) + 1 + len(domain) <= MAX_ADDRESS_OCTETS
        and "--" not in domain
        and _LOCAL.fullmatch(local) is not None
        and _DOMAIN.fullmatch(domain.lower()) is not None
    )


def _valid(address: str) -> email_validator.ValidatedEmail:
    return email_validator.validate_email(
        address,
        allow_smtputf8=False,
        allow_quoted_local=False,
        allow_domain_literal=False,
        strict=True,
        check_deliverability=False,
        globally_deliverable=False,  # root@localhost is good mail
    )


def domain_of(address: str) -> str:
    """The domain of an address as a key: lower-case A-labels without a final dot; "" when there is no @.

    Takes any text, also what a log or a peer says; never raises.
    """
    _, at, domain = address.rpartition("@")
    domain = domain.lower().removesuffix(".")
    if not at or domain.isascii():
        return domain if at else ""
    try:
        return _valid(f"x@{domain}").ascii_domain
    except email_validator.EmailSyntaxError:
        return domain


def normalised(address: str) -> str:
    """The address as a key: domain as `domain_of` gives it, local part without quotes it does not need.

    Case of the local part is not folded: `Jane` and `jane` may be two people
    (RFC 5321 §2.4). Text without an @ comes back as it is.
    """
    local, at, _ = address.rpartition("@")
    if local.startswith('"') and (quoted := _QUOTED.fullmatch(local)) is not None:
        plain = re.sub(r"\\(.)", r"\1", quoted[1])
        local = plain if _LOCAL.fullmatch(plain) is not None else local
    return f"{local}@{domain_of(address)}" if at else address


def masked(address: str) -> str:
    """The address as people may see it: j…@example.org.

    First character (when a letter or digit), then the domain as `domain_of`
    gives it. One length for all, so that a short local part is not told from a long one.
    """
    first = address[:1] if address[:1].isalnum() else ""
    domain = domain_of(address)
    return f"{first}…@{domain}" if domain else f"{first}…"
