"""What is counted, and under which keys: a request of a client, or mail with its sender and recipients. Pure.

A subject says for each kind of key which values there are, and what is counted under each. Most kinds
have one value; a message with three recipients has three of kind `recipient`. What the message does not
have is left out: the null sender, for one, is no sender to count.

A sender is counted without the parts that differ from message to message; with one each message would be a sender of
its own, and no limit would hold:

    anna+news@example.org                                  anna@example.org   subaddress (RFC 5233)
    list+jane=example.net@example.org                      list@example.org   VERP as Postfix writes it
    list-return-12-jane=example.net@example.org            list@example.org   VERP as ezmlm writes it
    prvs=0123abcdef=anna@example.org                       anna@example.org   BATV
    SRS0=Ht5k=7X=example.net=jane@forward.example.org      jane@example.net   SRS: who sent it to the forwarder
    SRS1=Qx9=other.example==Ht5k=7X=example.net=jane@…     jane@example.net   the same, forwarded twice

Privacy: values that are addresses or logins come hashed (mail/recipients.py, `private`).
Flow:    policy/, milter/, submission/ -> of_request, of_mail -> rules.demands
Source:  VERP_README of Postfix; draft-levine-smtp-batv-01; libsrs2 (SRS0, SRS1).
BUGS:    a number in the local part that is marked by nothing (bounce-4711@…) is not known as one.
         Who may choose the envelope sender freely may choose a new one for each message: limit by login,
         client or client_address as well.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Mapping
from typing import Literal

from postroom.mail.addresses import normalised

Key = Literal["client", "sender", "recipient", "recipient_domain", "login", "uid", "client_address", "server"]
Unit = Literal["requests", "messages", "recipients"]
Costs = Mapping[Unit, int]
Subject = Mapping[Key, Mapping[str, Costs]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

UNKNOWN_UID = "unknown"
"""Value of the key `uid`: a user of this host, but nobody can tell which."""

_SRS0 = re.compile(r"srs0[=+-][^=]*=[^=]*=([^=]+)=(.+)", re.IGNORECASE | re.DOTALL)
_SRS1 = re.compile(r"srs1[=+-][^=]*=[^=]*=[=+-][^=]*=[^=]*=([^=]+)=(.+)", re.IGNORECASE | re.DOTALL)
_BATV = re.compile(r"prvs=[0-9a-z]+=(.+)", re.IGNORECASE | re.DOTALL)


def of_request(client: str) -> Subject:
    """One request of a client of the API."""
    return {"client": {client: {"requests": 1}}}


def of_mail(singles: Mapping[Key, str], recipients: Mapping[str, str], recipient_count: int) -> Subject:
    """One message.

    Args:
        singles:         the kinds of key a message has one of; "" is one it does not have.
        recipients:      those that are known: their hashes, each with its domain; "" is none to count under.
        recipient_count: how many it has.
    """
    whole: Costs = {"messages": 1, "recipients": recipient_count}
    subject: dict[Key, Mapping[str, Costs]] = {key: {value: whole} for key, value in singles.items() if value}
    subject["recipient"] = {recipient: {"messages": 1, "recipients": 1} for recipient in recipients}
    subject["recipient_domain"] = {
        domain: {"messages": 1, "recipients": count}
        for domain, count in Counter(filter(None, recipients.values())).items()
    }
    return subject


def beyond(counted: Subject, subject: Subject) -> Subject:
    """What of `subject` is not in `counted` yet: what one more recipient adds to a message, for example."""
    return {
        key: {
            value: {unit: cost - counted.get(key, {}).get(value, {}).get(unit, 0) for unit, cost in costs.items()}
            for value, costs in values.items()
        }
        for key, values in subject.items()
    }


def client_network(address: Address) -> str:
    """Who an IP address is counted as: IPv4 as it is, IPv6 as its /64.

    A single IPv6 client has a whole /64 to choose its addresses from (RFC 6177, RFC 8981). One on this host has all of
    127.0.0.0/8 and whatever else the host is reached by, so its address is THIS_HOST (identity/local_client.py) here.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


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
