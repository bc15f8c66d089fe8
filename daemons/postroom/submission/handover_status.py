"""The state of the hand-over, which its parts share and the API looks at.

It is all that the two rooms know of each other: the API says that something may be due, and shows an outage.
"""

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PostfixOutage:
    """Postfix cannot be reached: why, and when it is tried again (Unix seconds)."""

    reason: str
    next_try: float
    failures: int


class HandoverStatus:
    """The state of the hand-over as a whole.

    Attributes:
        outage:   set by the hand-over while Postfix cannot be reached.
        due:      set when something new may be due; the hand-over clears it before it looks.
        doubtful: set when a delivery came to be in doubt, or Postfix can be reached again and so its queue asked.
        draining: set when no delivery is to be begun any more: what is under way ends, nothing is tried again.
    """

    def __init__(self) -> None:
        self.outage: PostfixOutage | None = None
        self.due = asyncio.Event()
        self.doubtful = asyncio.Event()
        self.draining = asyncio.Event()
