"""How a mail arrives: smtpd, postscreen, pickup, cleanup. Pure.

Source:  Postfix src/smtpd/smtpd.c, src/pickup/pickup.c, src/cleanup/cleanup_message.c, cleanup_milter.c.
"""

import re

from postroom.watcher.records.common import ID, acted, envelope_sender, unfollowed
from postroom.watcher.records.types import (
    Acted,
    Connected,
    ConnectionLost,
    Disconnected,
    MessageId,
    PickedUp,
    PutOnHold,
    Received,
    Record,
)

_CLIENT = re.compile(rf"(?:NOQUEUE|{ID}): client=(?P<client>[^\s,]+)(?P<rest>.*)", re.DOTALL)
_ATTRIBUTE = re.compile(
    r", (orig_queue_id|orig_client|sasl_method|sasl_username|sasl_sender)="
    # A login name may hold ", ": a value ends where the next attribute begins.
    r"(.*?)(?=, (?:orig_queue_id|orig_client|sasl_method|sasl_username|sasl_sender)=|$)",
    re.DOTALL,
)
_MESSAGE_ID = re.compile(rf"{ID}: (?P<resent>resent-)?message-id=(?P<message_id>.*)", re.DOTALL)
_PICKED_UP = re.compile(
    rf"{ID}: uid=(?P<uid>-?[0-9]{{1,10}}) from=<(?P<sender>.*)>(?: orig_id=(?P<orig>[0-9A-Za-z]{{5,32}}))?", re.DOTALL
)
_LOST = ("lost connection after ", "timeout after ", "too many errors after ", "SSL_accept error from ")
_ATTRIBUTES_LOOKED_AT = 2_000


def of_smtpd(text: str) -> Record | None:
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
    return acted(text) or unfollowed(text)


def of_postscreen(text: str) -> Record | None:
    """What it refuses; the rest concerns connections alone."""
    return acted(text) if text.startswith("NOQUEUE: ") else unfollowed(text)


def of_pickup(text: str) -> Record | None:
    """Mail of sendmail(1)."""
    found = _PICKED_UP.fullmatch(text)
    if found is None:
        return unfollowed(text)
    return PickedUp(found["id"], int(found["uid"]), found["sender"], found["orig"])


def of_cleanup(text: str) -> Record | None:
    """Message-IDs, and what tables and milters do."""
    if "message-id=" in text and (found := _MESSAGE_ID.fullmatch(text)) is not None:
        queue_id, resent, message_id = found.groups()
        return MessageId(queue_id, message_id, resent is not None)
    record = acted(text)
    if record is None:
        return unfollowed(text)
    if record.action in {"hold", "milter-hold"} and record.queue_id is not None:
        sender = envelope_sender(text)
        return (
            Acted(record.queue_id, record.action, None)
            if sender is None
            else PutOnHold(record.queue_id, record.action, sender)
        )
    return record
