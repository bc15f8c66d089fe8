"""The DKIM-Signature header field: what it covers, how it is computed and written, and why a message has none.

Covered are the fields a reader sees or a program acts on. Each is named once
more often than it is there, so that nobody can add another one on the way:
those of OVERSIGNED also when they are absent. List-* and Feedback-ID are
covered only when present: a mailing list may add them and change nothing else.
Never `l=`: text could be appended to a body whose length is signed.

Source:  RFC 6376 §3.5 (tags), §3.7 (what is hashed), §5.4.2 (fields that repeat), §8.15 (fields added later);
         RFC 8301 (rsa-sha256 only), RFC 8463 (ed25519-sha256: the key signs the SHA-256).
Limits:  header fields only grow the `h=` tag; message.py bounds the header as a whole.
"""

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from postroom.milter import canonical

HeaderField = tuple[bytes, bytes]
"""Name and value of a header field, as they came."""

OVERSIGNED = (
    b"from",
    b"reply-to",
    b"subject",
    b"date",
    b"to",
    b"cc",
    b"message-id",
    b"in-reply-to",
    b"references",
    b"mime-version",
    b"content-type",
    b"content-transfer-encoding",
)
_ALSO = b"feedback-id"
_FAMILIES = (b"content-", b"list-")

_LINE = 76  # octets; RFC 5322 §2.1.1 asks for 78
_INDENT = "\n\t"


class Unsigned(StrEnum):
    """Why a message was not signed: stable words, in the log, the metrics and docs/operating.md."""

    INBOUND = "inbound"
    """From a client that neither logged in nor is in one of our networks."""
    FROM_MISSING = "from_missing"
    FROM_SEVERAL = "from_several"
    """Several From fields, or several addresses in one."""
    FROM_UNPARSEABLE = "from_unparseable"
    """A From that programs could read differently."""
    DOMAIN_NOT_OURS = "domain_not_ours"
    """The domain of From is none of `domains`; a subdomain of one is not it."""
    NO_KEY = "no_key"
    """The domain is ours and has no `dkim`."""
    ALREADY_SIGNED = "already_signed"
    """It came with a signature of ours that holds."""
    HEADER_TOO_LARGE = "header_too_large"
    """Its octets, its fields, or the names of those to be signed are too many (message.py)."""
    LINE_TOO_LONG = "line_too_long"
    """It has a line that Postfix would break on its way out (long_lines.py)."""
    SENDER_NOT_ALLOWED = "sender_not_allowed"
    """`senders` does not let its sender use the domain of From."""
    ORIGIN_UNKNOWN = "origin_unknown"
    """At the sendmail door, requeued after it had passed a door or not from sendmail(1): whose it is, is not known."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and its place in DNS.

    Attributes:
        domain:    `d=`.
        selector:  `s=`; the public key stands at `<selector>._domainkey.<domain>`.
        algorithm: `a=`.
        bits:      of its public half.
        sign:      octets to signature; hashes them itself.
        verifies:  whether a signature is this key's, over these octets.
    """

    domain: str
    selector: str
    algorithm: Literal["rsa-sha256", "ed25519-sha256"]
    bits: int
    sign: Callable[[bytes], bytes]
    verifies: Callable[[bytes, bytes], bool]


def signature(
    key: SigningKey, fields: Sequence[HeaderField], body_hash: bytes, now_s: int, expires_after_s: int
) -> str:
    """Give the value of the DKIM-Signature field for a message, folded with LF as libmilter wants it.

    Args:
        fields:    the header, topmost first.
        body_hash: SHA-256 of the body in relaxed form.
    """
    names = covered_names(fields)
    unsigned = ";".join(
        [
            f"v=1; a={key.algorithm}; c=relaxed/relaxed",
            f"{_INDENT}d={key.domain}; s={key.selector}",
            f"{_INDENT}t={now_s}; x={now_s + expires_after_s}",
            f"{_INDENT}{_folded_names(names)}",
            f"{_INDENT}bh={_base64(body_hash)}",
            f"{_INDENT}b=",
        ]
    )
    return unsigned + _folded(_base64(key.sign(signed_octets(fields, names, unsigned.encode("ascii")))))


def covered_names(fields: Iterable[HeaderField]) -> list[bytes]:
    """Give the `h=` of a message: names in lower case, each as often as it is to be covered."""
    present = Counter(name.strip(b" \t").lower() for name, _ in fields)
    others = [name for name in present if name not in OVERSIGNED and (name == _ALSO or name.startswith(_FAMILIES))]
    return [name for name in (*OVERSIGNED, *others) for _ in range(present[name] + 1)]


def signed_octets(fields: Sequence[HeaderField], names: Iterable[bytes], unsigned: bytes) -> bytes:
    """Give what a signature signs: the covered fields in relaxed form, then its own field with an empty `b=`.

    A name that comes several times stands for the instances from the lowest up;
    one for which none is left stands for nothing.
    """
    instances: dict[bytes, list[HeaderField]] = {}
    for field in fields:
        instances.setdefault(field[0].strip(b" \t").lower(), []).append(field)
    covered = [canonical.field(*instances[name].pop()) for name in names if instances.get(name)]
    return b"\r\n".join([*covered, canonical.field(b"DKIM-Signature", unsigned)])


def _folded_names(names: Iterable[bytes]) -> str:
    lines = ["h="]
    for name in names:
        word = f"{name.decode('latin-1')}:"
        if len(lines[-1]) + len(word) > _LINE:
            lines.append(" ")
        lines[-1] += word
    return _INDENT.join(lines).removesuffix(":")


def _folded(text: str) -> str:
    # The first line has less room: it follows the tag's name.
    room = _LINE - len("\tb=")
    return f"{_INDENT} ".join(text[at : at + room] for at in range(0, len(text), room))


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")
