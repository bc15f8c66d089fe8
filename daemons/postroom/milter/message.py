"""One message on its way through the milter: collected, then signed or not. Pure.

Flow:    session.py -> Message: add_field … refusal … body.update … signatures -> session.py
Limits:  a header over MAX_HEADER_OCTETS is not kept and the message not signed; the body is never kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from postroom.milter import own
from postroom.milter.author import AuthorUnknown, author_domain
from postroom.milter.canonical import BodyHash
from postroom.milter.doors import Networks
from postroom.milter.reasons import Unsigned
from postroom.milter.sign import HeaderField, SigningKey, signature

MAX_HEADER_OCTETS = 1_000_000


@dataclass(frozen=True, slots=True)
class Signer:
    """What the milter signs with.

    Attributes:
        keys:            of each domain mail may be From; exactly these domains, no subdomain.
        networks:        whose mail is signed without a login.
        expires_after_s: how long a signature holds.
    """

    keys: Mapping[str, Sequence[SigningKey]]
    networks: Networks
    expires_after_s: int


class Message:
    """A message that came through a door of ours."""

    def __init__(self, signer: Signer) -> None:
        self.body = BodyHash()
        self.domain: str | None = None
        """Of its author, once `refusal` was asked; None where there is none."""
        self._signer = signer
        self._fields: list[HeaderField] = []
        self._header_octets = 0

    def add_field(self, name: bytes, value: bytes) -> None:
        """Take the next header field, the topmost first."""
        self._header_octets += len(name) + len(value)
        if self._header_octets <= MAX_HEADER_OCTETS:
            self._fields.append((name, value))

    def refusal(self) -> Unsigned | None:
        """Say why the message is not signed, as far as its header tells; None when it is to be."""
        if self._header_octets > MAX_HEADER_OCTETS:
            return Unsigned.HEADER_TOO_LARGE
        try:
            self.domain = author_domain(self._fields)
        except AuthorUnknown as unknown:
            return unknown.reason
        if self.domain not in self._signer.keys:
            return Unsigned.DOMAIN_NOT_OURS
        return None if self._signer.keys[self.domain] else Unsigned.NO_KEY

    def signatures(self, now_s: int) -> list[tuple[SigningKey, str]]:
        """Give a signature for each key of its domain; none when it brought one of ours that holds.

        Only for a message without `refusal`, at its end; called once.
        """
        assert self.domain is not None
        keys = self._signer.keys[self.domain]
        body_hash = self.body.digest()
        if own.is_signed(self._fields, body_hash, keys, now_s):
            return []
        return [(key, signature(key, self._fields, body_hash, now_s, self._signer.expires_after_s)) for key in keys]
