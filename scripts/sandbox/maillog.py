"""What Postfix's log says of a mail: its deliveries, and what smtpd refused. Pure: lines in, facts out."""

import re
from collections.abc import Iterable
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


def deliveries(lines: Iterable[str], queue_id: str) -> list[LoggedDelivery]:
    """Every delivery, or try of one, logged for this queue id, in order."""
    pattern = re.compile(rf"\]: {re.escape(queue_id)}: to=<.*, dsn=([\d.]+), status=(\w+) \((.*)\)$")
    return [LoggedDelivery(*found.groups()) for line in lines if (found := pattern.search(line))]


def refusals(lines: Iterable[str], recipient: str) -> list[str]:
    """Every reply by which smtpd refused this recipient, or a mail to it alone, in order."""
    pattern = re.compile(rf": reject: [A-Z-]+ from \S+: (\d{{3}} .*); from=<.*> to=<{re.escape(recipient)}> proto=")
    return [found[1] for line in lines if (found := pattern.search(line))]
