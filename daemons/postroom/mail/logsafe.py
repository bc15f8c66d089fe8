r"""Log-safe text: what strangers wrote, fit for one field of one log line.

    safe      controls, bidi controls and all else that does not print become \xNN,
              \uNNNN or \UNNNNNNNN; a backslash is doubled, so nothing can pose as an escape
    redacted  anything that looks like an e-mail address becomes its masked form

Use `redacted` first, `safe` last: `safe` bounds the length.

Limits:  linear time, any input; `safe` never returns more than `limit` characters.
BUGS:    redacted takes @ and %40 for the mark of an address. An address that was
         encoded in another way (base64, jane=example.org) is not found.
"""

import re

from postroom.mail.addresses import masked

DEFAULT_LIMIT = 200

# A quoted local part (bounded, so that a run of quotes costs linear time), or
# whatever stands between the characters that part words in logs and replies.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.){0,128}+"@[^\s<>()\[\]{},;:"]+|[^\s<>()\[\]{},;:"]+')


def safe(text: str, limit: int = DEFAULT_LIMIT) -> str:
    """One printable line of at most `limit` characters (one or more); a cut one ends in ….

    Source: str.isprintable (Unicode categories C* and Z*, except the space).
    """
    # What lies past the limit can only be cut, so it is not even looked at.
    head = text[: limit + 1]
    if not head.isprintable() or "\\" in head:
        head = "".join(char if char.isprintable() and char != "\\" else _escaped(char) for char in head)
    return head if len(head) <= limit else head[: limit - 1] + "…"


def _escaped(char: str) -> str:
    code = ord(char)
    if char == "\\":
        return "\\\\"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def redacted(text: str) -> str:
    """The text with each address in it masked: <jane@example.org> becomes <j…@example.org>."""
    if "@" not in text and "%40" not in text:
        return text
    return _TOKEN.sub(lambda token: _masked_token(token[0]), text)


def _masked_token(token: str) -> str:
    address = token.replace("%40", "@")
    local, _, _ = address.rpartition("@")
    return masked(address) if local else token
