"""Who has signed a complaint: DKIM, verified with keys from DNS, for the reporters that are believed.

Anybody can write a complaint about mail whose return address he knows. A feedback loop signs its reports; so a
complaint counts by itself only with a signature that holds, made by a reporter of `suppression.complaint_reporters`:

    fbl.example.net       a signature of this domain, or one below it, which signs nothing but reports
    staff@example.net     a signature of example.net under mail From this address: the domain signs its users' mail too

Keys are asked for only where a signature names such a domain, so a stranger cannot choose what is asked.

Source:  RFC 6376 §6.1 (verifying), RFC 6449 §5 (feedback loops sign).
Limits:  a mail that was not kept whole, or whose header is larger than MAX_HEAD_OCTETS, counts as unsigned;
         MAX_LOOKED_AT signatures of at most MAX_SIGNATURE_OCTETS are looked at; an answer of DNS may take DNS_S. A
         signature with `l=` covers the body in part, and counts as none.
"""

import re
from collections.abc import Callable, Collection, Iterator

import dkim
import dns.exception
import dns.name
import dns.resolver
from dkim.util import InvalidTagValueList, parse_tag_value

from postroom.mail.addresses import domain_of
from postroom.watcher.lmtp import ReceivedMail

MAX_HEAD_OCTETS = 100_000
MAX_LOOKED_AT = 8
MAX_SIGNATURE_OCTETS = 4_000
DNS_S = 5.0

AskKey = Callable[[str], bytes | None]
"""Gives the TXT record at a name, None when there is none; raises KeyUnavailable."""

_ALGORITHMS = (b"rsa-sha256", b"ed25519-sha256")
_NO_RECORD = (
    dns.resolver.NXDOMAIN,
    dns.resolver.NoAnswer,
    # A selector may be any text.
    dns.name.LabelTooLong,
    dns.name.NameTooLong,
    dns.name.EmptyLabel,
)
_BLANKS = re.compile(rb"[ \t]+")
_ADDRESS = re.compile(r"[^\s<>()\[\]{},;:\"']{1,64}@[A-Za-z0-9.-]{1,253}")


class KeyUnavailable(Exception):
    """DNS gives no answer now; the text says what was asked."""


def signer_of(mail: ReceivedMail, reporters: Collection[str], ask_key: AskKey) -> str | None:
    """The reporter that signed this mail, as it stands in `reporters`; None where none did.

    Raises:
        KeyUnavailable: that cannot be known now.
    """
    head, _, body = mail.octets.partition(b"\r\n\r\n")
    if not mail.is_whole or len(head) > MAX_HEAD_OCTETS:
        return None
    try:
        message = dkim.DKIM(mail.octets)
    except (dkim.DKIMException, IndexError):  # a header that is none; one that begins with a blank
        return None
    for index, reporter, is_relaxed in _candidates(message.headers, reporters):
        # dkimpy takes quadratic time over a run of blanks; in relaxed form one is as good as many.
        octets = head + b"\r\n\r\n" + (_BLANKS.sub(b" ", body) if is_relaxed else body)
        if _holds(octets, index, ask_key):
            return reporter
    return None


def _candidates(headers: list[tuple[bytes, bytes]], reporters: Collection[str]) -> Iterator[tuple[int, str, bool]]:
    """Signatures that would count if they hold: which of them, by whom, and whether its body is in relaxed form."""
    author = _author([value for name, value in headers if name.strip().lower() == b"from"])
    signatures = [value for name, value in headers if name.strip().lower() == b"dkim-signature"]
    for index, value in enumerate(signatures[:MAX_LOOKED_AT]):
        if len(value) > MAX_SIGNATURE_OCTETS:
            continue
        try:
            tags = parse_tag_value(value)
        except InvalidTagValueList:
            continue
        domain = tags.get(b"d", b"").decode("ascii", "replace").lower()
        reporter = _reporter(domain, author, reporters)
        if reporter is not None and b"l" not in tags and tags.get(b"a", b"") in _ALGORITHMS:
            yield index, reporter, tags.get(b"c", b"").lower().endswith(b"/relaxed")


def _reporter(domain: str, author: str, reporters: Collection[str]) -> str | None:
    for reporter in reporters:
        if "@" in reporter:
            if (reporter, domain_of(reporter)) == (author, domain):
                return reporter
        elif domain == reporter or domain.endswith(f".{reporter}"):
            return reporter
    return None


def _author(values: list[bytes]) -> str:
    """The address of the one From field; "" where there is not exactly one of each."""
    found = _ADDRESS.findall(values[0].decode("latin-1")) if len(values) == 1 else []
    return found[0].lower() if len(found) == 1 else ""


def _holds(octets: bytes, index: int, ask_key: AskKey) -> bool:
    def ask(name: bytes, timeout: float = 0) -> bytes | None:
        return ask_key(name.decode("ascii").rstrip("."))

    try:
        return bool(dkim.DKIM(octets).verify(index, dnsfunc=ask))
    except KeyUnavailable:
        raise
    except Exception:  # noqa: BLE001 - a library that reads what strangers wrote: whatever it stumbles at holds not
        return False


def ask_dns(name: str) -> bytes | None:
    """The TXT record at a name, by the resolvers of this host."""
    try:
        answer = dns.resolver.Resolver().resolve(name, "TXT", lifetime=DNS_S)
    except _NO_RECORD:
        return None
    except dns.exception.DNSException as error:
        raise KeyUnavailable(f"{name}: {type(error).__name__}") from error
    records = [b"".join(record.strings) for record in answer]
    return records[0] if len(records) == 1 else None
