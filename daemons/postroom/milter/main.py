"""postroom-milter: the DKIM signer, wired.

Reads from top to bottom: socket, libmilter, keys, workers; then what one worker does.
"""

import asyncio
import os
import select
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from postroom.config import paths
from postroom.config.changes import changed
from postroom.config.model import Config
from postroom.milter.doors import Networks, NetworksUnreadable
from postroom.milter.keys import KeysUnusable, is_weak, load_keys
from postroom.milter.libmilter import LibMilter
from postroom.milter.master import Master, Work
from postroom.milter.message import Signer
from postroom.milter.session import Session
from postroom.runtime.lifecycle import EX_SOFTWARE, StartRefused, told
from postroom.runtime.listeners import Listener, listen_unix
from postroom.runtime.log import Log
from postroom.runtime.metrics import Metrics, beat_forever
from postroom.store.errors import StoreUnavailable
from postroom.store.shared.sqlite import SqliteSharedStore

WORD = "milter"
NEEDS_RESTART = (
    "state_dir",
    "log",
    "milter.socket",
    "milter.socket_mode",
    "milter.socket_group",
    "milter.workers",
    "milter.drain",
)
"""What a reload does not take."""
POSTCONF_TIMEOUT_S = 10.0
DRAIN_LOOK_S = 0.05
LAST_BEAT_S = 2.0


def serve(config: Config, reread: Callable[[], Config], log: Log) -> None:
    """The daemon's whole life.

    Args:
        reread: reads the configuration anew, at the start and at each reload.

    Raises:
        StartRefused: it cannot start as it is configured.
    """
    settings, shared = config.milter, paths.shared_db(config).parent
    listener = listen_unix(settings.socket, settings.socket_mode, settings.socket_group)
    try:
        libmilter, latest = LibMilter(listener.sock), config

        def load() -> Work:
            nonlocal latest
            latest = reread()
            signer = _signer(latest, log)
            return lambda drain: _work(drain, libmilter, listener, signer, shared, log)

        master = Master(load, lambda: changed(config, latest, NEEDS_RESTART), settings.workers, settings.drain, log)
        master.run(f"listening on {settings.socket}", listener.close)
    finally:
        listener.close()


def findings(config: Config) -> Sequence[str]:
    """All that would keep the daemon from starting, as far as that can be told without its rights."""
    try:
        load_keys(_key_files(config))
    except KeysUnusable as unusable:
        return unusable.problems
    return ()


def _signer(config: Config, log: Log) -> Signer:
    networks = config.milter.networks
    try:
        keys = load_keys(_key_files(config))
    except KeysUnusable as unusable:
        raise StartRefused(str(unusable)) from unusable
    for key in (key for listed in keys.values() for key in listed if is_weak(key)):
        log.warning("milter.key_weak", domain=key.domain, selector=key.selector, bits=key.bits)
    return Signer(keys, _mynetworks() if networks is None else Networks.of(networks), int(config.milter.expire_after))


def _key_files(config: Config) -> dict[str, list[tuple[str, Path]]]:
    return {name: [(key.selector, key.key_file) for key in domain.dkim] for name, domain in config.domains.items()}


def _mynetworks() -> Networks:
    """What Postfix itself takes for its own networks, `$names` expanded."""
    try:
        asked = subprocess.run(
            ["/usr/sbin/postconf", "-xh", "mynetworks"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=POSTCONF_TIMEOUT_S,
            check=True,
        )
        return Networks.parse(asked.stdout)
    except (OSError, subprocess.SubprocessError) as error:
        trouble = f"postconf does not answer ({type(error).__name__})"
    except NetworksUnreadable as unreadable:
        trouble = f"Postfix's mynetworks cannot be followed: {unreadable}"
    raise StartRefused(f"milter.networks: {trouble}; mend: write the networks there, for example [127.0.0.0/8]")


def _work(
    drain: socket.socket, libmilter: LibMilter, listener: Listener, signer: Signer, shared: Path, log: Log
) -> None:
    """A worker, from the fork to its end: libmilter on this thread, an event loop with all else on another."""
    listener.sock.close()  # libmilter has a descriptor of its own; with this one open, the socket would live on
    metrics, loop = Metrics(), asyncio.new_event_loop()

    def beside() -> None:
        try:
            loop.run_until_complete(_beside(drain, libmilter, listener.is_ours, metrics, shared, log))
            os._exit(os.EX_OK)
        except Exception as error:  # noqa: BLE001 - nobody is left to catch it
            log.critical("daemon.failed", **told(error))
        finally:
            os._exit(EX_SOFTWARE)  # without this thread the worker would never drain: another one shall take its place

    threading.Thread(target=beside, daemon=True).start()
    libmilter.serve(lambda: Session(signer, log, metrics.count))


def _is_abandoned(drain: socket.socket) -> bool:
    """Whether the master is gone: it shuts down its end to say "drain", and the kernel closes it when it is killed."""
    looked = select.poll()
    looked.register(drain, 0)
    return any(event & select.POLLHUP for _, event in looked.poll(0))


async def _beside(
    drain: socket.socket, libmilter: LibMilter, is_ours: bool, metrics: Metrics, shared: Path, log: Log
) -> None:
    """Send beats until the master says to drain; return when the last session has ended."""

    async def samples() -> Mapping[str, float]:
        return metrics.samples()

    loop, is_draining = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(drain, is_draining.set)
    store = SqliteSharedStore(shared)
    beating = asyncio.create_task(beat_forever(WORD, store, samples, log))
    await is_draining.wait()
    loop.remove_reader(drain)
    libmilter.stop_accepting(is_last=is_ours and _is_abandoned(drain))
    drain.close()
    empty_looks = 0
    while empty_looks < 2:  # an accept(2) that was under way may bring one more
        await asyncio.sleep(DRAIN_LOOK_S)
        empty_looks = 0 if libmilter.open_sessions() else empty_looks + 1
    beating.cancel()
    with suppress(StoreUnavailable, TimeoutError):
        await asyncio.wait_for(store.beat(WORD, socket.gethostname(), os.getpid(), metrics.samples()), LAST_BEAT_S)
