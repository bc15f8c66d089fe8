"""The store's clock: Unix time that no step of the system's clock moves.

Limits that followed CLOCK_REALTIME would be freed by a step forward and frozen by a
step back. So the store reads CLOCK_BOOTTIME, which only ever runs on (through suspend
too), and adds an offset to Unix time that is fixed once per boot and kept in the store
file: all processes of the host, whenever they started, read the same time.

At a new boot the offset is taken afresh from CLOCK_REALTIME, but never so that time
goes back behind what the store has seen: a machine that wakes with its clock in 1970
goes on where it stopped.

BUGS: a clock that was wrong when the store was first opened in a boot stays wrong here
      until the next boot. Spans are right all the same, and spans are all that limits use.
      Time namespaces with their own boottime offset would read another time; systemd and
      container engines make none unless told to.
Source: clock_gettime(2), "CLOCK_BOOTTIME".
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from postroom.store.errors import StoreUnavailable

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boottime_s() -> float:
    """Seconds since the host booted, time suspended included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boottime_ms() -> int:
    """The same in whole milliseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def boot_id() -> str:
    """The id of this boot.

    Raises:
        StoreUnavailable: /proc does not show it.
    """
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError as error:
        raise StoreUnavailable(
            f"{BOOT_ID}: {error.strerror}; without it the store cannot tell boots apart; "
            "mend: mount /proc, and do not set ProcSubset=pid in the unit"
        ) from error


def milliseconds(seconds: float) -> int:
    """Seconds as whole milliseconds, in which all engines count."""
    # Rounded, not cut: 1.1 s is 1100 ms although the float lies just below.
    return int(seconds * 1000 + 0.5)


@dataclass(frozen=True, slots=True)
class TimeSources:
    """What the system tells about time; tests bring their own."""

    realtime_ms: Callable[[], int]
    boottime_ms: Callable[[], int]
    boot_id: Callable[[], str]


SYSTEM = TimeSources(
    realtime_ms=lambda: time.clock_gettime_ns(time.CLOCK_REALTIME) // 1_000_000,
    boottime_ms=boottime_ms,
    boot_id=boot_id,
)


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where Unix time stands against CLOCK_BOOTTIME in one boot."""

    boot_id: str
    offset_ms: int


def anchored(kept: Anchor | None, sources: TimeSources, latest_ms: Callable[[], int]) -> Anchor:
    """The anchor of this boot: the kept one, or a new one not behind the latest time the store has seen.

    Args:
        latest_ms: asked only at a new boot; 0 when the store is empty.
    """
    boot_id = sources.boot_id()
    if kept is not None and kept.boot_id == boot_id:
        return kept
    return Anchor(boot_id, max(sources.realtime_ms(), latest_ms()) - sources.boottime_ms())


class Clock:
    """Reads the store's time.

    Args:
        anchor: as kept in the store file (sqlite/timed_file.py).
    """

    def __init__(self, anchor: Anchor, sources: TimeSources) -> None:
        self._offset_ms = anchor.offset_ms
        self._boottime_ms = sources.boottime_ms

    def now_ms(self) -> int:
        return self._boottime_ms() + self._offset_ms
