"""postroom-monitor: health, metrics and the dashboard of this host, wired.

Reads from top to bottom: stores, beats, collector, socket, ready, drain. It starts whatever is missing, since
it is there to report that; it writes nothing at all.
"""

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from postroom.config import paths
from postroom.config.model import Config
from postroom.monitor.beats import HostBeats
from postroom.monitor.collector import Collector
from postroom.monitor.dashboard import Dashboard
from postroom.monitor.health import Expected
from postroom.monitor.server import MonitorServer
from postroom.postfix.sockets import showq_socket
from postroom.runtime.acceptor import Acceptor, ConnectionBounds
from postroom.runtime.background import Background
from postroom.runtime.lifecycle import Life
from postroom.runtime.listeners import listen_unix
from postroom.runtime.log import Log
from postroom.runtime.metrics import Metrics
from postroom.store.clock import boottime_s
from postroom.store.configured import open_shared_store_to_read
from postroom.store.track.reader import TrackReader

WORD = "monitor"
KEEPALIVE_S = 30.0
"""How long a connection may be without a request, from its begin or the last answer until a head is there whole."""
MOST_OF_A_USER, MOST_CONNECTIONS = 100, 500
"""Connections of one user, and of all: people with a browser, and a proxy or two."""
DRAIN_S = 10.0
NEEDS_RESTART = (
    "hostname",
    "state_dir",
    "run_dir",
    "log",
    "handover.showq",
    "monitor.socket",
    "monitor.socket_mode",
    "monitor.socket_group",
)
"""What a reload does not take."""


async def serve(config: Config, reread: Callable[[], Config], log: Log, life: Life) -> None:
    """Run the monitor until it is told to stop.

    Args:
        reread: reads the configuration again, at each reload.

    Raises:
        StartRefused: it cannot start as it is configured.
    """
    settings, metrics = config.monitor, Metrics()
    async with AsyncExitStack() as at_end:
        shared = open_shared_store_to_read(config)
        at_end.push_async_callback(shared.close)
        beats = HostBeats(shared.beats, socket.gethostname(), WORD, metrics.samples, boottime_s)
        track, showq = TrackReader(paths.track_db(config)), showq_socket(config.handover.showq, config.run_dir)
        collector = Collector(beats, shared.takes, shared.waves, track, showq, now=time.time, clock=boottime_s)
        at_end.callback(collector.close)
        server = MonitorServer(
            collector, _expected(config, showq), _names(config), Dashboard(config.hostname), log, metrics
        )

        listener = listen_unix(settings.socket, settings.socket_mode, settings.socket_group)
        at_end.callback(listener.close)
        runner = web.AppRunner(
            server.application(), access_log=None, keepalive_timeout=KEEPALIVE_S, shutdown_timeout=DRAIN_S
        )
        await runner.setup()
        at_end.push_async_callback(runner.cleanup)

        await beats.read()
        background = Background()
        background.start(beats.read_forever())
        handlers = runner.server
        assert handlers is not None, "the runner is set up"
        acceptor = Acceptor(lambda _uid: handlers(), ConnectionBounds(MOST_OF_A_USER, MOST_CONNECTIONS), log)
        acceptor.start(listener.sock)
        at_end.callback(acceptor.close)

        def take(new: Config) -> Sequence[str]:
            server.expected, server.names = _expected(new, showq), _names(new)
            return new.changed_from(config, NEEDS_RESTART)

        life.on_reload(reread, take)
        life.ready(f"listening on {settings.socket}")
        await background.until_stopped(life.stopping)
        life.stop()
        acceptor.close()
        await runner.cleanup()
        await background.end()


def _expected(config: Config, showq: Path) -> Expected:
    return Expected(config.monitor.daemons, config.monitor.waiting_late, str(showq))


def _names(config: Config) -> frozenset[str]:
    """What a request may ask for, beside the loopback."""
    return frozenset(name.lower() for name in (config.hostname, socket.gethostname(), *config.monitor.hosts))
