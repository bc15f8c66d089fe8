"""One message on its way through the milter: collected, then signed or not. Pure.

Flow:    session.py -> CollectedMessage: add_field … why_unsigned … add_body … is_signed, signatures -> session.py
Limits:  a header over MAX_HEADER_OCTETS or MAX_FIELDS is not kept and the message not signed; neither is one whose
         signature would name its fields in more than MAX_COVERED_OCTETS. The body is never kept.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from postroom.milter import existing_signature
from postroom.milter.author import Author, AuthorUnknown, author_of
from postroom.milter.canonical import BodyHash
from postroom.milter.doors import Networks
from postroom.milter.long_lines import BodyLines, folded
from postroom.milter.sign import HeaderField, SigningKey, Unsigned, covered_names, signature
from postroom.senders.table import SendersTable

MAX_HEADER_OCTETS = 1_000_000
MAX_FIELDS = 10_000
MAX_COVERED_OCTETS = 8_000
"""Of `h=`; a usual one has 300. libmilter adds no field of more than 65,535 octets, and verifiers give up earlier."""


@dataclass(frozen=True, slots=True)
class Signer:
    """What the milter signs with.

    Attributes:
        keys:            of each domain mail may be From; exactly these domains, no subdomain.
        networks:        whose mail is signed without a login.
        expires_after_s: how long a signature holds.
        senders:         who may write From which address.
    """

    keys: Mapping[str, Sequence[SigningKey]]
    networks: Networks
    expires_after_s: int
    senders: SendersTable = field(default_factory=SendersTable)


class CollectedMessage:
    """A message that came through a door of ours."""

    def __init__(self, signer: Signer) -> None:
        self._body = BodyHash()
        self._body_lines = BodyLines()
        self.author: Author | None = None
        """Once `why_unsigned` was asked; None where there is none."""
        self._signer = signer
        self._fields: list[HeaderField] = []
        self._body_hash: bytes | None = None
        self._header_octets = 0
        self._is_too_large = False
        self.refolded: list[tuple[bytes, int, bytes]] = []
        """Fields to be replaced before it is signed, once `why_unsigned` was asked: name, which of this name from the
        topmost, and value. In relaxed form they are the same."""

    def add_field(self, name: bytes, value: bytes) -> None:
        """Take the next header field, the topmost first."""
        self._header_octets += len(name) + len(value)
        if self._header_octets > MAX_HEADER_OCTETS or len(self._fields) == MAX_FIELDS:
            self._is_too_large = True
        else:
            self._fields.append((name, value))

    def why_unsigned(self) -> Unsigned | None:
        """Give the reason not to sign the message, as far as its header tells; None when it is to be signed."""
        if self._is_too_large:
            return Unsigned.HEADER_TOO_LARGE
        try:
            self.author = author_of(self._fields)
        except AuthorUnknown as unknown:
            return unknown.reason
        if self.domain not in self._signer.keys:
            return Unsigned.DOMAIN_NOT_OURS
        if not self._keys:
            return Unsigned.NO_KEY
        names = covered_names(self._fields)
        if sum(len(name) + 1 for name in names) > MAX_COVERED_OCTETS:
            return Unsigned.HEADER_TOO_LARGE
        return None if self._refold(frozenset(names)) else Unsigned.LINE_TOO_LONG

    def _refold(self, covered: frozenset[bytes]) -> bool:
        seen: Counter[bytes] = Counter()
        for name, value in self._fields:
            word = name.strip(b" \t").lower()
            seen[word] += 1
            if word not in covered:
                continue
            short = folded(name, value)
            if short is None:
                return False
            if short != value:
                self.refolded.append((name, seen[word], short))
        return True

    def add_body(self, octets: bytes) -> None:
        """Take the next piece of the body."""
        self._body.update(octets)
        self._body_lines.update(octets)

    @property
    def has_long_body_line(self) -> bool:
        """Whether Postfix would break a line of its body. At its end only."""
        return self._body_lines.is_too_long

    @property
    def domain(self) -> str | None:
        """Of its author, once `why_unsigned` was asked; None where there is none."""
        return None if self.author is None else self.author.domain

    def topmost(self, count: int) -> Sequence[HeaderField]:
        """Give the topmost fields, as many as that."""
        return self._fields[:count]

    def is_signed(self, now_s: int) -> bool:
        """Whether it brought a signature of ours that holds. At its end only, and without a reason not to sign."""
        return existing_signature.is_signed(self._fields, self._hash_of_body(), self._keys, now_s)

    def signatures(self, now_s: int) -> list[tuple[SigningKey, str]]:
        """Give a signature for each key of its domain. At its end only, and without a reason not to sign."""
        return [
            (key, signature(key, self._fields, self._hash_of_body(), now_s, self._signer.expires_after_s))
            for key in self._keys
        ]

    @property
    def _keys(self) -> Sequence[SigningKey]:
        assert self.domain is not None
        return self._signer.keys[self.domain]

    def _hash_of_body(self) -> bytes:
        if self._body_hash is None:
            self._body_hash = self._body.digest()
        return self._body_hash
