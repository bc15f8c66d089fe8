"""The DKIM signatures of a message, verified by dkimpy.

Source:  RFC 6376 §6.1.
Limits:  the topmost MAX_SIGNATURES; each costs a DNS query.
BUGS:    dkimpy takes quadratic time for a body with a very long run of blanks.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

import dkim
from dkim.util import InvalidTagValueList, parse_tag_value

MAX_SIGNATURES = 20
DNS_TIMEOUT_S = 10

AskTxt = Callable[[bytes], str | bytes | None]
"""Gives the TXT record at a name; None when there is none."""


@dataclass(frozen=True, slots=True)
class Verified:
    """One signature and whether it holds; empty text where the signature lacks the tag."""

    domain: str
    selector: str
    algorithm: str
    holds: bool
    reason: str
    """Why it does not hold, in the verifier's words."""


def ask_dns(name: bytes) -> str | bytes | None:
    """Ask the resolver of this host."""
    return dkim.get_txt(name, timeout=DNS_TIMEOUT_S)


def verify(octets: bytes, ask: AskTxt) -> list[Verified]:
    """Verify every signature of a message, the topmost first.

    Args:
        octets: the message as it was received; lines may end with LF.

    Raises:
        ValueError: this is not a message.
    """
    reasons = _Reasons()
    logger = logging.Logger("dkim")
    logger.addHandler(reasons)
    try:
        message = dkim.DKIM(octets, logger=logger, timeout=DNS_TIMEOUT_S)
    except (dkim.DKIMException, IndexError):  # dkimpy's own answer to a first line that continues none
        raise ValueError("is not a message: its header cannot be read") from None
    values = [value for name, value in message.headers if name.lower() == b"dkim-signature"]
    return [_verified(message, index, value, ask, reasons) for index, value in enumerate(values[:MAX_SIGNATURES])]


def _verified(message: dkim.DKIM, index: int, value: bytes, ask: AskTxt, reasons: "_Reasons") -> Verified:
    reasons.texts.clear()
    try:
        holds = message.verify(index, dnsfunc=lambda name, timeout: ask(name))
    except Exception as error:  # noqa: BLE001 - dkimpy answers some broken signatures with errors of its own making
        holds = False
        reasons.texts.append(str(error) or type(error).__name__)
    try:
        tags = parse_tag_value(value)
    except InvalidTagValueList:
        tags = {}
    domain, selector, algorithm = (_text(tags.get(tag, b"")) for tag in (b"d", b"s", b"a"))
    reason = "" if holds else "; ".join(reasons.texts) or "the signature was not made with this key"
    return Verified(domain, selector, algorithm, holds, reason)


def _text(octets: bytes) -> str:
    return re.sub(rb"\s+", b"", octets).decode("utf-8", "replace")


class _Reasons(logging.Handler):
    """Keeps what dkimpy says to its log when a signature does not verify."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
