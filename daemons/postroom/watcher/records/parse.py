"""Lines to records: whose words are read in which way. Pure."""

import re
from collections.abc import Callable

from postroom.watcher.lines import Line
from postroom.watcher.records.arrival import of_cleanup, of_pickup, of_postscreen, of_smtpd
from postroom.watcher.records.common import SEVERITIES, logged, unfollowed
from postroom.watcher.records.departure import of_agent, of_bounce, of_postsuper, of_qmgr, of_smtp
from postroom.watcher.records.types import Record, Started, Stopping

_TERMINATING = re.compile(r"terminating on signal [0-9]{1,3}")


def record(line: Line) -> Record | None:
    """What Postfix says in this line; None when it is nothing that is followed here. Never raises."""
    text = line.text
    if text.startswith(SEVERITIES):
        return logged(text)
    return _READERS.get(line.daemon, unfollowed)(text)


def _of_master(text: str) -> Record | None:
    if text.startswith("daemon started -- "):
        return Started()
    if text == "stopping the Postfix mail system" or _TERMINATING.fullmatch(text) is not None:
        return Stopping()
    return None


_READERS: dict[str, Callable[[str], Record | None]] = {
    "smtpd": of_smtpd,
    "qmqpd": of_smtpd,
    "postscreen": of_postscreen,
    "pickup": of_pickup,
    "cleanup": of_cleanup,
    **dict.fromkeys(("qmgr", "nqmgr", "oqmgr"), of_qmgr),
    **dict.fromkeys(("smtp", "lmtp", "relay"), of_smtp),
    **dict.fromkeys(("local", "virtual", "pipe", "error", "retry", "discard"), of_agent),
    **dict.fromkeys(("bounce", "defer", "trace"), of_bounce),
    "postsuper": of_postsuper,
    "postfix-script": _of_master,
    "master": _of_master,
}
"""Who says what, by the name of the program."""
