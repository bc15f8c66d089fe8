"""Mail in Postfix's queue that needs what uninstallation removes: it is found here, and sent on before that.

The sendmail door: a mail that came by pickup while the door stood bears the door's transport in its queue file; without
it the mail would be stranded ("mail transport unavailable"). `postsuper -r` brings it back to pickup, which sends it on
as if there had never been a door.

The return path: without its route Postfix would look for the domain in DNS, find itself, and drop the mail: a bounce
goes back to nobody.

Source:  Postfix src/global/rec_type.h (REC_TYPE_FILT); postqueue(1) -j; RFC 3464 (a bounce has no sender).
Limits:  for root. A mail that has the door's transport in its text is requeued too, which does no harm.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from postroom.postfix.queue_commands import queued_mails
from postroom.setup.host import SPOOL

DOOR_TRANSPORT = b"postroom-door:["
QUEUES_ON_THE_WAY = ("incoming", "active", "deferred")
"""The queues that Postfix delivers from by itself: all but `hold` (and `maildrop`, before pickup)."""

_QUEUE_ID = re.compile(r"[0-9A-Za-z]{1,32}")


def at_the_door(queue: str, spool: Path = SPOOL) -> list[str]:
    """Queue ids in one queue of mail that has yet to pass the sendmail door."""
    found = []
    for path in (spool / queue).rglob("*"):
        try:
            if _QUEUE_ID.fullmatch(path.name) and path.is_file() and DOOR_TRANSPORT in path.read_bytes():
                found.append(path.name)
        except FileNotFoundError:
            continue  # delivered meanwhile
    return found


def to_the_return_path(domains: Collection[str]) -> dict[str, list[str]]:
    """Name of each queue -> ids of the mails there that are for one of these domains."""
    return for_domains(queued_mails(), domains) if domains else {}


def for_domains(mails: Iterable[Mapping[str, Any]], domains: Collection[str]) -> dict[str, list[str]]:
    """The same, of mails as `postqueue -j` lists them."""
    found: dict[str, list[str]] = {}
    for mail in mails:
        addresses = (recipient["address"].lower().rpartition("@") for recipient in mail["recipients"])
        if any(at and domain in domains for _, at, domain in addresses):
            found.setdefault(mail["queue_name"], []).append(mail["queue_id"])
    return found
