"""postroom-submission: the HTTP door, the outbox and the hand-over to Postfix, wired.

Reads from top to bottom: settings, keys, stores, templates, clients, outbox, API, ready, drain.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from random import Random
from typing import TypeVar

from aiohttp import web

from postroom.config import paths
from postroom.config.model import Config
from postroom.config.return_path import ReturnPath
from postroom.limits.configured import rules
from postroom.limits.fallback import LocalLimiter
from postroom.limits.limiter import LIMITS_LOST, Limiter
from postroom.mail.states import OUTBOX
from postroom.recipients.check import CHECK_LOST, RecipientCheck
from postroom.runtime.accounts import AccountUnknown, accounts_of
from postroom.runtime.background import Background
from postroom.runtime.circuit_breaker import CircuitBreaker
from postroom.runtime.fault_points import armed_faults
from postroom.runtime.keys import read_key
from postroom.runtime.lifecycle import Life, StartRefused
from postroom.runtime.listeners import BACKLOG, listen_unix
from postroom.runtime.log import Log
from postroom.runtime.metrics import Metrics, beat_forever
from postroom.senders.configured import senders_table
from postroom.store.errors import StoreUnavailable
from postroom.store.outbox.mail_store import MailStore
from postroom.store.shared.sqlite import SqliteSharedStore
from postroom.store.track.reader import TrackReader
from postroom.submission.api.auth import Client, Clients
from postroom.submission.api.history import Histories
from postroom.submission.api.request_limits import Admission
from postroom.submission.api.routes import Api
from postroom.submission.api.writer import Writer
from postroom.submission.gate import Gate
from postroom.submission.handover.confirmation import Confirmation, queued_at
from postroom.submission.handover.doubts import WatcherWitness
from postroom.submission.handover.outbox import HandoverSettings, Outbox
from postroom.suppression.configured import guard, proof_of_classes
from postroom.suppression.learner import Learner
from postroom.templating.configured import catalogue
from postroom.templating.problems import TemplatesBroken

T = TypeVar("T")

WORD = "submission"
STORE_BUDGET_S = 1.0
"""How long the shared store may take for one question."""
SWEEP_S, SWEEP_BUDGET = 60.0, 1000
"""Old messages and idempotency keys are deleted in steps of so many, so that nobody waits for it."""
NEEDS_RESTART = (
    "hostname",
    "state_dir",
    "log",
    "submission.socket",
    "submission.socket_mode",
    "submission.socket_group",
    "submission.max_request",
    "submission.request_timeout",
    "handover",
)
"""What a reload does not take."""
HTTP_DRAIN_S = 10.0
LINGER_S = 1.0
"""How long a client that was refused may go on sending, so that it comes to read why."""


async def serve(config: Config, reread: Callable[[], Config], log: Log, life: Life) -> None:
    """The daemon's whole life.

    Args:
        reread: reads the configuration anew, at each reload.

    Raises:
        StartRefused: it cannot start as it is configured.
    """
    faults = armed_faults(os.environ, config.state_dir)
    metrics = Metrics()
    random = Random()  # noqa: S311 - spreads retries, keeps no secret
    clients = _clients(config)
    writer = _writer(config)
    key, recipient_key = read_key(paths.return_path_key(config)), read_key(paths.recipient_hash_key(config))
    async with AsyncExitStack() as at_end:
        shared = _opened(lambda: SqliteSharedStore(paths.shared_db(config).parent))
        at_end.push_async_callback(shared.close)
        store = _opened(lambda: MailStore.open(paths.mail_db(config), recipient_key, faults.reach))
        at_end.push_async_callback(store.close)
        limiter = Limiter(
            shared,
            rules(config.limits),
            LocalLimiter(time.time),
            CircuitBreaker("limits", LIMITS_LOST, log),
            STORE_BUDGET_S,
        )
        check = RecipientCheck(shared, recipient_key, CircuitBreaker("shared", CHECK_LOST, log), STORE_BUDGET_S)
        gate = Gate(check, limiter, recipient_key, config.hostname, time.time)
        track = TrackReader(paths.track_db(config))
        outbox = Outbox(
            store.handover,
            gate,
            _handover(config),
            key,
            WatcherWitness(track, paths.witness_request(config)),
            log=log,
            metrics=metrics,
            faults=faults,
            clock=time.time,
            random=random,
        )
        api = Api(
            store.acceptance,
            store.queries,
            outbox,
            writer,
            clients,
            gate,
            Histories(track.history),
            Admission(limiter).admit,
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
        background.start(beat_forever(WORD, shared, _samples(store, outbox, metrics), log))
        background.start(_sweep_forever(store, shared, lambda: in_force, log))
        learner = Learner(shared, proof_of_classes(config.suppression), guard(config.suppression), log)
        looking = Confirmation(store.queries, track, learner, queued_at(config.handover.showq), log)
        background.start(looking.run())
        site = web.SockSite(runner, listener.sock, backlog=BACKLOG)
        await site.start()

        def take(read: tuple[Config, Clients, Writer]) -> Sequence[str]:
            nonlocal in_force
            new, clients, writer = read
            in_force, api.clients, api.writer, api.max_waiting = new, clients, writer, new.submission.max_waiting
            limiter.use(rules(new.limits))
            learner.use(proof_of_classes(new.suppression), guard(new.suppression))
            return new.changed_from(config, NEEDS_RESTART)

        life.on_reload(lambda: _read_all(reread), take)
        life.ready(f"listening on {config.submission.socket}")
        await background.until_stopped(life.stopping, handing_over)

        await site.stop()
        # Before cleanup: from then on aiohttp reads no more, and a body that is still arriving would be cut off.
        await api.drain(HTTP_DRAIN_S)
        await runner.cleanup()
        life.stop()
        await handing_over
        await background.end()


def findings(config: Config) -> list[str]:
    """Why the daemon would not start with this configuration, as far as that can be told without its rights."""
    found: list[str] = []
    for read in (_clients, _writer):
        try:
            read(config)
        except StartRefused as refused:
            found.extend(refused.reasons)
    return found


def _read_all(reread: Callable[[], Config]) -> tuple[Config, Clients, Writer]:
    config = reread()
    return config, _clients(config), _writer(config)


def _opened(open_store: Callable[[], T]) -> T:
    try:
        return open_store()
    except StoreUnavailable as error:
        raise StartRefused(str(error)) from error


def _clients(config: Config) -> Clients:
    clients, unknown = {}, []
    for name, settings in config.submission.clients.items():
        try:
            clients[Client(name, settings.admin)] = accounts_of(settings.users, settings.uids, settings.groups)
        except AccountUnknown as error:
            unknown.append(f"submission.clients.{name}: {error}")
    if unknown:
        raise StartRefused(*unknown)
    return Clients(clients)


def _writer(config: Config) -> Writer:
    try:
        templates = catalogue(config)
    except paths.ShippedMissing as missing:
        raise StartRefused(str(missing)) from missing
    except ValueError as error:
        raise StartRefused(str(error)) from error
    except TemplatesBroken as broken:
        raise StartRefused(*(str(problem).replace("\n  Mend: ", "; mend: ") for problem in broken.problems)) from broken
    return Writer(
        templates,
        {name: _envelope_sender(domain.return_path) for name, domain in config.domains.items()},
        senders_table(config.senders, config.hostname),
    )


def _envelope_sender(path: ReturnPath) -> str:
    """The envelope sender with '*' where the token goes."""
    if path.domain is not None:
        return f"*@{path.domain}"
    assert path.mailbox is not None
    local, _, domain = path.mailbox.rpartition("@")
    return f"{local}+*@{domain}"


def _handover(config: Config) -> HandoverSettings:
    settings = config.handover
    return HandoverSettings(
        socket=settings.socket,
        showq=settings.showq,
        hostname=config.hostname,
        sessions=settings.sessions,
        reply_timeout_s=settings.reply_timeout,
        retry_first_s=settings.retry_first,
        retry_max_s=settings.retry_max,
        give_up_after_s=settings.give_up_after,
        away_retry_max_s=settings.away_retry_max,
        witness_wait_s=settings.witness_wait,
        in_doubt=settings.in_doubt,
    )


def _samples(store: MailStore, outbox: Outbox, metrics: Metrics) -> Callable[[], Awaitable[Mapping[str, float]]]:
    async def samples() -> Mapping[str, float]:
        figures = await store.queries.figures()
        deliveries = {
            f"postroom_submission_deliveries_{state}": float(figures.deliveries.get(state, 0)) for state in OUTBOX
        }
        oldest, now = figures.oldest_waiting, time.time()
        others = {
            "postroom_submission_oldest_waiting_seconds": 0.0 if oldest is None else max(0.0, now - oldest),
            "postroom_submission_handover_available": float(outbox.away is None),
        }
        return metrics.samples() | deliveries | others

    return samples


async def _sweep_forever(store: MailStore, shared: SqliteSharedStore, in_force: Callable[[], Config], log: Log) -> None:
    while True:
        now, config = time.time(), in_force()
        try:
            swept = await store.sweep(
                now - config.retention.messages, now - config.submission.idempotency_kept, SWEEP_BUDGET
            )
            await shared.sweep()
        except StoreUnavailable as error:
            log.warning("store.unavailable", store="mail", error=str(error), effect="old rows stay", next="60 s")
            swept = 0
        # A full budget means that more is there: go on after a breath.
        await asyncio.sleep(1.0 if swept == SWEEP_BUDGET else SWEEP_S)
