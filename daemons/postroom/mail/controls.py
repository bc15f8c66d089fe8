"""Controls: the characters that must not stand in one line of mail text.

A line break in a name or subject starts a header of the sender's choosing;
other controls confuse terminals, logs and old mail programs. This file only
finds them; headers.py and addresses.py refuse, each with its own error.

An encoded-word (RFC 2047) written out in the text is opened as well, because
some readers decode what they should not, and a line break may hide inside
(CVE-2026-1299). The look inside is lenient, as the worst reader would be.

Limits:  linear time; an encoded-word is opened for at most MAX_ENCODED_CHARS.
"""

import binascii
import re
from collections.abc import Iterator

MAX_ENCODED_CHARS = 1000

# C0, DEL and C1; LINE and PARAGRAPH SEPARATOR, where str.splitlines() breaks;
# lone surrogates, which are no characters and have no UTF-8 form.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ENCODED_WORD_START = re.compile(r"=\?([^?]{0,60})\?([bq])\?", re.IGNORECASE)
# Python also knows codecs that are no charsets (unicode_escape) or take
# quadratic time (punycode); only these families are ever asked for.
_CHARSET = re.compile(r"(utf|iso|us-ascii|windows|cp|ibm|koi)[\w-]*", re.ASCII | re.IGNORECASE)


def control_in(text: str) -> str | None:
    """Name the first control that `text` holds, as U+000A; None when there is none.

    Looks at the text as written first, then inside each encoded-word in it.
    """
    if text.isprintable() and "=?" not in text:
        return None
    found = _CONTROL.search(text)
    if found is None:
        found = next(filter(None, map(_CONTROL.search, _decodings(text))), None)
    return None if found is None else f"U+{ord(found[0]):04X}"


def _decodings(text: str) -> Iterator[str]:
    """What readers could make of the encoded-words in `text`: as UTF-8, and by the charset each names."""
    for start in _ENCODED_WORD_START.finditer(text):
        reach = start.end() + MAX_ENCODED_CHARS
        end = text.find("?=", start.end(), reach)
        encoded = text[start.end() : end if end >= 0 else reach].encode("utf-8", "replace")
        try:
            octets = _octets(start[2], encoded)
        except binascii.Error:
            continue  # not base64 for anybody: it stays the text it is
        yield octets.decode("utf-8", "ignore")
        if (charset := _CHARSET.match(start[1])) is not None:
            try:
                yield octets.decode(charset[0], "ignore")
            except (LookupError, UnicodeError):
                continue  # a charset nobody knows


def _octets(encoding: str, encoded: bytes) -> bytes:
    if encoding in "qQ":
        return binascii.a2b_qp(encoded, header=True)
    return binascii.a2b_base64(encoded + b"==")
