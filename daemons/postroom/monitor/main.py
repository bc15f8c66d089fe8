"""postroom-monitor: health, metrics and the first page of this host, wired.

Reads from top to bottom: stores, pulse, survey, socket, beat, ready, drain. It starts whatever is missing, for to
say so is its work; it writes nothing but its own beat.
"""

import asyncio
import socket
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress

from aiohttp import web

from postroom.config import paths
from postroom.config.model import Config
from postroom.monitor.health import Expected
from postroom.monitor.page import Page
from postroom.monitor.pulse import Pulse
from postroom.monitor.server import Server
from postroom.monitor.surveyor import Surveyor
from postroom.runtime.lifecycle import Life
from postroom.runtime.listeners import BACKLOG, listen_unix
from postroom.runtime.log import Log
from postroom.runtime.metrics import Metrics, beat_forever
from postroom.store.local.track_reader import TrackReader
from postroom.store.shared.sqlite import SqliteSharedStore

WORD = "monitor"
KEEPALIVE_S = 30.0
DRAIN_S = 10.0


async def serve(config: Config, log: Log, life: Life) -> None:
    """The daemon's whole life.

    Raises:
        StartRefused: it cannot start as it is configured.
    """
    settings, metrics = config.monitor, Metrics()
    async with AsyncExitStack() as at_end:
        shared = SqliteSharedStore(paths.shared_db(config).parent)
        at_end.push_async_callback(shared.close)
        pulse = Pulse(shared, socket.gethostname(), _boottime)
        track, showq = TrackReader(paths.track_db(config)), config.handover.showq
        surveyor = Surveyor(pulse, shared, track, showq, time.time, _boottime)
        at_end.callback(surveyor.close)
        expected = Expected(settings.daemons, settings.waiting_late, str(showq))
        server = Server(surveyor, expected, Page(config.hostname), log, metrics)

        listener = listen_unix(settings.socket, settings.socket_mode, settings.socket_group)
        at_end.callback(listener.close)
        runner = web.AppRunner(
            server.application(), access_log=None, keepalive_timeout=KEEPALIVE_S, shutdown_timeout=DRAIN_S
        )
        await runner.setup()
        at_end.push_async_callback(runner.cleanup)

        async def samples() -> Mapping[str, float]:
            return metrics.samples()

        await pulse.listen()
        listening = asyncio.create_task(pulse.listen_forever())
        beating = asyncio.create_task(beat_forever(WORD, shared, samples, log))
        await web.SockSite(runner, listener.sock, backlog=BACKLOG).start()
        life.ready(f"listening on {settings.socket}")
        # A task that ends before it is asked to has failed: it raises below, the daemon exits, systemd starts it anew.
        stopping = asyncio.create_task(life.stopping.wait())
        await asyncio.wait([stopping, listening, beating], return_when=asyncio.FIRST_COMPLETED)
        life.stop()
        await runner.cleanup()
        for task in (stopping, listening, beating):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
