"""Postfix's queue in numbers. Pure.

Apart from showq.py, which counts it over a socket, so that the pure modules of the monitor can name what was counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

QUEUES = ("maildrop", "incoming", "active", "deferred", "hold")
"""Postfix's queues, in the way of a mail."""


@dataclass(frozen=True, slots=True)
class QueueCount:
    """How much is in Postfix's queue.

    Attributes:
        mails:     queue name → mails in it; all QUEUES are there.
        oldest_at: when the oldest arrived, Unix seconds; None when the queue is empty.
        is_whole:  False: the time was up, and there is more than was counted.
    """

    mails: Mapping[str, int]
    oldest_at: int | None
    is_whole: bool
