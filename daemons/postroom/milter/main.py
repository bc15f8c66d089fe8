"""postroom-milter: signs with DKIM, and counts the mail of sendmail(1); wired.

Reads from top to bottom: socket, libmilter, keys and limits, workers; then what one worker does.
"""

import asyncio
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from postroom.config import paths
from postroom.config.model import Config
from postroom.limits.configured import rules
from postroom.limits.fallback import LocalLimiter
from postroom.limits.limiter import LIMITS_LOST, Limiter
from postroom.limits.rules import LimitRule
from postroom.milter.client import HostUsers
from postroom.milter.door_limits import DoorDecision, DoorLimits, DoorMail, SendmailDoor
from postroom.milter.doors import Networks, NetworksUnreadable
from postroom.milter.keys import KeysUnusable, is_weak, load_keys
from postroom.milter.libmilter import LibMilter
from postroom.milter.master import Master, Work
from postroom.milter.message import Signer
from postroom.milter.session import MilterSession
from postroom.milter.sign import SigningKey
from postroom.postfix import postconf
from postroom.postfix.commands import PostfixCommandFailed
from postroom.postfix.rewriting import known_rewriting
from postroom.recipients.resolver import RecipientResolver
from postroom.runtime.accounts import postfix_uid
from postroom.runtime.circuit_breaker import CircuitBreaker
from postroom.runtime.keys import read_key
from postroom.runtime.lifecycle import StartRefused
from postroom.runtime.listeners import Listener, listen_unix
from postroom.runtime.log import Log, error_fields
from postroom.runtime.log_once import LogOnceByAll
from postroom.runtime.metrics import Metrics, beat_forever
from postroom.runtime.sweep import SWEEP_S, sweep_forever
from postroom.senders.configured import senders_table
from postroom.store.clock import boottime_s
from postroom.store.configured import open_shared_store
from postroom.store.errors import StoreUnavailable
from postroom.store.shared_store import SharedStore

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
STORE_BUDGET_S = 0.5
"""How long the store may take for one question; there are at most four for a mail."""
COUNT_TIMEOUT_S = 8.0
"""Past this Postfix is told to try later; it waits for 30 s (postfix-conf/milter.main.cf)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a generation of workers goes by."""

    signer: Signer
    rules: Sequence[LimitRule]
    key: bytes
    resolver: RecipientResolver
    hostname: str
    hold_above: int | None
    postfix_uid: int | None
    port_untold: LogOnceByAll


def serve(config: Config, reread: Callable[[], Config], log: Log) -> None:
    """The daemon's whole life.

    Args:
        reread: reads the configuration again, at the start and at each reload.

    Raises:
        StartRefused: it cannot start as it is configured.
    """
    settings = config.milter
    listener = listen_unix(settings.socket, settings.socket_mode, settings.socket_group)
    try:
        libmilter = LibMilter(listener.sock)

        def load() -> tuple[Work, Sequence[str]]:
            new = reread()
            read = _settings(new, log)
            return (
                lambda drain: _work(drain, libmilter, listener, read, lambda: open_shared_store(config), log),
                new.changed_from(config, NEEDS_RESTART),
            )

        master = Master(load, settings.workers, settings.drain, log)
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


def _settings(config: Config, log: Log) -> Settings:
    keys, key = _signing_keys(config, log), read_key(paths.recipient_hash_key(config))
    rewriting = known_rewriting(log)
    return Settings(
        _signer(config, keys, None if rewriting is None else rewriting.myorigin),
        rules(config.limits),
        key,
        RecipientResolver(key, rewriting, config.recipients.plus_addresses),
        config.hostname,
        config.milter.hold_above,
        postfix_uid(),
        LogOnceByAll(),
    )


def _signing_keys(config: Config, log: Log) -> Mapping[str, Sequence[SigningKey]]:
    try:
        keys = load_keys(_key_files(config))
    except KeysUnusable as unusable:
        raise StartRefused(str(unusable)) from unusable
    for key in (key for listed in keys.values() for key in listed if is_weak(key)):
        log.warning("milter.key_weak", domain=key.domain, selector=key.selector, bits=key.bits)
    return keys


def _signer(config: Config, keys: Mapping[str, Sequence[SigningKey]], origin: str | None) -> Signer:
    networks = config.milter.networks
    return Signer(
        keys,
        _mynetworks() if networks is None else Networks.of(networks),
        int(config.milter.expire_after),
        senders_table(config, origin),
    )


def _key_files(config: Config) -> dict[str, list[tuple[str, Path]]]:
    return {name: [(key.selector, key.key_file) for key in domain.dkim] for name, domain in config.domains.items()}


def _mynetworks() -> Networks:
    """What Postfix itself takes for its own networks, `$names` expanded."""
    try:
        return Networks.parse(postconf.expanded("mynetworks", POSTCONF_TIMEOUT_S))
    except PostfixCommandFailed as failed:
        trouble = f"postconf does not answer ({failed.cause})"
    except NetworksUnreadable as unreadable:
        trouble = f"Postfix's mynetworks cannot be interpreted: {unreadable}"
    raise StartRefused(f"milter.networks: {trouble}; mend: write the networks there, for example [127.0.0.0/8]")


def _work(
    drain: socket.socket,
    libmilter: LibMilter,
    listener: Listener,
    settings: Settings,
    open_store: Callable[[], SharedStore],
    log: Log,
) -> None:
    """A worker, from the fork to its end: libmilter on this thread, an event loop with all else on another."""
    listener.sock.close()  # libmilter has a descriptor of its own; with this one open, the socket would live on
    metrics, loop, store = Metrics(), asyncio.new_event_loop(), open_store()
    door_limits = _door_limits(store, settings, log)

    def beside() -> None:
        try:
            loop.run_until_complete(_beside(drain, libmilter, listener.is_ours, metrics, store, log))
            os._exit(os.EX_OK)
        except Exception as error:  # noqa: BLE001 - nobody is left to catch it
            log.critical("daemon.failed", **error_fields(error))
        finally:
            os._exit(
                os.EX_SOFTWARE
            )  # without this thread the worker would never drain: another one shall take its place

    def decide(mail: DoorMail) -> DoorDecision:
        return asyncio.run_coroutine_threadsafe(door_limits.decide(mail), loop).result(COUNT_TIMEOUT_S)

    def give_back(queue_id: str, began_at: float) -> bool:
        given_back = door_limits.give_back(queue_id, began_at)
        return asyncio.run_coroutine_threadsafe(given_back, loop).result(COUNT_TIMEOUT_S)

    sendmail_door = SendmailDoor(settings.postfix_uid, decide)
    threading.Thread(target=beside, daemon=True).start()
    users, port_untold = HostUsers(), settings.port_untold
    libmilter.serve(
        lambda: MilterSession(settings.signer, users, sendmail_door, give_back, port_untold.is_new, log, metrics.count)
    )


def _door_limits(store: SharedStore, settings: Settings, log: Log) -> DoorLimits:
    breaker = CircuitBreaker("limits", LIMITS_LOST, log)
    return DoorLimits(
        store.waiting,
        store.takes,
        Limiter(store.takes, settings.rules, LocalLimiter(boottime_s), breaker, STORE_BUDGET_S),
        breaker,
        STORE_BUDGET_S,
        resolver=settings.resolver,
        key=settings.key,
        hostname=settings.hostname,
        hold_above=settings.hold_above,
        clock=time.time,
    )


def _is_abandoned(drain: socket.socket) -> bool:
    """Whether the master is gone: it shuts down its end to say "drain", and the kernel closes it when it is killed."""
    looked = select.poll()
    looked.register(drain, 0)
    return any(event & select.POLLHUP for _, event in looked.poll(0))


async def _beside(
    drain: socket.socket, libmilter: LibMilter, is_ours: bool, metrics: Metrics, store: SharedStore, log: Log
) -> None:
    """Send beats until the master says to drain; return when the last session has ended."""

    async def samples() -> Mapping[str, float]:
        return metrics.samples()

    loop, is_draining = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(drain, is_draining.set)
    tasks = [
        asyncio.create_task(beat_forever(WORD, store.beats, samples, log)),
        asyncio.create_task(sweep_forever(store.sweep, first_after_s=SWEEP_S)),
    ]
    await is_draining.wait()
    loop.remove_reader(drain)
    libmilter.stop_accepting(is_last=is_ours and _is_abandoned(drain))
    drain.close()
    empty_looks = 0
    while empty_looks < 2:  # an accept(2) that was under way may bring one more
        await asyncio.sleep(DRAIN_LOOK_S)
        empty_looks = 0 if libmilter.open_sessions() else empty_looks + 1
    for task in tasks:
        task.cancel()
    with suppress(StoreUnavailable, TimeoutError):
        await asyncio.wait_for(
            store.beats.beat(WORD, socket.gethostname(), os.getpid(), metrics.samples()), LAST_BEAT_S
        )
