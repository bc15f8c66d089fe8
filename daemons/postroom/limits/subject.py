"""What is counted, and under which keys: a request of a client, or mail with its sender and recipients. Pure.

A subject says for each kind of key which values there are, and what is counted under each. Most kinds
have one value; a message with three recipients has three of kind `recipient`. What the message does not
have is left out: the null sender, for one, is no sender to count.

Privacy: values that are addresses or logins come hashed (mail/hashes.py, `private`).
Flow:    policy/, milter/, submission/ -> of_request, of_mail -> rules.demands
"""

import ipaddress
from collections import Counter
from collections.abc import Mapping
from typing import Literal

Key = Literal["client", "sender", "recipient", "recipient_domain", "login", "uid", "client_address", "server"]
Unit = Literal["requests", "messages", "recipients"]
Costs = Mapping[Unit, int]
Subject = Mapping[Key, Mapping[str, Costs]]


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


def client_network(address: str) -> str:
    """Who an IP address is counted as: IPv4 as it is, IPv6 as its /64; "" when it is none.

    A single IPv6 client has a whole /64 to choose its addresses from (RFC 6177, RFC 8981).
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(ip) >> 64 << 64, 64)))
