"""Through which door a message comes, as the milter can tell.

The listeners of hand-over and sendmail door name themselves (`milter_macro_daemon_name`,
set in master.cf only); everywhere else a login or a client in our networks makes mail outbound.

Source:  postconf(5), mynetworks and milter_macro_daemon_name; MILTER_README, "macros".
BUGS:    mynetworks set by `-o` for one listener of master.cf is not seen; patterns that need
         a lookup table or a file are refused. Both are mended by `milter.networks`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Literal, Self

Door = Literal["socket", "smtp", "sendmail", "inbound"]
Address = IPv4Address | IPv6Address

HANDOVER_DAEMON_NAME = "POSTROOM"
"""What postfix-conf/submission.master.cf gives as milter_macro_daemon_name."""
SENDMAIL_DAEMON_NAME = "POSTROOM_SENDMAIL"
"""What postfix-conf/sendmail.master.cf gives."""
DAEMON_NAMES = frozenset({HANDOVER_DAEMON_NAME, SENDMAIL_DAEMON_NAME})

_BRACKETED = re.compile(r"\[([^\]]*)\](.*)")


class NetworksUnreadable(ValueError):
    """A value of mynetworks that cannot be followed; the text names the pattern."""


@dataclass(frozen=True, slots=True)
class Networks:
    """A list of networks as Postfix matches it: the first pattern that fits decides, one with `!` by excluding."""

    patterns: Sequence[tuple[IPv4Network | IPv6Network, bool]]

    @classmethod
    def of(cls, networks: Iterable[IPv4Network | IPv6Network]) -> Self:
        """Give the list that includes all of these."""
        return cls([(network, True) for network in networks])

    @classmethod
    def parse(cls, mynetworks: str) -> Self:
        """Read the value of Postfix's mynetworks, its `$names` expanded.

        Raises:
            NetworksUnreadable: a pattern that is not a network: a table, a file, a host name.
        """
        patterns = []
        for word in filter(None, re.split(r"[\s,]+", mynetworks)):
            text = word.lstrip("!")
            bracketed = _BRACKETED.fullmatch(text)
            try:
                # Not strict: Postfix warns of host bits and goes on; so do we, without the warning.
                network = ip_network("".join(bracketed.groups()) if bracketed else text, strict=False)
            except ValueError:
                raise NetworksUnreadable(f"{word!r} is not a network") from None
            patterns.append((network, (len(word) - len(text)) % 2 == 0))
        return cls(patterns)

    def __contains__(self, address: Address) -> bool:
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return next((is_included for network, is_included in self.patterns if address in network), False)


def door_of(daemon_name: str | None, login: str | None, client: Address | None, networks: Networks) -> Door:
    """Tell the door of a message.

    Args:
        daemon_name: {daemon_name} at the connection.
        login:       {auth_authen} at MAIL.
        client:      the SMTP client; None where it has no IP address.
    """
    if daemon_name == HANDOVER_DAEMON_NAME:
        return "socket"
    if daemon_name == SENDMAIL_DAEMON_NAME:
        return "sendmail"
    return "smtp" if login or (client is not None and client in networks) else "inbound"
