"""Named fault points: places where a test kills the daemon, to show that nothing is lost there.

Off unless $POSTROOM_FAULT is set: `point` or `point:n`; the process kills
itself (SIGKILL) when it comes to that point for the n-th time (default 1).
Refused outside a test bed: $POSTROOM_TEST_BED must name a folder that holds
the state of this daemon, so that a stray variable cannot kill a real one.
Each kill is written to `faults.log` in that folder before it happens; that
file is how a test shows that the point was really hit.
"""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

from postroom.runtime.lifecycle import StartRefused

SUBMISSION_POINTS = (
    "accept.before_commit",
    "accept.committed",
    "claim.committed",
    "handing.committed",
    "data.sent",
    "data.dot_sent",
    "queued.before_commit",
    "queued.committed",
)
WATCHER_POINTS = ("reports.before_commit", "reports.committed")
POINTS = (*SUBMISSION_POINTS, *WATCHER_POINTS)


class FaultPointsRefused(StartRefused):
    """$POSTROOM_FAULT is set where it must not be, or names no point."""


class FaultPoints:
    """The armed fault point of this process, or none."""

    def __init__(self, point: str | None = None, countdown: int = 0, record: Path | None = None) -> None:
        self._point = point
        self._countdown = countdown
        self._record = record

    def reach(self, point: str) -> None:
        """Say that execution is at `point`; dies here when it is the armed one and its count is reached."""
        if point != self._point:
            return
        self._countdown -= 1
        if self._countdown > 0:
            return
        assert self._record is not None
        fd = os.open(self._record, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.write(fd, f"{point}\n".encode("ascii"))
        os.fsync(fd)
        os.kill(os.getpid(), signal.SIGKILL)


def armed_faults(environment: Mapping[str, str], state_dir: Path) -> FaultPoints:
    """The faults the environment asks for.

    Raises:
        FaultPointsRefused: not in a test bed, or no such point.
    """
    wanted = environment.get("POSTROOM_FAULT")
    if wanted is None:
        return FaultPoints()
    bed = environment.get("POSTROOM_TEST_BED")
    if not bed or not state_dir.resolve().is_relative_to(Path(bed).resolve()):
        raise FaultPointsRefused(
            "$POSTROOM_FAULT is set, but fault points are for tests only: this state directory is not in a test bed; "
            "mend: unset POSTROOM_FAULT"
        )
    point, _, count = wanted.partition(":")
    if point not in POINTS:
        raise FaultPointsRefused(f"$POSTROOM_FAULT: no point {point!r}; there are: {', '.join(POINTS)}")
    if count and not (count.isascii() and count.isdigit() and int(count) > 0):
        raise FaultPointsRefused(f"$POSTROOM_FAULT: {count!r} is not a count of 1 or more")
    return FaultPoints(point, int(count or 1), Path(bed) / "faults.log")
