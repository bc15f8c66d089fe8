"""Complaints: a recipient pressed "this is spam", and the provider's report says so. Pure.

Source:  RFC 5965 (ARF), RFC 6430 (not-spam), RFC 6591 (auth-failure); Microsoft JMRP (X-HmXmrOriginalRecipient).
BUGS:    many providers blank the recipient (RFC 6590); then only our own token in the mail that came back tells.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from postroom.bounces.dsn import address_in
from postroom.bounces.mime import MimePart, fields

_ADDRESSES = re.compile(r"[^\s<>()\[\]{},;:\"']{1,128}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,12}")
MAX_RECIPIENTS = 50


@dataclass(frozen=True, slots=True)
class Complaint:
    """Who complained, as far as the report says, and of what kind the report is (`abuse`, `auth-failure`, …).

    `senders` are the envelope senders it gives for the mail complained of.
    """

    recipients: tuple[str, ...]
    feedback_type: str
    senders: tuple[str, ...] = ()

    @property
    def is_by_a_recipient(self) -> bool:
        """Whether a person did not want the mail: reports of failed authentication and of "not spam" are none."""
        return self.feedback_type not in {"auth-failure", "not-spam", "dmarc"}


def read_complaint(found: list[MimePart]) -> Complaint | None:
    """The complaint a message is; None for another message."""
    for part in found:
        if part.type == "message/feedback-report":
            headers, _ = fields(part.decoded().replace(b"\r\n", b"\n").lstrip(b"\n"))
            kind = next((value for key, value in headers if key == "feedback-type"), "abuse").strip().lower()
            named = [address_in(value) for key, value in headers if key in {"original-rcpt-to", "removal-recipient"}]
            senders = [address_in(value) for key, value in headers if key == "original-mail-from"]
            who = _unique([each for each in named if each] or returned_recipients(found))
            return Complaint(who, kind, _unique(senders + returned_senders(found)))
        if part.type == "message/rfc822":
            headers, _ = fields(part.decoded().lstrip(b"\n"))
            if value := next((value for key, value in headers if key == "x-hmxmroriginalrecipient"), ""):
                return Complaint(_unique([address_in(value)]), "abuse", _unique(returned_senders(found)))
    return None


def returned_recipients(found: list[MimePart]) -> list[str]:
    """The To of the mail that came back."""
    for headers in _returned_headers(found):
        to = [each for key, value in headers if key == "to" for each in _ADDRESSES.findall(value)]
        if to:
            return to[:MAX_RECIPIENTS]
    return []


def returned_senders(found: list[MimePart]) -> list[str]:
    """The Return-Path of the mail that came back: the envelope sender, as written at delivery (RFC 5321 §4.4)."""
    headers = next(_returned_headers(found), [])
    return [address_in(value) for key, value in headers if key == "return-path"]


def _returned_headers(found: list[MimePart]) -> Iterator[Sequence[tuple[str, str]]]:
    for part in found:
        if part.type in {"message/rfc822", "text/rfc822-headers", "message/rfc822-headers"}:
            yield fields(part.decoded().lstrip(b"\n"))[0]


def _unique(addresses: list[str]) -> tuple[str, ...]:
    return tuple({each.lower(): each for each in reversed(addresses) if each}.values())[::-1][:MAX_RECIPIENTS]
