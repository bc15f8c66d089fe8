"""One life for every daemon: start, ready, drain, end.

    start ─► main(life) wires and opens ─► life.ready() ─► serves ─► SIGTERM ─► drains ─► main returns ─► exit 0

Says READY=1, RELOADING=1, STOPPING=1 and WATCHDOG=1 to systemd. The watchdog
beat comes from the event loop itself, so a stuck loop is a missed beat.

Source:  sd_notify(3), systemd.service(5) "WatchdogSec=".
"""

import asyncio
import os
import signal
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress

import uvloop
from systemd import daemon as systemd

from postroom.runtime.log import Field, Log
from postroom.store.errors import StoreUnavailable

EX_OK = 0
EX_SOFTWARE = 70
EX_CONFIG = 78


class StartRefused(Exception):
    """The daemon cannot start as it is configured; each reason says what, where and how to mend."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class Life:
    """What a daemon's main sees of its life.

    `stopping` is set by SIGTERM or SIGINT; main then drains and returns.
    """

    def __init__(self, log: Log) -> None:
        self.stopping = asyncio.Event()
        self._log = log
        self._reload: Callable[[], Awaitable[None]] | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._reload_again = False

    def ready(self, status: str) -> None:
        """Everything is open: tell systemd, so that what waits for us may start."""
        _tell_systemd(f"READY=1\nSTATUS={status}")
        self._log.info("daemon.ready", pid=os.getpid())

    def on_reload(self, reload: Callable[[], Awaitable[None]]) -> None:
        """Call `reload` at each SIGHUP. It takes the new state whole, or keeps the old one and logs why."""
        self._reload = reload

    def stop(self) -> None:
        """Begin to drain."""
        if not self.stopping.is_set():
            _tell_systemd("STOPPING=1")
            self._log.info("daemon.stopping", pid=os.getpid())
            self.stopping.set()

    def _hang_up(self) -> None:
        if self._reload is None:
            return
        # A reload under way may have read the files before they were changed for this SIGHUP.
        self._reload_again = True
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.ensure_future(self._run_reloads(self._reload))

    async def _run_reloads(self, reload: Callable[[], Awaitable[None]]) -> None:
        while self._reload_again:
            self._reload_again = False
            # MONOTONIC_USEC is what systemd 253's Type=notify-reload asks for; older ones ignore it.
            _tell_systemd(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
            try:
                await reload()
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end a daemon that serves
                self._log.error("daemon.reload_failed", effect="the old state stays in use", **_told(error))
            finally:
                _tell_systemd("READY=1")

    async def _watchdog(self) -> None:
        try:
            period_s = int(os.environ["WATCHDOG_USEC"]) / 1_000_000 / 2
            pid = int(os.environ.get("WATCHDOG_PID") or os.getpid())
        except (KeyError, ValueError):
            return
        # Set for another process, our parent's, it is not ours to keep (sd_watchdog_enabled(3)).
        if pid != os.getpid():
            return
        while period_s > 0:
            _tell_systemd("WATCHDOG=1")
            await asyncio.sleep(period_s)


def run(main: Callable[[Life], Awaitable[None]], log: Log) -> int:
    """Run a daemon's main from start to end; returns the exit code.

    A StartRefused is logged in one line and gives EX_CONFIG (78), which the
    units do not restart; any other error is logged with its kind and place and gives 70.
    """
    try:
        uvloop.run(_live(main, log))
    except StartRefused as refused:
        log.critical("daemon.refused", reason=str(refused))
        return EX_CONFIG
    except Exception as error:  # noqa: BLE001 - nobody is left to catch it
        log.critical("daemon.failed", **_told(error))
        return EX_SOFTWARE
    return EX_OK


def _told(error: Exception) -> dict[str, Field]:
    """An error's kind and place; its text only where it is our own, for others' may quote an address."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    reason = str(error) if isinstance(error, StoreUnavailable) else None
    return {"error": type(error).__name__, "where": f"{frame.filename}:{frame.lineno}", "reason": reason}


async def _live(main: Callable[[Life], Awaitable[None]], log: Log) -> None:
    life = Life(log)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, life.stop)
    loop.add_signal_handler(signal.SIGHUP, life._hang_up)  # noqa: SLF001 - the loop's side of Life
    watchdog = asyncio.ensure_future(life._watchdog())  # noqa: SLF001
    try:
        await main(life)
    finally:
        watchdog.cancel()
    log.info("daemon.stopped", pid=os.getpid())


def _tell_systemd(words: str) -> None:
    # A supervisor that is gone, or its socket, is no reason to stop the mail or not to end.
    with suppress(OSError):
        systemd.notify(words)
