"""Mail in Postfix's queue that is for a return-path domain: brought to the watcher before its way there is taken away.

Without the way Postfix would look for the domain in DNS, find itself, and drop the mail: a bounce goes back to nobody.

Source:  postqueue(1) -j, -i; RFC 3464 (a bounce has no sender).
Limits:  for root.
"""

import json
from collections.abc import Collection, Iterable

from postroom.setup.host import run


def on_the_way(domains: Collection[str]) -> dict[str, list[str]]:
    """Name of each queue -> ids of the mails there that are for one of these domains."""
    return for_domains(run("postqueue", "-j"), domains) if domains else {}


def for_domains(queue: str, domains: Collection[str]) -> dict[str, list[str]]:
    """The same, of what `postqueue -j` printed."""
    found: dict[str, list[str]] = {}
    for mail in map(json.loads, queue.splitlines()):
        addresses = (recipient["address"].lower().rpartition("@") for recipient in mail["recipients"])
        if any(at and domain in domains for _, at, domain in addresses):
            found.setdefault(mail["queue_name"], []).append(mail["queue_id"])
    return found


def deliver(queue_ids: Iterable[str]) -> None:
    """Have Postfix try these of the deferred queue now."""
    for queue_id in queue_ids:
        run("postqueue", "-i", queue_id)
