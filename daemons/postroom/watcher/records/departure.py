r"""How a mail leaves: qmgr, the delivery agents, bounce, postsuper. Pure.

A remote server writes its reply into the line, and a sender may choose odd local parts, so a delivery is read by
its structure and never searched for a word: from the left, where addresses stand in <…> and a quoted local part
ends at its own quote, up to the first complete ", dsn=…, status=WORD (". What comes after that bracket is the far
end's text and changes nothing.

Source:  Postfix src/global/log_adhoc.c (deliveries), src/*qmgr/qmgr_message.c, qmgr_active.c,
         src/smtp/smtp_trouble.c, src/bounce/bounce_notify_util.c, src/postsuper/postsuper.c;
         postconf(5) smtp_log_tls_feature_status (tls=, from 3.11 on).
Limits:  linear time. Postfix cuts a text at about 2,000 octets: the reason of a delivery may be cut, a line cut
         before its outcome is `CutOff`.
BUGS:    with info_log_addr_form=internal Postfix does not quote local parts, and one that holds ">, relay=…,
         status=sent (" can pose as the line's own words. Where a second ", status=" stands in a line, `is_plain`
         is false, and such a line is never evidence against a recipient.
"""

import re

from postroom.watcher.records.common import ID, acted, unfollowed
from postroom.watcher.records.types import (
    Active,
    AttemptFailed,
    ConnectFailed,
    CutOff,
    Delivery,
    Expired,
    Notified,
    Operated,
    Record,
    Removed,
    Skipped,
)

# No possessive quantifiers: those of Python 3.11.2 lose their place in groups. None of these can match in two ways.
# A quoted local part ends at its own quote; an address that begins with a quote is read in no other way.
_ADDRESS = r'<("(?:[^"\\]|\\.)*"[^<>"]*|(?!")[^>]*)>'
# Some programs that pass logs on take the brackets away; then it holds nothing that could end it early.
_BARE = r'[^<>"\s,]+'

_DELIVERY = re.compile(
    rf"{ID}: to=(?:{_ADDRESS}|({_BARE})), (?:orig_to=(?:{_ADDRESS}|({_BARE})), )?relay=([^,]*), "
    r"(?:conn_use=([0-9]{1,9}), )?"
    # What later versions may add between these.
    r"(?:(?!delay=)[a-z_]+=[^,]*, )*delay=([0-9.]{1,20}), delays=([0-9.]{1,20}(?:/[0-9.]{1,20}){3}), "
    r"(?:tls=([^,]*), )?(?:(?!dsn=)[a-z_]+=[^,]*, )*dsn=([0-9]\.[0-9]{1,3}\.[0-9]{1,3}), "
    r"status=([A-Za-z-]{1,40}) \((.*)",
    re.DOTALL,
)
_IS_DELIVERY = re.compile(rf"{ID}: to=")
_ACTIVE = re.compile(
    rf"{ID}: from=(?:<(.*)>|([^<>\s]*)), size=([0-9]{{1,18}}), nrcpt=([0-9]{{1,9}}) \(queue active\)", re.DOTALL
)
_EXPIRED = re.compile(rf"{ID}: from=<(.*)>, status=((?:force-)?expired), returned to sender", re.DOTALL)
_SHORT = re.compile(rf"{ID}: (removed|skipped, still being delivered)")
_OPERATED = re.compile(rf"{ID}: (removed|requeued|placed on hold|released from hold|expired)")
_NOTIFIED = re.compile(
    rf"{ID}: (sender|postmaster) (non-delivery|delay|delivery status) notification: ([0-9A-Za-z]{{5,32}})"
)
_ATTEMPT_FAILED = re.compile(
    rf"{ID}: (?:host \S+ (?:said|refused to talk to me): |conversation with |lost connection with |TLS is required|"
    r"Cannot start TLS|Server certificate not |SASL (?:\[CACHED\] )?authentication failed)"
)


def of_qmgr(text: str) -> Record | None:
    """The queue; and deliveries that it gives up without an agent, to a destination that is down."""
    if text.endswith(" (queue active)"):
        if (found := _ACTIVE.fullmatch(text)) is not None:
            queue_id, sender, bare, size, count = found.groups()
            return Active(queue_id, sender if sender is not None else bare, int(size), int(count))
    elif (found := _SHORT.fullmatch(text)) is not None:
        return Removed(found["id"]) if found[2] == "removed" else Skipped(found["id"])
    elif text.endswith(" returned to sender") and (found := _EXPIRED.fullmatch(text)) is not None:
        return Expired(found["id"], found[2], found[3])
    return _delivery(text) or unfollowed(text)


def of_agent(text: str) -> Record | None:
    """local, virtual, pipe, error, retry, discard."""
    return _delivery(text) or acted(text) or unfollowed(text)


def of_smtp(text: str) -> Record | None:
    """smtp and lmtp, which also speak of servers they try in vain."""
    if (found := _delivery(text)) is not None:
        return found
    if text.startswith("connect to "):
        return ConnectFailed()
    if (failed := _ATTEMPT_FAILED.match(text)) is not None:
        return AttemptFailed(failed["id"])
    return acted(text) or unfollowed(text)


def of_bounce(text: str) -> Record | None:
    """Notices to senders."""
    found = _NOTIFIED.fullmatch(text)
    return unfollowed(text) if found is None else Notified(*found.groups())


def of_postsuper(text: str) -> Record | None:
    """What an operator does."""
    found = _OPERATED.fullmatch(text)
    return unfollowed(text) if found is None else Operated(*found.groups())


def _delivery(text: str) -> Delivery | CutOff | None:
    found = _DELIVERY.fullmatch(text)
    if found is None:
        return None if _IS_DELIVERY.match(text) is None else CutOff()
    # fmt: off
    (queue_id, to, bare_to, orig_to, bare_orig_to, relay, conn_use, delay, delays, tls, dsn, status,
     reason) = found.groups()
    # fmt: on
    is_whole = reason.endswith(")")
    return Delivery(
        queue_id,
        bare_to if to is None else to,
        bare_orig_to if orig_to is None else orig_to,
        relay,
        conn_use or "",
        delay,
        delays,
        tls,
        dsn,
        status,
        reason[:-1] if is_whole else reason,
        text.count(", status=") == 1,
        is_whole,
        to is not None,
    )
