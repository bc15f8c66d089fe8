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

import apsw

from postroom.store.boot import boot_id, boottime_ms

SCHEMA = """
CREATE TABLE clock (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    boot_id   TEXT NOT NULL,
    offset_ms INTEGER NOT NULL  -- Unix time minus CLOCK_BOOTTIME, fixed for this boot
) STRICT;
"""


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
        anchor: as kept in the store file; see `open_clock`.
    """

    def __init__(self, anchor: Anchor, sources: TimeSources) -> None:
        self._offset_ms = anchor.offset_ms
        self._boottime_ms = sources.boottime_ms

    def now_ms(self) -> int:
        return self._boottime_ms() + self._offset_ms


def open_clock(connection: apsw.Connection, sources: TimeSources, latest_ms: Callable[[], int]) -> Clock:
    """The clock of a store file with the table SCHEMA; the first to open the file in a boot sets it."""
    anchor = anchored(_kept(connection), sources, latest_ms)
    if anchor != _kept(connection):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Decided again under the lock: another process may have set it meanwhile.
            anchor = anchored(_kept(connection), sources, latest_ms)
            connection.execute("REPLACE INTO clock VALUES (1, ?, ?)", (anchor.boot_id, anchor.offset_ms))
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    return Clock(anchor, sources)


def _kept(connection: apsw.Connection) -> Anchor | None:
    row = connection.execute("SELECT boot_id, offset_ms FROM clock").fetchone()
    return None if row is None else Anchor(*row)
