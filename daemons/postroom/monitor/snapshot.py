"""What was found out about this host at one moment. Pure.

Whatever could not be read is Unanswered in its place; dashboard, /healthz and metrics are made from what there is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from postroom.monitor.samples import Series
from postroom.postfix.queue import QueueCount
from postroom.store.track.history import OutcomeCount

SLOT_S, SLOTS = 300, 12
"""The last hour, in slots of five minutes. They end at whole fives of the clock, so the last one is still filling."""

LATE_S = 15.0
"""A daemon that was silent for so long has missed two beats (runtime/metrics.py, BEAT_S)."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Why there is no answer: what, where, and where it is known, how to mend."""

    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of this host at one moment, as far as it could be read.

    Attributes:
        at:        Unix seconds.
        since:     when the first slot of `outcomes` began.
        waves:     bursts of suppressions that wait for review.
        ages:      daemon → seconds since the last beat of each of its processes, the youngest first.
        grown:     counter → its growth in the last hour, or since the monitor began to watch.
        watched_s: how long that is; an hour at most.
    """

    at: float
    since: float
    shared: Unanswered | None
    limits: Unanswered | None
    outcomes: Sequence[OutcomeCount] | Unanswered
    queue: QueueCount | Unanswered
    waves: int
    ages: Mapping[str, Sequence[float]]
    gauges: Mapping[Series, float]
    totals: Mapping[Series, float]
    grown: Mapping[str, float]
    watched_s: float
