"""postroom-watcher: Postfix's log followed, bounce mails taken, and what they say of our mail kept for the others.

Reads from top to bottom: settings, keys, stores, source, follower, intake, witness, beats, ready, drain.
"""

import asyncio
import os
import pwd
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

from postroom.config import paths
from postroom.config.model import Config
from postroom.mail.return_addresses import ReturnAddresses
from postroom.postfix import postconf
from postroom.postfix.commands import PostfixCommandFailed
from postroom.postfix.sockets import probe_socket, showq_socket
from postroom.runtime.accounts import postfix_uids
from postroom.runtime.background import Background
from postroom.runtime.fault_points import armed_faults
from postroom.runtime.keys import read_key
from postroom.runtime.lifecycle import Life, StartRefused
from postroom.runtime.listeners import listen_unix
from postroom.runtime.log import Log
from postroom.runtime.metrics import Metrics, beat_forever
from postroom.runtime.sweep import old_rows_stay, sweep_forever
from postroom.store.clock import boot_id
from postroom.store.configured import open_shared_store
from postroom.store.errors import StoreUnavailable
from postroom.store.track.track_store import TrackStore
from postroom.suppression.configured import proof_rules, wave_guard
from postroom.suppression.learner import Learner
from postroom.watcher.clock import ForwardClock
from postroom.watcher.complaint_signature import ask_dns, signer_of
from postroom.watcher.correlate import Correlator
from postroom.watcher.file_source import FileSource
from postroom.watcher.follower import Follower
from postroom.watcher.intake import Intake
from postroom.watcher.journal_source import JournalSource
from postroom.watcher.probe import MAX_NOOPS
from postroom.watcher.reports import MailReader
from postroom.watcher.settlement import settle_forever
from postroom.watcher.sharing import share_forever
from postroom.watcher.source import LogSource, SourceUnavailable
from postroom.watcher.stdin_source import StdinSource
from postroom.watcher.witness import WitnessTask

WORD = "watcher"
SWEEP_BUDGET = 1000
DRAIN_S = 10.0
"""How long a mail that is there whole may take to be stored when the daemon is stopped."""
NEEDS_RESTART = (
    "hostname",
    "state_dir",
    "run_dir",
    "log",
    "domains",
    "handover.socket",
    "handover.showq",
    "watcher.source",
    "watcher.probe",
    "watcher.units",
    "watcher.socket",
    "watcher.socket_mode",
    "watcher.socket_group",
)
"""What a reload does not take."""
POSTCONF_TIMEOUT_S = 10.0
POSTFIX_FOLDERS = ("daemon_directory", "command_directory")


async def serve(config: Config, reread: Callable[[], Config], log: Log, life: Life) -> None:
    """Run the watcher until it is told to stop.

    Args:
        reread: reads the configuration again, at each reload.

    Raises:
        StartRefused: it cannot start as it is configured.
    """
    faults = armed_faults(os.environ, config.state_dir)
    metrics = Metrics()
    recipient_key = read_key(paths.recipient_hash_key(config))
    returns = ReturnAddresses(
        read_key(paths.return_path_key(config)), config.return_domains(), config.retention.messages
    )
    correlator = Correlator(recipient_key, is_relayhosted=config.watcher.relayhost)
    source, boot = _source(config), boot_id()
    async with AsyncExitStack() as at_end:
        shared = open_shared_store(config)
        at_end.push_async_callback(shared.close)
        try:
            store = TrackStore.open(paths.track_db(config))
            at_end.push_async_callback(store.close)
            is_gap, read_at = await store.log.begin(source.name, boot)
        except StoreUnavailable as error:
            raise StartRefused(str(error)) from error
        if is_gap:
            metrics.count("postroom_watcher_gaps_total")
            log.warning(
                "watcher.gap",
                reason="another boot or source than before",
                effect="what is in doubt stays in doubt",
            )
        clock = ForwardClock(time.time, read_at)
        follower = Follower(source, store.log, correlator, log=log, metrics=metrics, now=clock.now)
        at_end.push_async_callback(follower.close)
        try:
            await follower.start()
        except SourceUnavailable as error:
            raise StartRefused(str(error)) from error
        in_force = config
        intake = Intake(
            store.reports,
            source,
            MailReader(returns, recipient_key),
            returns,
            config.hostname,
            postfix=postfix_uids(),
            signer=lambda mail: signer_of(mail, in_force.suppression.complaint_reporters, ask_dns),
            faults=faults,
            log=log,
            metrics=metrics,
            now=clock.now,
        )
        _serve_intake(intake, config, at_end)
        witness = WitnessTask(
            follower,
            store.witness,
            store.reconciliation,
            listener=probe_socket(config.watcher.probe, config.run_dir, config.handover.socket),
            showq=showq_socket(config.handover.showq, config.run_dir),
            request=paths.witness_request(config),
            hostname=config.hostname,
            log=log,
            metrics=metrics,
            clock=clock,
            first_count=secrets.randbelow(MAX_NOOPS),
        )
        learner = Learner(
            shared.evidence,
            shared.suppressions,
            shared.waves,
            proof_rules(config.suppression),
            wave_guard(config.suppression),
            log,
        )
        following = asyncio.create_task(follower.follow(life.stopping))
        background = Background()
        background.start(witness.run())
        background.start(share_forever(store.sharing, learner, log, metrics, clock.now))
        background.start(settle_forever(store.refusals, shared.takes, log, metrics, clock.now))
        background.start(beat_forever(WORD, shared.beats, _samples(follower, metrics), log))
        background.start(
            sweep_forever(_sweep(store, lambda: in_force, clock), budget=SWEEP_BUDGET, lost=old_rows_stay("track", log))
        )

        def take(new: Config) -> Sequence[str]:
            nonlocal in_force
            in_force = new
            correlator.is_relayhosted = new.watcher.relayhost
            learner.use(proof_rules(new.suppression), wave_guard(new.suppression))
            return new.changed_from(config, NEEDS_RESTART)

        life.on_reload(reread, take)
        life.ready(f"following {source.name}")
        await background.until_stopped(life.stopping, following)
        life.stop()
        await intake.drain(DRAIN_S)
        await following
        await background.end()


def _serve_intake(intake: Intake, config: Config, at_end: AsyncExitStack) -> None:
    if config.return_domains():
        settings = config.watcher
        listener = listen_unix(settings.socket, settings.socket_mode, settings.socket_group)
        at_end.callback(listener.close)
        accepting = intake.serve(listener.sock)
        at_end.callback(accepting.close)


def _source(config: Config) -> LogSource:
    if isinstance(config.watcher.source, Path):
        return FileSource(config.watcher.source, _local_time)
    if config.watcher.source == StdinSource.name:
        return StdinSource(sys.stdin.fileno(), _local_time)
    try:
        uids = {0, pwd.getpwnam("postfix").pw_uid}
    except KeyError:
        raise StartRefused("there is no user `postfix` on this host; mend: install Postfix first") from None
    units = config.watcher.units if isinstance(config.watcher.units, tuple) else ()
    return JournalSource(uids, units, () if units else _postfix_folders(), time.time())


def _local_time() -> datetime:
    return datetime.now().astimezone()


def _postfix_folders() -> set[Path]:
    """Where Postfix's programs lie; without a main.cf its built-in defaults."""
    try:
        return {Path(folder) for folder in postconf.as_written_or_built_in(POSTFIX_FOLDERS, POSTCONF_TIMEOUT_S)}
    except PostfixCommandFailed:
        raise StartRefused(
            "/usr/sbin/postconf does not say where Postfix's programs lie; "
            "mend: install Postfix, or name its units in watcher.units"
        ) from None


def _samples(follower: Follower, metrics: Metrics) -> Callable[[], Awaitable[Mapping[str, float]]]:
    async def samples() -> Mapping[str, float]:
        return metrics.samples() | {"postroom_watcher_lag_seconds": follower.lag_s}

    return samples


def _sweep(store: TrackStore, in_force: Callable[[], Config], clock: ForwardClock) -> Callable[[], Awaitable[int]]:
    async def sweep() -> int:
        now = clock.now()
        return await store.sweep(now - in_force().retention.messages, now, SWEEP_BUDGET)

    return sweep
