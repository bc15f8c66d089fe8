"""What a daemon tells systemd, in one place for those with an event loop and those without.

Source:  sd_notify(3), sd_watchdog_enabled(3).
"""

import os
import time
from contextlib import suppress

from systemd import daemon as systemd


def tell_systemd(words: str) -> None:
    """Send words such as READY=1; without systemd nothing happens."""
    # A supervisor that is gone, or its socket, is no reason to stop the mail or not to end.
    with suppress(OSError):
        systemd.notify(words)


def reloading() -> str:
    """Give the words for the begin of a reload."""
    # MONOTONIC_USEC is what systemd 253's Type=notify-reload asks for; older ones ignore it.
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"


def watchdog_period_s() -> float | None:
    """Give the seconds between two WATCHDOG=1, half of what systemd waits for; None when it waits for none of us."""
    try:
        period_s = int(os.environ["WATCHDOG_USEC"]) / 1_000_000 / 2
        pid = int(os.environ.get("WATCHDOG_PID") or os.getpid())
    except (KeyError, ValueError):
        return None
    # Set for another process, our parent's, it is not ours to keep (sd_watchdog_enabled(3)).
    return period_s if pid == os.getpid() and period_s > 0 else None
