r"""What Postfix says in the lines of its log: a Line in, a record (types.py) out. Pure.

A remote server writes its reply into the line, and a sender may choose odd local parts, so a delivery is read by
its structure and never searched for a word: from the left, where addresses stand in <…> and a quoted local part
ends at its own quote, up to the first complete ", dsn=…, status=WORD (". What comes after that bracket is the far
end's text and changes nothing.

Source:  Postfix src/smtpd/smtpd.c (also log_whatsup()), src/pickup/pickup.c, src/cleanup/cleanup_message.c,
         cleanup_milter.c, src/*qmgr/qmgr_message.c, qmgr_active.c, src/global/log_adhoc.c (deliveries),
         src/smtp/smtp_trouble.c, src/bounce/bounce_notify_util.c, src/postsuper/postsuper.c,
         src/tls/tls_misc.c tls_log_summary(), src/util/msg_output.c (severities);
         postconf(5) enable_long_queue_ids, smtp_log_tls_feature_status (tls=, from 3.11 on).
Limits:  any text gives a record or None (a line that nothing follows from), in linear time. Postfix cuts a text at
         about 2,000 octets: the reason of a delivery may be cut, a line cut before its outcome is `CutOff`.
BUGS:    with info_log_addr_form=internal Postfix does not quote local parts, and one that holds ">, relay=…,
         status=sent (" can pose as the line's own words. Where a second ", status=" stands in a line, `is_plain`
         is false, and such a line is never evidence against a recipient.
"""

import re
from collections.abc import Callable

from postroom.watcher.lines import Line
from postroom.watcher.records.types import (
    Acted,
    Active,
    AttemptFailed,
    Connected,
    ConnectFailed,
    ConnectionLost,
    CutOff,
    Delivery,
    Disconnected,
    Expired,
    Logged,
    MessageId,
    Notified,
    Operated,
    PickedUp,
    PutOnHold,
    Received,
    Record,
    Removed,
    Skipped,
    Started,
    Statistics,
    Stopping,
    TlsEstablished,
)

# Short ids are upper-case hexadecimal, long ones letters and digits.
_ID = r"(?P<id>(?!NOQUEUE:)[0-9A-Za-z]{5,32})"

_SEVERITIES = ("warning: ", "error: ", "fatal: ", "panic: ")
# Where any word may stand in its place: a long id has no vowels, and a z before the inode.
_CERTAIN_ID = re.compile(
    r"([0-9A-F]{6,20}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,12}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]+): "
)
_ACTION = re.compile(rf"(?:NOQUEUE|{_ID}): (?P<action>[a-z][a-z_-]{{1,39}}): ")
_TLS = re.compile(r"(?:Anonymous|Untrusted|Trusted|Verified) TLS connection (?:established|reused) (?:from|to) ")
_ENVELOPE = re.compile(r"; from=<([^<>]*)>")
_WHOLE_ENVELOPE = re.compile(r"; from=<([^<>]*)>,?(?: to=<[^<>]*>,?)? proto=[A-Z]{1,8},? helo=<")

# How a mail arrives: smtpd, postscreen, pickup, cleanup.
_CLIENT = re.compile(rf"(?:NOQUEUE|{_ID}): client=(?P<client>[^\s,]+)(?P<rest>.*)", re.DOTALL)
_ATTRIBUTE = re.compile(
    r", (orig_queue_id|orig_client|sasl_method|sasl_username|sasl_sender)="
    # A login name may hold ", ": a value ends where the next attribute begins.
    r"(.*?)(?=, (?:orig_queue_id|orig_client|sasl_method|sasl_username|sasl_sender)=|$)",
    re.DOTALL,
)
_MESSAGE_ID = re.compile(rf"{_ID}: (?P<resent>resent-)?message-id=(?P<message_id>.*)", re.DOTALL)
_PICKED_UP = re.compile(
    rf"{_ID}: uid=(?P<uid>-?[0-9]{{1,10}}) from=<(?P<sender>.*)>(?: orig_id=(?P<orig>[0-9A-Za-z]{{5,32}}))?", re.DOTALL
)
_LOST = ("lost connection after ", "timeout after ", "too many errors after ", "SSL_accept error from ")
_ATTRIBUTES_LOOKED_AT = 2_000

# How a mail leaves: qmgr, the delivery agents, bounce, postsuper.
# No possessive quantifiers: those of Python 3.11.2 lose their place in groups. None of these can match in two ways.
# A quoted local part ends at its own quote; an address that begins with a quote is read in no other way.
_ADDRESS = r'<("(?:[^"\\]|\\.)*"[^<>"]*|(?!")[^>]*)>'
# Some programs that pass logs on take the brackets away; then it holds nothing that could end it early.
_BARE = r'[^<>"\s,]+'

_DELIVERY = re.compile(
    rf"{_ID}: to=(?:{_ADDRESS}|({_BARE})), (?:orig_to=(?:{_ADDRESS}|({_BARE})), )?relay=([^,]*), "
    r"(?:conn_use=([0-9]{1,9}), )?"
    # What later versions may add between these.
    r"(?:(?!delay=)[a-z_]+=[^,]*, )*delay=([0-9.]{1,20}), delays=([0-9.]{1,20}(?:/[0-9.]{1,20}){3}), "
    r"(?:tls=([^,]*), )?(?:(?!dsn=)[a-z_]+=[^,]*, )*dsn=([0-9]\.[0-9]{1,3}\.[0-9]{1,3}), "
    r"status=([A-Za-z-]{1,40}) \((.*)",
    re.DOTALL,
)
_IS_DELIVERY = re.compile(rf"{_ID}: to=")
_ACTIVE = re.compile(
    rf"{_ID}: from=(?:<(.*)>|([^<>\s]*)), size=([0-9]{{1,18}}), nrcpt=([0-9]{{1,9}}) \(queue active\)", re.DOTALL
)
_EXPIRED = re.compile(rf"{_ID}: from=<(.*)>, status=((?:force-)?expired), returned to sender", re.DOTALL)
_SHORT = re.compile(rf"{_ID}: (removed|skipped, still being delivered)")
_OPERATED = re.compile(rf"{_ID}: (removed|requeued|placed on hold|released from hold|expired)")
_NOTIFIED = re.compile(
    rf"{_ID}: (sender|postmaster) (non-delivery|delay|delivery status) notification: ([0-9A-Za-z]{{5,32}})"
)
_ATTEMPT_FAILED = re.compile(
    rf"{_ID}: (?:host \S+ (?:said|refused to talk to me): |conversation with |lost connection with |TLS is required|"
    r"Cannot start TLS|Server certificate not |SASL (?:\[CACHED\] )?authentication failed)"
)

_TERMINATING = re.compile(r"terminating on signal [0-9]{1,3}")


def parse_record(line: Line) -> Record | None:
    """What Postfix says in this line; None when it is nothing that is followed here. Never raises."""
    text = line.text
    if text.startswith(_SEVERITIES):
        return _logged(text)
    return _READERS.get(line.daemon, _unfollowed)(text)


def _of_smtpd(text: str) -> Record | None:
    """Sessions, and mail that begins or is refused in them."""
    if text.startswith("connect from "):
        return Connected()
    if text.startswith("disconnect from "):
        # Behind the client's address, in which a stranger's name has no say.
        return Disconnected(text.rpartition("]")[2].strip())
    if ": client=" in text and (found := _CLIENT.fullmatch(text)) is not None:
        queue_id, client, rest = found.groups()
        attributes = dict(_ATTRIBUTE.findall(rest[:_ATTRIBUTES_LOOKED_AT])) if rest else {}
        return Received(queue_id, client, attributes)
    if text.startswith(_LOST):
        return ConnectionLost()
    return _acted(text) or _unfollowed(text)


def _of_postscreen(text: str) -> Record | None:
    """What it refuses; the rest concerns connections alone."""
    return _acted(text) if text.startswith("NOQUEUE: ") else _unfollowed(text)


def _of_pickup(text: str) -> Record | None:
    """Mail that sendmail(1) or postsuper(1) has put into the maildrop."""
    found = _PICKED_UP.fullmatch(text)
    if found is None:
        return _unfollowed(text)
    return PickedUp(found["id"], int(found["uid"]), found["sender"], found["orig"])


def _of_cleanup(text: str) -> Record | None:
    """Message-IDs, and what tables and milters do."""
    if "message-id=" in text and (found := _MESSAGE_ID.fullmatch(text)) is not None:
        queue_id, resent, message_id = found.groups()
        return MessageId(queue_id, message_id, resent is not None)
    acted = _acted(text)
    if acted is None:
        return _unfollowed(text)
    if acted.action in {"hold", "milter-hold"} and acted.queue_id is not None and acted.sender is not None:
        return PutOnHold(acted.queue_id, acted.action, acted.sender)
    return acted


def _of_qmgr(text: str) -> Record | None:
    """The queue; and deliveries that it gives up without an agent, to a destination that is down."""
    if text.endswith(" (queue active)"):
        if (found := _ACTIVE.fullmatch(text)) is not None:
            queue_id, sender, bare, size, count = found.groups()
            return Active(queue_id, sender if sender is not None else bare, int(size), int(count))
    elif (found := _SHORT.fullmatch(text)) is not None:
        return Removed(found["id"]) if found[2] == "removed" else Skipped(found["id"])
    elif text.endswith(" returned to sender") and (found := _EXPIRED.fullmatch(text)) is not None:
        return Expired(found["id"], found[2], found[3])
    return _delivery(text) or _unfollowed(text)


def _of_agent(text: str) -> Record | None:
    """local, virtual, pipe, error, retry, discard."""
    return _delivery(text) or _acted(text) or _unfollowed(text)


def _of_smtp(text: str) -> Record | None:
    """smtp and lmtp, which also log servers that they tried in vain."""
    if (found := _delivery(text)) is not None:
        return found
    if text.startswith("connect to "):
        return ConnectFailed()
    if (failed := _ATTEMPT_FAILED.match(text)) is not None:
        return AttemptFailed(failed["id"])
    return _acted(text) or _unfollowed(text)


def _of_bounce(text: str) -> Record | None:
    """Notices that bounce(8) has queued to the sender or the postmaster."""
    found = _NOTIFIED.fullmatch(text)
    return _unfollowed(text) if found is None else Notified(*found.groups())


def _of_postsuper(text: str) -> Record | None:
    """What an operator did to a queue file."""
    found = _OPERATED.fullmatch(text)
    return _unfollowed(text) if found is None else Operated(*found.groups())


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


def _of_master(text: str) -> Record | None:
    if text.startswith("daemon started -- "):
        return Started()
    if text == "stopping the Postfix mail system" or _TERMINATING.fullmatch(text) is not None:
        return Stopping()
    return None


def _acted(text: str) -> Acted | None:
    """`ID: action: …`, or the same with NOQUEUE."""
    found = _ACTION.match(text)
    if found is None:
        return None
    return Acted(found["id"], found["action"], _envelope_sender(text) if found["id"] else None)


def _envelope_sender(text: str) -> str | None:
    """The sender of the envelope at the end of a line of `_acted`; None where it is not certain.

    Before the envelope stands a header or a reply, in it the HELO name: both are strangers' to choose.
    """
    whole = set(_WHOLE_ENVELOPE.findall(text))
    if whole:
        return whole.pop() if len(whole) == 1 else None
    envelopes = _ENVELOPE.findall(text)
    return envelopes[-1] if envelopes else None


def _logged(text: str) -> Logged:
    severity, _, rest = text.partition(": ")
    found = _CERTAIN_ID.match(rest)
    return Logged(severity, None if found is None else found[1])


def _unfollowed(text: str) -> Record | None:
    """What any program may log, and nothing follows from."""
    if _TLS.match(text) is not None:
        return TlsEstablished()
    return Statistics() if text.startswith("statistics: ") else None


_READERS: dict[str, Callable[[str], Record | None]] = {
    "smtpd": _of_smtpd,
    "qmqpd": _of_smtpd,
    "postscreen": _of_postscreen,
    "pickup": _of_pickup,
    "cleanup": _of_cleanup,
    **dict.fromkeys(("qmgr", "nqmgr", "oqmgr"), _of_qmgr),
    **dict.fromkeys(("smtp", "lmtp", "relay"), _of_smtp),
    **dict.fromkeys(("local", "virtual", "pipe", "error", "retry", "discard"), _of_agent),
    **dict.fromkeys(("bounce", "defer", "trace"), _of_bounce),
    "postsuper": _of_postsuper,
    "postfix-script": _of_master,
    "master": _of_master,
}
"""Who says what, by the name of the program."""
