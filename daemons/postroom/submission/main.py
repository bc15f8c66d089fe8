"""postroom-submission: the HTTP door, the outbox and the hand-over to Postfix, wired.

Reads from top to bottom: settings, keys, stores, templates, clients, outbox, API, ready, drain.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from random import Random
from typing import TypeVar

from aiohttp import web

from postroom.config import paths
from postroom.config.model import Config
from postroom.limits.configured import rules
from postroom.limits.fallback import LocalLimiter
from postroom.limits.limiter import LIMITS_LOST, Limiter
from postroom.postfix.rewriting import known_rewriting
from postroom.postfix.sockets import showq_socket
from postroom.recipients.check import CHECK_LOST, RecipientCheck
from postroom.recipients.resolver import RecipientResolver
from postroom.runtime.acceptor import Acceptor, ConnectionBounds
from postroom.runtime.background import Background
from postroom.runtime.circuit_breaker import CircuitBreaker
from postroom.runtime.fault_points import FaultPoints, armed_faults
from postroom.runtime.keys import read_key
from postroom.runtime.lifecycle import Life, StartRefused
from postroom.runtime.listeners import listen_unix
from postroom.runtime.log import Log
from postroom.runtime.metrics import Metrics, beat_forever
from postroom.runtime.sweep import old_rows_stay, sweep_forever
from postroom.store.configured import open_shared_store
from postroom.store.errors import StoreUnavailable
from postroom.store.outbox.mail_store import MailStore
from postroom.store.shared_store import SharedStore
from postroom.store.track.reader import TrackReader
from postroom.submission.api.auth import Admission, Clients
from postroom.submission.api.configured import clients_of, writer_of
from postroom.submission.api.errors import too_many_connections
from postroom.submission.api.history import Histories
from postroom.submission.api.message_check import MessageCheck
from postroom.submission.api.routes import Api
from postroom.submission.api.writer import Writer
from postroom.submission.handover.carrier import Carrier
from postroom.submission.handover.confirmation import Confirmation, queued_at
from postroom.submission.handover.connector import Connector
from postroom.submission.handover.doubts import Doubts, WatcherWitness
from postroom.submission.handover.gate import HandoverGate
from postroom.submission.handover.outbox import Outbox, ReadyQueue
from postroom.submission.handover.outcomes import Outcomes
from postroom.submission.handover_status import HandoverStatus
from postroom.submission.readiness import Readiness, watch_disk
from postroom.submission.socket_door import SocketDoor
from postroom.submission.upkeep import SWEEP_BUDGET, look_after_outbox, samples, sweep_of
from postroom.suppression.configured import proof_rules, wave_guard
from postroom.suppression.learner import Learner

T = TypeVar("T")

WORD = "submission"
STORE_BUDGET_S = 1.0
"""How long the shared store may take for one question."""
NEEDS_RESTART = (
    "hostname",
    "state_dir",
    "log",
    "submission.socket",
    "submission.socket_mode",
    "submission.socket_group",
    "submission.max_request",
    "submission.request_timeout",
    "submission.max_connections",
    "handover",
)
"""What a reload does not take."""
MOST_CONNECTIONS = 8_000
"""Of all users together, so that eight of them would have to be at their bound. Each costs some 20 kB."""
HTTP_DRAIN_S = 10.0
LINGER_S = 1.0
"""How long a client that was refused may go on sending, so that it comes to read why."""


async def serve(config: Config, reread: Callable[[], Config], log: Log, life: Life) -> None:
    """The daemon's whole life.

    Args:
        reread: reads the configuration again, at each reload.

    Raises:
        StartRefused: it cannot start as it is configured.
    """
    faults = armed_faults(os.environ, config.state_dir)
    metrics = Metrics()
    clients = clients_of(config)
    writer = writer_of(config)
    key, recipient_key = read_key(paths.return_path_key(config)), read_key(paths.recipient_hash_key(config))
    async with AsyncExitStack() as at_end:
        shared = open_shared_store(config)
        at_end.push_async_callback(shared.close)
        store = _opened(lambda: MailStore.open(paths.mail_db(config), recipient_key, faults.reach))
        at_end.push_async_callback(store.close)
        limiter, check = _limiter_and_check(config, shared, recipient_key, log)
        door = SocketDoor(check, limiter, recipient_key, config.hostname)
        track = TrackReader(paths.track_db(config))
        status, readiness = HandoverStatus(), Readiness()
        outbox = _outbox(config, store, door, track, status, key, log, metrics, faults)
        api = Api(
            store.acceptance,
            store.queries,
            writer,
            clients,
            MessageCheck(door),
            Histories(track.history),
            Admission(limiter).admit,
            status,
            readiness,
            request_timeout_s=config.submission.request_timeout,
            max_waiting=config.submission.max_waiting,
            log=log,
            metrics=metrics,
            clock=time.time,
        )
        listener = listen_unix(config.submission.socket, config.submission.socket_mode, config.submission.socket_group)
        at_end.callback(listener.close)
        runner = web.AppRunner(
            api.application(config.submission.max_request),
            access_log=None,
            # The same time for a connection without a request, so that a head that trickles in is timed as a body is.
            keepalive_timeout=config.submission.request_timeout,
            shutdown_timeout=HTTP_DRAIN_S,
            lingering_time=LINGER_S,
        )
        await runner.setup()
        at_end.push_async_callback(runner.cleanup)

        handing_over = asyncio.create_task(outbox.run(life.stopping))
        in_force, background = config, Background()

        def retention_s() -> tuple[float, float]:
            return in_force.retention.messages, in_force.submission.idempotency_kept

        background.start(beat_forever(WORD, shared.beats, samples(store.queries, status, metrics), log))
        background.start(look_after_outbox(store, log))
        background.start(
            sweep_forever(sweep_of(store, retention_s), budget=SWEEP_BUDGET, lost=old_rows_stay("mail", log))
        )
        background.start(sweep_forever(shared.sweep))
        learner = Learner(
            shared.evidence,
            shared.suppressions,
            shared.waves,
            proof_rules(config.suppression),
            wave_guard(config.suppression),
            log,
        )
        queued = queued_at(showq_socket(config.handover.showq, config.run_dir))
        background.start(Confirmation(store.queries, track, learner, queued, log).run())
        background.start(watch_disk(paths.mail_db(config).parent, readiness))
        acceptor = _accepting(listener.sock, runner, config, log)
        at_end.callback(acceptor.close)

        def take(read: tuple[Config, Clients, Writer, RecipientResolver]) -> Sequence[str]:
            nonlocal in_force
            new, clients, writer, check.resolver = read
            in_force, api.clients, api.writer, api.max_waiting = new, clients, writer, new.submission.max_waiting
            limiter.use(rules(new.limits))
            learner.use(proof_rules(new.suppression), wave_guard(new.suppression))
            return new.changed_from(config, NEEDS_RESTART)

        life.on_reload(lambda: _read_all(reread, recipient_key, log), take)
        life.ready(f"listening on {config.submission.socket}")
        await background.until_stopped(life.stopping, handing_over)

        acceptor.close()
        # Before cleanup: from then on aiohttp reads no more, and a body that is still arriving would be cut off.
        await api.drain(HTTP_DRAIN_S)
        await runner.cleanup()
        life.stop()
        await handing_over
        await background.end()


def _limiter_and_check(
    config: Config, shared: SharedStore, recipient_key: bytes, log: Log
) -> tuple[Limiter, RecipientCheck]:
    return (
        Limiter(
            shared.takes,
            rules(config.limits),
            LocalLimiter(time.time),
            CircuitBreaker("limits", LIMITS_LOST, log),
            STORE_BUDGET_S,
        ),
        RecipientCheck(
            shared.suppressions,
            _resolver(config, recipient_key, log),
            CircuitBreaker("shared", CHECK_LOST, log),
            STORE_BUDGET_S,
        ),
    )


def _outbox(
    config: Config,
    store: MailStore,
    door: SocketDoor,
    track: TrackReader,
    status: HandoverStatus,
    key: bytes,
    log: Log,
    metrics: Metrics,
    faults: FaultPoints,
) -> Outbox:
    """The hand-over, from its parts; `key` signs the attempt tokens."""
    settings = config.handover
    random = Random()  # noqa: S311 - spreads retries, keeps no secret
    ready = ReadyQueue(status)
    outcomes = Outcomes(
        store.handover,
        status,
        retry_first_s=settings.retry_first,
        retry_max_s=settings.retry_max,
        give_up_after_s=settings.give_up_after,
        log=log,
        metrics=metrics,
        clock=time.time,
        random=random,
    )
    connector = Connector(
        settings.socket,
        config.hostname,
        status,
        reply_timeout_s=settings.reply_timeout,
        retry_max_s=settings.away_retry_max,
        log=log,
        metrics=metrics,
        clock=time.time,
        random=random,
    )
    carrier = Carrier(
        store.handover,
        outcomes,
        ready.next_now,
        key=key,
        reply_timeout_s=settings.reply_timeout,
        faults=faults,
        clock=time.time,
    )
    doubts = Doubts(
        store.handover,
        WatcherWitness(track, paths.witness_request(config)),
        status,
        showq=showq_socket(settings.showq, config.run_dir),
        timeout_s=settings.reply_timeout,
        witness_wait_s=settings.witness_wait,
        rule=settings.in_doubt,
        log=log,
        metrics=metrics,
        clock=time.time,
        random=random,
    )
    return Outbox(
        store.handover,
        HandoverGate(door, time.time),
        ready,
        connector,
        carrier,
        outcomes,
        doubts,
        status,
        sessions=settings.sessions,
        log=log,
        clock=time.time,
    )


def _accepting(sock: socket.socket, runner: web.AppRunner, config: Config, log: Log) -> Acceptor:
    handlers = runner.server
    assert handlers is not None, "the runner is set up"
    acceptor = Acceptor(
        lambda _uid: handlers(),
        ConnectionBounds(config.submission.max_connections, MOST_CONNECTIONS),
        log,
        refusal=too_many_connections,
        mend="let its processes keep fewer connections open, or raise submission.max_connections",
    )
    acceptor.start(sock)
    return acceptor


def findings(config: Config) -> list[str]:
    """Why the daemon would not start with this configuration, as far as that can be told without its rights."""
    found: list[str] = []
    for read in (clients_of, writer_of):
        try:
            read(config)
        except StartRefused as refused:
            found.extend(refused.reasons)
    return found


def _read_all(
    reread: Callable[[], Config], recipient_key: bytes, log: Log
) -> tuple[Config, Clients, Writer, RecipientResolver]:
    config = reread()
    return config, clients_of(config), writer_of(config), _resolver(config, recipient_key, log)


def _resolver(config: Config, key: bytes, log: Log) -> RecipientResolver:
    return RecipientResolver(key, known_rewriting(log), config.recipients.plus_addresses)


def _opened(open_store: Callable[[], T]) -> T:
    try:
        return open_store()
    except StoreUnavailable as error:
        raise StartRefused(str(error)) from error
