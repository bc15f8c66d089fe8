"""What Postfix's log says of a mail: its deliveries, and what smtpd refused. Pure: lines in, facts out."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class LoggedDelivery:
    """One line `to=<…>, … status=…`."""

    dsn: str
    """The enhanced status code, such as 2.0.0."""
    status: str
    """sent, deferred, bounced or expired."""
    reply: str
    """What stands in brackets behind it."""

    @property
    def next_queue_id(self) -> str:
        """As what a Postfix took it that it went to: the one behind the sendmail door; else empty."""
        return self.reply.rpartition(": queued as ")[2] if ": queued as " in self.reply else ""


def deliveries(lines: Iterable[str], queue_id: str) -> list[LoggedDelivery]:
    """Every delivery, or try of one, logged for this queue id, in order."""
    pattern = re.compile(rf"\]: {re.escape(queue_id)}: to=<.*, dsn=([\d.]+), status=(\w+) \((.*)\)$")
    return [LoggedDelivery(*found.groups()) for line in lines if (found := pattern.search(line))]


def trail(lines: Sequence[str], message_id: str) -> list[str]:
    """The queue ids that a mail of sendmail(1) had one after the other; none before pickup(8) took it."""
    pattern = re.compile(rf"/cleanup\[\d+\]: (\w+): message-id={re.escape(message_id)}$")
    found = next((found for line in lines if (found := pattern.search(line))), None)
    queue_ids = []
    queue_id = found[1] if found else ""
    while queue_id:
        queue_ids.append(queue_id)
        queue_id = next((one.next_queue_id for one in deliveries(lines, queue_id) if one.next_queue_id), "")
    return queue_ids


def refusals(lines: Iterable[str], recipient: str) -> list[str]:
    """Every reply by which smtpd refused this recipient, or a mail to it alone, in order."""
    pattern = re.compile(rf": reject: [A-Z-]+ from \S+: (\d{{3}} .*); from=<.*> to=<{re.escape(recipient)}> proto=")
    return [found[1] for line in lines if (found := pattern.search(line))]
