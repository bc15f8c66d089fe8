"""The sender as a limit counts it: without the parts that differ from message to message.

    anna+news@example.org                                  anna@example.org   subaddress (RFC 5233)
    list+jane=example.net@example.org                      list@example.org   VERP as Postfix writes it
    list-return-12-jane=example.net@example.org            list@example.org   VERP as ezmlm writes it
    prvs=0123abcdef=anna@example.org                       anna@example.org   BATV
    SRS0=Ht5k=7X=example.net=jane@forward.example.org      jane@example.net   SRS: who sent it to the forwarder
    SRS1=Qx9=other.example==Ht5k=7X=example.net=jane@…     jane@example.net   the same, forwarded twice

With such a part each message would be a sender of its own, and no limit would hold.

Source:  VERP_README of Postfix; draft-levine-smtp-batv-01; libsrs2 (SRS0, SRS1).
BUGS:    a number in the local part that is marked by nothing (bounce-4711@…) is not known as one.
         Who may choose the envelope sender freely may choose a new one for each message: limit by login,
         client or client_address as well.
"""

import re

from postroom.mail.addresses import normalised

_SRS0 = re.compile(r"srs0[=+-][^=]*=[^=]*=([^=]+)=(.+)", re.IGNORECASE | re.DOTALL)
_SRS1 = re.compile(r"srs1[=+-][^=]*=[^=]*=[=+-][^=]*=[^=]*=([^=]+)=(.+)", re.IGNORECASE | re.DOTALL)
_BATV = re.compile(r"prvs=[0-9a-z]+=(.+)", re.IGNORECASE | re.DOTALL)


def counted_sender(address: str) -> str:
    """The sender under which a message from this envelope sender is counted; "" for the null sender.

    Takes any text; never raises.
    """
    local, at, domain = address.rpartition("@")
    if not at:
        return address
    if (srs := _SRS0.fullmatch(local) or _SRS1.fullmatch(local)) is not None:
        domain, local = srs.groups()
    if (batv := _BATV.fullmatch(local)) is not None:
        local = batv[1]
    base = _cut(local, "+")
    if "=" in base:
        base = _cut(base, "-")
    return normalised(f"{base}@{domain}")


def _cut(local: str, mark: str) -> str:
    """What stands before the mark; all of it where nothing would."""
    return local.partition(mark)[0] or local
