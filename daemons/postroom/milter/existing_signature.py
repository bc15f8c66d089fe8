"""A signature of ours that a message brings along: does it still hold?

Mail that Postfix takes through a listener again (a requeue, a filter) was
signed before. It is known by a key of ours, so neither DNS nor the body kept
in memory is needed: the public half is at hand, and the hash of the body is
the one a new signature would use.

Source:  RFC 6376 §3.2 (tags), §3.5, §6.1 (verifying); tag lists are read more strictly than they may be written.
Limits:  signatures with another canonicalisation than ours, or with `l=`, are not ours;
         of many, the topmost MAX_LOOKED_AT are looked at.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence

from postroom.milter.sign import HeaderField, SigningKey, signed_octets

MAX_LOOKED_AT = 8

_TAG = re.compile(rb"[ \t\r\n]*([A-Za-z][A-Za-z0-9_]*)[ \t\r\n]*=([^;]*)")
_B_VALUE = re.compile(rb"((?:\A|;)[ \t\r\n]*b[ \t\r\n]*=)[^;]*")
_BLANK = re.compile(rb"[ \t\r\n]+")


def is_signed(fields: Sequence[HeaderField], body_hash: bytes, keys: Iterable[SigningKey], now_s: int) -> bool:
    """Whether one of these keys has signed the message as it stands, and the signature has not expired."""
    ours = {(key.domain.encode("ascii"), key.selector.encode("ascii")): key for key in keys}
    brought = [value for name, value in fields if name.strip(b" \t").lower() == b"dkim-signature"]
    for value in brought[:MAX_LOOKED_AT]:
        tags = _tags(value)
        key = ours.get((tags.get(b"d", b"").lower(), tags.get(b"s", b"").lower()))
        if key is not None and _holds(key, tags, value, fields, body_hash, now_s):
            return True
    return False


def _holds(
    key: SigningKey,
    tags: dict[bytes, bytes],
    value: bytes,
    fields: Sequence[HeaderField],
    body_hash: bytes,
    now_s: int,
) -> bool:
    names = [name.lower() for name in tags.get(b"h", b"").split(b":")]
    expires = tags.get(b"x", b"")
    if (
        tags.get(b"v") != b"1"
        or tags.get(b"a") != key.algorithm.encode("ascii")
        or tags.get(b"c") != b"relaxed/relaxed"
        or b"l" in tags
        or b"from" not in names
        or (expires and not (expires.isdigit() and len(expires) <= 12 and int(expires) > now_s))
        or _octets(tags.get(b"bh", b"")) != body_hash
    ):
        return False
    return key.verifies(_octets(tags.get(b"b", b"")), signed_octets(fields, names, _B_VALUE.sub(rb"\1", value, 1)))


def _tags(value: bytes) -> dict[bytes, bytes]:
    """The tags, white space taken out of their values; none at all where one comes twice or is not a tag."""
    tags: dict[bytes, bytes] = {}
    for text in value.split(b";"):
        if not text.strip(b" \t\r\n"):
            continue
        tag = _TAG.fullmatch(text)
        if tag is None or tag[1] in tags:
            return {}
        tags[tag[1]] = _BLANK.sub(b"", tag[2])
    return tags


def _octets(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
