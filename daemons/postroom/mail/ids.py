"""Names we give: message ids (UUIDv7) and Message-IDs.

Pure: time and randomness are passed in.

Source:  RFC 9562 §5.7 (UUIDv7); RFC 5322 §3.6.4 (msg-id).
"""

import re
import uuid

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

RANDOM_OCTETS = 10


def new_id(now: float, random: bytes) -> str:
    """An id of a message: a UUIDv7, so ids sort by the time of acceptance.

    Args:
        now:    Unix time in seconds.
        random: RANDOM_OCTETS of randomness.
    """
    if len(random) != RANDOM_OCTETS:
        raise ValueError(f"need {RANDOM_OCTETS} octets of randomness, got {len(random)}")
    milliseconds = int(now * 1000) & 0xFFFF_FFFF_FFFF
    low = int.from_bytes(random, "big")
    value = milliseconds << 80 | 0x7 << 76 | (low >> 62 & 0xFFF) << 64 | 0b10 << 62 | low & 0x3FFF_FFFF_FFFF_FFFF
    return str(uuid.UUID(int=value))


def is_id(text: str) -> bool:
    """Whether the text has the form of an id of ours."""
    return _UUID7.fullmatch(text) is not None


def message_id(message: str, domain: str) -> str:
    """The Message-ID (without angle brackets) of a message: our id at the sender's domain."""
    return f"{message}@{domain}"
