"""Why a message was not signed: stable words, in the log, the metrics and docs/operating.md."""

from enum import StrEnum


class Unsigned(StrEnum):
    INBOUND = "inbound"
    """From a client that neither logged in nor is in one of our networks."""
    FROM_MISSING = "from_missing"
    FROM_SEVERAL = "from_several"
    """Several From fields, or several addresses in one."""
    FROM_UNPARSEABLE = "from_unparseable"
    """A From that programs could read differently."""
    DOMAIN_NOT_OURS = "domain_not_ours"
    """The domain of From is none of `domains`; a subdomain of one is not it."""
    NO_KEY = "no_key"
    """The domain is ours and has no `dkim`."""
    ALREADY_SIGNED = "already_signed"
    """It came with a signature of ours that holds."""
    HEADER_TOO_LARGE = "header_too_large"
    """Its octets, its fields, or the names of those to be signed are too many (message.py)."""
    SENDER_NOT_ALLOWED = "sender_not_allowed"
    """`senders` does not let its sender use the domain of From."""
    ORIGIN_UNKNOWN = "origin_unknown"
    """At the sendmail door, requeued after it had passed a door or not from sendmail(1): whose it is, is not known."""
