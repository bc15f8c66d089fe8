"""Who wrote a mail to the return path: another host, bounce(8) of this one, or anybody on it. Pure.

A return address is no secret on this host: postqueue(1) shows it to everybody, with the recipient it belongs to. So
only what another host brought is believed, and what the log shows to be bounce(8)'s:

    the client Postfix tells of (XFORWARD) has an address of another host
        and its Received field, known by the queue id it got there, shows no login     remote
    no client, and Postfix wrote the only Received field                               perhaps a notice of bounce(8)
    all else: loopback, an address of this host, sendmail(1), a login, not told        local

Postfix restores the client of mail that a content filter gives back, when the filter speaks XFORWARD; so what comes
through one is known by the host that first brought it.

Source:  Postfix XFORWARD_README; src/smtpd/smtpd.c (Received), src/pickup/pickup.c, src/local/forward.c.
BUGS:    who may speak XFORWARD to a listener (smtpd_authorized_xforward_hosts) can pose as any client. Mail of other
         hosts that postsuper(1) has requeued has lost its client, and is local. Where header_checks take out Postfix's
         own Received fields, nothing is remote: a login could not be told from the world.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from postroom.bounces.mime import fields
from postroom.store.track.bounce_report import ReportOrigin
from postroom.watcher.lmtp import ReceivedMail

MAX_HEAD_OCTETS = 100_000
"""So much of the header is looked at; Postfix's own fields are the topmost."""

_OF_SMTPD = re.compile(r"from .* by (\S+) \([^()]*\) with (\S+) id (\w+)(?: for <.*>)?; [^;]*")
_OF_POSTFIX = re.compile(r"by \S+ \([^(),]*\) id (\w+); [^;]*")
_WITH_LOGIN = frozenset({"ESMTPA", "ESMTPSA", "UTF8SMTPA", "UTF8SMTPSA"})
"""RFC 3848, RFC 6531 §3.7.3."""


@dataclass(frozen=True, slots=True)
class MailOrigin:
    """Who wrote a mail; `notice` is its queue id where bounce(8) may have, `reason` why it is local."""

    kind: ReportOrigin
    notice: str = ""
    reason: str = ""


def origin_of(mail: ReceivedMail, is_of_this_host: Callable[[str], bool]) -> MailOrigin:
    """Who wrote this mail.

    Args:
        is_of_this_host: whether an IP address is one of this host's.
    """
    if mail.client is None:
        return MailOrigin(ReportOrigin.LOCAL, reason="unknown")
    received = [value for name, value in fields(_head(mail.octets))[0] if name == "received"]
    if not mail.client.address:
        return _without_client(received, mail.sender)
    if not _is_address(mail.client.address) or is_of_this_host(mail.client.address):
        return MailOrigin(ReportOrigin.LOCAL, reason="loopback")
    return _of_another_host(received, mail.client.ident)


def _without_client(received: list[str], sender: str) -> MailOrigin:
    own = _OF_POSTFIX.fullmatch(received[0]) if len(received) == 1 else None
    # bounce(8) writes from the null sender (RFC 3461 §6.1).
    if own is None or sender:
        return MailOrigin(ReportOrigin.LOCAL, reason="sendmail")
    return MailOrigin(ReportOrigin.NOTICE, notice=own[1])


def _of_another_host(received: list[str], ident: str) -> MailOrigin:
    hops = [found for value in received if (found := _OF_SMTPD.fullmatch(value)) is not None]
    arrival = next((hop for hop in hops if hop[3] == ident), None)
    if arrival is None:
        return MailOrigin(ReportOrigin.LOCAL, reason="unknown")
    # Not of the arrival alone: behind a proxy (smtpd_proxy_filter) the login stands in the field below.
    if any(hop[1] == arrival[1] and hop[2] in _WITH_LOGIN for hop in hops):
        return MailOrigin(ReportOrigin.LOCAL, reason="login")
    return MailOrigin(ReportOrigin.REMOTE)


def _head(octets: bytes) -> bytes:
    return octets[:MAX_HEAD_OCTETS].partition(b"\r\n\r\n")[0].replace(b"\r\n", b"\n") + b"\n"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
