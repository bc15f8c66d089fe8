"""Attempt tokens: the local part of the envelope sender of each hand-over attempt.

A token names one attempt, so a line of Postfix's log or queue with that
sender proves what became of exactly this attempt. It holds no address: an
attempt's random name, the day it was made, and a signature, so that a forged
one is told apart without asking any store.

Form:    "pr" + base32(8 octets name, 2 octets day, 6 octets HMAC-SHA-256), lower case:
         28 octets of [a-z2-7], far below the 64 of RFC 5321 §4.5.3.1.1.
Limits:  mail systems may change the case of a local part; verify() takes either.
"""

import base64
import binascii
import hmac
import re

PREFIX = "pr"
NAME_OCTETS = 8
KEY_OCTETS = 32
DAY_S = 86_400

_SENDER = re.compile(r"(?:.*\+)?(pr[a-z2-7]{26})@[^@]*", re.ASCII | re.DOTALL | re.IGNORECASE)
_DAY_OCTETS = 2
_MAC_OCTETS = 6
_LENGTH = len(PREFIX) + 26


def mint(key: bytes, name: bytes, now: float) -> str:
    """The token of the attempt `name` (NAME_OCTETS random octets), dated with the day of `now` (Unix seconds)."""
    if len(name) != NAME_OCTETS:
        raise ValueError(f"an attempt's name has {NAME_OCTETS} octets, not {len(name)}")
    return _signed(key, name + (int(now) // DAY_S & 0xFFFF).to_bytes(_DAY_OCTETS, "big"))


def verify(key: bytes, token: str, now: float, max_age_days: int) -> bool:
    """Whether the token is one of ours and at most so many days old."""
    # ASCII first: lower() makes a "k" of the Kelvin sign.
    if not token.isascii() or len(token) != _LENGTH or not token.lower().startswith(PREFIX):
        return False
    try:
        octets = base64.b32decode(token[len(PREFIX) :].upper() + "======")
    except binascii.Error:
        return False
    dated = octets[: NAME_OCTETS + _DAY_OCTETS]
    # The text is compared, not the octets: base32 has several spellings of the same octets, one of them is ours.
    if not hmac.compare_digest(token.lower(), _signed(key, dated)):
        return False
    age_days = (int(now) // DAY_S - int.from_bytes(dated[NAME_OCTETS:], "big")) & 0xFFFF
    return age_days <= max_age_days or age_days == 0xFFFF  # a day of clock difference between hosts


def of_sender(sender: str) -> str | None:
    """The token in an envelope sender, token@domain or mailbox+token@domain; None when none stands there.

    Only its form is looked at. Who asks for a token he minted himself needs no more: nobody else knew it.
    """
    found = _SENDER.fullmatch(sender)
    return None if found is None else found[1].lower()


def _signed(key: bytes, dated: bytes) -> str:
    mac = hmac.digest(key, dated, "sha256")[:_MAC_OCTETS]
    return PREFIX + base64.b32encode(dated + mac).decode("ascii").rstrip("=").lower()
