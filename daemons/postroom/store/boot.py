"""This boot of the host: the clock that has run since, and the id that tells it from any other.

CLOCK_BOOTTIME is what spans are measured by: no step of the system's clock moves it, and it
runs on through suspend. It means nothing across boots; whoever keeps it keeps the id beside it.

Source: clock_gettime(2), "CLOCK_BOOTTIME"; proc_sys_kernel(5), "random/boot_id".
"""

import time
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
