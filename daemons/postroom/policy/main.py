"""postroom-policy: Postfix's questions about recipients and messages, answered; wired.

Reads from top to bottom: keys, store, checks and limits, socket, ready, drain.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack

from postroom.config import paths
from postroom.config.model import Config
from postroom.limits.configured import rules
from postroom.limits.fallback import LocalLimiter
from postroom.limits.limiter import LIMITS_LOST, Limiter
from postroom.mail.return_addresses import ReturnAddresses
from postroom.mail.spellings import AddressRewriting
from postroom.policy.clients import SmtpClients
from postroom.policy.decisions import Decisions
from postroom.policy.postfix_only import PostfixOnly
from postroom.policy.recipient_notes import RecipientNotes
from postroom.policy.rights import SenderRights
from postroom.policy.server import PolicyServer
from postroom.postfix.rewriting import known_rewriting
from postroom.recipients.check import CHECK_LOST, RecipientCheck
from postroom.recipients.resolver import RecipientResolver
from postroom.runtime.accounts import postfix_uid, postfix_uids
from postroom.runtime.background import Background
from postroom.runtime.circuit_breaker import CircuitBreaker
from postroom.runtime.keys import read_key
from postroom.runtime.lifecycle import Life
from postroom.runtime.listeners import listen_unix
from postroom.runtime.log import Log
from postroom.runtime.metrics import Metrics, beat_forever
from postroom.runtime.sweep import sweep_forever
from postroom.senders.configured import senders_table
from postroom.store.clock import boottime_s
from postroom.store.configured import open_shared_store

WORD = "policy"
STORE_SHARE = 0.4
"""Part of the budget that each of the two store files may take: together they leave time to answer without them."""
NEEDS_RESTART = ("state_dir", "log", "policy.socket", "policy.socket_mode", "policy.socket_group")
"""What a reload does not take."""


async def serve(config: Config, reread: Callable[[], Config], log: Log, life: Life) -> None:
    """The daemon's whole life.

    Args:
        reread: reads the configuration again, at each reload.

    Raises:
        StartRefused: it cannot start as it is configured.
    """
    settings = config.policy
    key = read_key(paths.recipient_hash_key(config))
    return_path_key = read_key(paths.return_path_key(config))
    metrics = Metrics()
    async with AsyncExitStack() as at_end:
        store = open_shared_store(config)
        at_end.push_async_callback(store.close)
        # What was counted and noted here, and what is known of the stores, outlives a reload.
        local = LocalLimiter(boottime_s)
        limits, check = CircuitBreaker("limits", LIMITS_LOST, log), CircuitBreaker("shared", CHECK_LOST, log)
        clients = SmtpClients()
        postfix_only = PostfixOnly(postfix_uid(), log)
        notes = RecipientNotes(store.notes, limits, settings.budget * STORE_SHARE)

        def decisions(config: Config, rights: SenderRights, rewriting: AddressRewriting | None) -> Decisions:
            budget_s = config.policy.budget * STORE_SHARE
            resolver = RecipientResolver(key, rewriting, config.recipients.plus_addresses)
            return Decisions(
                RecipientCheck(store.suppressions, resolver, check, budget_s),
                Limiter(store.takes, rules(config.limits), local, limits, budget_s),
                notes,
                clients,
                rights,
                key=key,
                hostname=config.hostname,
                count_at=config.policy.count_at,
                returns=ReturnAddresses(return_path_key, config.return_domains(), config.retention.messages),
                postfix_only=postfix_only,
                clock=time.time,
                log=log,
            )

        server = PolicyServer(
            decisions(config, *_rights_and_rewriting(config, log)).answer,
            settings.budget,
            postfix_uids(),
            log,
            metrics,
        )
        listener = listen_unix(settings.socket, settings.socket_mode, settings.socket_group)
        at_end.callback(listener.close)
        accepting = server.serve(listener.sock)

        async def samples() -> Mapping[str, float]:
            return metrics.samples() | {"postroom_policy_connections": float(server.connections)}

        background = Background()
        background.start(beat_forever(WORD, store.beats, samples, log))
        background.start(sweep_forever(store.sweep))

        def read() -> tuple[Config, SenderRights, AddressRewriting | None]:
            new = reread()
            return new, *_rights_and_rewriting(new, log)

        def take(read: tuple[Config, SenderRights, AddressRewriting | None]) -> Sequence[str]:
            new, rights, rewriting = read
            server.decide, server.budget_s = decisions(new, rights, rewriting).answer, new.policy.budget
            notes.budget_s = new.policy.budget * STORE_SHARE
            return new.changed_from(config, NEEDS_RESTART)

        life.on_reload(read, take)
        life.ready(f"listening on {settings.socket}")
        await background.until_stopped(life.stopping)

        accepting.close()
        await server.drain(server.budget_s)
        await background.end()


def _rights_and_rewriting(config: Config, log: Log) -> tuple[SenderRights, AddressRewriting | None]:
    """Raises StartRefused: the table names users or groups that this host does not have."""
    rewriting = known_rewriting(log)
    origin = None if rewriting is None else rewriting.myorigin
    return SenderRights(senders_table(config, origin), rewriting), rewriting
