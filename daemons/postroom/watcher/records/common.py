r"""Parts that lines of several programs share. Pure.

Source:  Postfix src/util/msg_output.c (severities), src/smtpd/smtpd.c log_whatsup(), src/cleanup/cleanup_message.c,
         src/tls/tls_misc.c tls_log_summary(), postconf(5) enable_long_queue_ids.
"""

import re

from postroom.watcher.records.types import Acted, Logged, Record, Statistics, TlsEstablished

# Short ids are upper-case hexadecimal, long ones letters and digits.
ID = r"(?P<id>(?!NOQUEUE:)[0-9A-Za-z]{5,32})"

SEVERITIES = ("warning: ", "error: ", "fatal: ", "panic: ")
# Where any word may stand in its place: a long id has no vowels, and a z before the inode.
_CERTAIN_ID = re.compile(
    r"([0-9A-F]{6,20}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,12}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]+): "
)
_ACTION = re.compile(rf"(?:NOQUEUE|{ID}): (?P<action>[a-z][a-z_-]{{1,39}}): ")
_TLS = re.compile(r"(?:Anonymous|Untrusted|Trusted|Verified) TLS connection (?:established|reused) (?:from|to) ")
_ENVELOPE = re.compile(r"; from=<([^<>]*)>")
_WHOLE_ENVELOPE = re.compile(r"; from=<([^<>]*)>,?(?: to=<[^<>]*>,?)? proto=[A-Z]{1,8},? helo=<")


def acted(text: str) -> Acted | None:
    """`ID: action: …`, or the same with NOQUEUE."""
    found = _ACTION.match(text)
    if found is None:
        return None
    return Acted(found["id"], found["action"], envelope_sender(text) if found["id"] else None)


def envelope_sender(text: str) -> str | None:
    """The sender of the envelope at the end of a line of `acted`; None where it is not certain.

    Before the envelope stands a header or a reply, in it the HELO name: both are strangers' to choose.
    """
    whole = set(_WHOLE_ENVELOPE.findall(text))
    if whole:
        return whole.pop() if len(whole) == 1 else None
    envelopes = _ENVELOPE.findall(text)
    return envelopes[-1] if envelopes else None


def logged(text: str) -> Logged | None:
    """A line with a severity."""
    if not text.startswith(SEVERITIES):
        return None
    severity, _, rest = text.partition(": ")
    found = _CERTAIN_ID.match(rest)
    return Logged(severity, None if found is None else found[1])


def unfollowed(text: str) -> Record | None:
    """What any program may say and nothing follows from."""
    if _TLS.match(text) is not None:
        return TlsEstablished()
    return Statistics() if text.startswith("statistics: ") else None
