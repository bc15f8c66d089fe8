"""Return addresses: token@domain, to which others report on our mail, and the one for complaints.

    token@<return-path domain>        the envelope sender of one attempt (tokens.py)
    complaints@<return-path domain>   what is registered with feedback loops; there the mail itself names a token

All else at such a domain is nobody's: a stranger cannot make an address up, for tokens are signed and dated.

Source:  RFC 5321 §4.5.5 (null reverse-path and reports), RFC 5965 §5 (where complaints go).
"""

from collections.abc import Iterable

from postroom.mail import tokens
from postroom.mail.addresses import domain_of

COMPLAINTS = "complaints"

DAY_S = 86_400.0


class ReturnAddresses:
    """Tells ours.

    Args:
        key:     signs the tokens.
        domains: the return-path domains, in lower case.
        kept_s:  how long after its making a token counts, in seconds; whole days, rounded up.
    """

    def __init__(self, key: bytes, domains: Iterable[str], kept_s: float) -> None:
        self._key = key
        self._domains = frozenset(domains)
        self._max_age_days = int(-(-kept_s // DAY_S))

    def serve(self, address: str) -> bool:
        """Whether it is at a return-path domain."""
        return domain_of(address) in self._domains

    def token(self, address: str, now: float) -> str | None:
        """The token in an address of ours, in lower case; None in any other. `now` is Unix seconds."""
        local = address.rpartition("@")[0]
        is_ours = self.serve(address) and tokens.verify(self._key, local, now, self._max_age_days)
        return local.lower() if is_ours else None

    def takes_complaints(self, address: str) -> bool:
        """Whether it is the address for complaints."""
        return self.serve(address) and address.rpartition("@")[0].lower() == COMPLAINTS

    def exists(self, address: str, now: float) -> bool:
        """Whether mail to it is for us: a token that counts, or the address for complaints."""
        return self.takes_complaints(address) or self.token(address, now) is not None
