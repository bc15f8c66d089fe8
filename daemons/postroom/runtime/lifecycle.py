"""One life for every daemon: start, ready, drain, end.

    start ─► main(life) wires and opens ─► life.ready() ─► serves ─► SIGTERM ─► drains ─► main returns ─► exit 0

Says READY=1, RELOADING=1, STOPPING=1 and WATCHDOG=1 to systemd. The watchdog
beat comes from the event loop itself, so a stuck loop is a missed beat.

A reload (SIGHUP) is all or nothing: configuration, templates and keys are read
and checked, and only when all of them are good does the daemon take them; what
it took, and which changes wait for a restart, stands in the log.

Diagnostics: daemon.ready, daemon.reloaded, daemon.needs_restart, daemon.reload_refused, daemon.reload_failed,
             daemon.stopping, daemon.stopped, daemon.refused, daemon.failed.
Source:      sd_notify(3), systemd.service(5) "WatchdogSec=".
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import uvloop

from postroom.runtime.log import Log, error_fields
from postroom.runtime.notify import RETRY_S, beat, deliver_kept, reloading, tell_systemd, watchdog_period_s

T = TypeVar("T")


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
        self._reload: Callable[[], Awaitable[Sequence[str]]] | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._reload_again = False
        self._delivering: asyncio.Task[None] | None = None

    def ready(self, status: str) -> None:
        """Everything is open: tell systemd, so that what waits for us may start."""
        self._tell(f"READY=1\nSTATUS={status}")
        self._log.info("daemon.ready", pid=os.getpid())

    def on_reload(self, read: Callable[[], T], take: Callable[[T], Sequence[str]]) -> None:
        """Reload at each SIGHUP, and log what comes of it.

        Args:
            read: makes the new state whole, on a thread; raises StartRefused where it cannot be used, and all stays
                  as it was.
            take: puts it into use, on the loop, where nothing can fail any more; gives the names of changed settings
                  that only a restart takes.
        """

        async def reload() -> Sequence[str]:
            # On a thread: templates take a second or two, and the machine's name may have to be asked from DNS.
            return take(await asyncio.to_thread(read))

        self._reload = reload

    def stop(self) -> None:
        """Begin to drain: `stopping` is set, and systemd is told. Again, it does nothing."""
        if not self.stopping.is_set():
            self._tell("STOPPING=1")
            self._log.info("daemon.stopping", pid=os.getpid())
            self.stopping.set()

    def _hang_up(self) -> None:
        if self._reload is None:
            return
        # A reload under way may have read the files before they were changed for this SIGHUP.
        self._reload_again = True
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.ensure_future(self._run_reloads(self._reload))

    async def _run_reloads(self, reload: Callable[[], Awaitable[Sequence[str]]]) -> None:
        while self._reload_again:
            self._reload_again = False
            self._tell(reloading())
            try:
                log_reloaded(self._log, await reload())
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end a daemon that serves
                log_not_reloaded(self._log, error)
            finally:
                self._tell("READY=1")

    def _tell(self, words: str) -> None:
        tell_systemd(words)
        if not deliver_kept() and self._delivering is None:
            self._delivering = asyncio.ensure_future(self._deliver())

    async def _deliver(self) -> None:
        while not deliver_kept():  # noqa: ASYNC110 - whether there is room again is told by trying alone
            await asyncio.sleep(RETRY_S)
        self._delivering = None

    async def _watchdog(self) -> None:
        period_s = watchdog_period_s()
        while period_s is not None:
            beat()
            await asyncio.sleep(period_s)


def run(main: Callable[[Life], Awaitable[None]], log: Log) -> int:
    """Run a daemon's main from start to end on an event loop; returns the exit code, as `exit_code` gives it."""
    return exit_code(lambda: uvloop.run(_live(main, log)), log)


def exit_code(serve: Callable[[], None], log: Log) -> int:
    """Run the whole of a daemon; returns what the process is to exit with.

    A StartRefused is logged in one line and gives EX_CONFIG (78), which the
    units do not restart; any other error is logged with its kind and place and gives 70.
    """
    try:
        serve()
    except StartRefused as refused:
        log.critical("daemon.refused", reason=str(refused))
        return os.EX_CONFIG
    except Exception as error:  # noqa: BLE001 - nobody is left to catch it
        log.critical("daemon.failed", **error_fields(error))
        return os.EX_SOFTWARE
    return os.EX_OK


def log_reloaded(log: Log, needs_restart: Sequence[str]) -> None:
    """Say that the new state is in use, and which changed settings are not."""
    if needs_restart:
        log.warning("daemon.needs_restart", settings=" ".join(needs_restart), effect="their old values stay in use")
    log.info("daemon.reloaded")


def log_not_reloaded(log: Log, error: Exception) -> None:
    """Say that the old state stays, and why: all reasons with file, line and mend where it was refused."""
    if isinstance(error, StartRefused):
        log.error("daemon.reload_refused", reason=str(error), effect="the old state stays in use")
    else:
        log.error("daemon.reload_failed", effect="the old state stays in use", **error_fields(error))


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
