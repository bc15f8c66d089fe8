"""What a log file says of recipients, confirmed by what we saw ourselves.

Any local user can write lines into Postfix's log file, so what stands only there proves nothing by itself. A bounce
speaks against a recipient when the mail was ours (handed over under that token, taken by Postfix as that queue id, to
that recipient), when Postfix's queue no longer has it, and when the log has no later word of it; a delivery lifts a
suppression when the mail was ours. The watcher leaves such facts (TrackReader.unproven).

BUGS:    a local user who knows token and queue id of a mail of ours, as its recipient does, can still write its bounce
         within the moment between its delivery and our look. Whoever must not trust local users lets Postfix log to
         the journal.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from postroom.mail.states import State
from postroom.mail.tokens import of_sender
from postroom.postfix.showq import ShowqError, queue_ids
from postroom.runtime.log import Log
from postroom.store.errors import StoreUnavailable
from postroom.store.outbox.queries import OutboxQueries
from postroom.store.shared.values import COMPLAINT
from postroom.store.track.evidence import SharedFact
from postroom.store.track.history import NO_HISTORY, LogHistory
from postroom.store.track.reader import TrackReader
from postroom.suppression.learner import Learner

EVERY_S = 2.0
MOST = 500
REMOVED_S = 5.0
"""How long Postfix may take to remove a mail from its queue behind the line of its bounce."""
READ_S = 1.0
"""How long the watcher may take to read what was written before a mail left the queue."""
ANSWER_S = 60.0

Queued = Callable[[Collection[str]], Awaitable[set[str]]]
"""Which of these tokens are in Postfix's queue. Raises ShowqError."""


def queued_at(showq: Path) -> Queued:
    """Ask showq(8) at this socket."""

    async def queued(tokens: Collection[str]) -> set[str]:
        found = await queue_ids(showq, lambda sender: of_sender(sender) in tokens, ANSWER_S)
        return {token for sender in found if (token := of_sender(sender)) is not None}

    return queued


class Confirmation:
    """Looks into what a log file says."""

    def __init__(self, outbox: OutboxQueries, track: TrackReader, learner: Learner, queued: Queued, log: Log) -> None:
        self._outbox = outbox
        self._track = track
        self._learner = learner
        self._queued = queued
        self._log = log

    async def run(self) -> None:
        """Look into what waits, every EVERY_S seconds, until cancelled. What cannot be read or written now waits."""
        while True:
            try:
                await self.confirm(REMOVED_S, READ_S)
            except (StoreUnavailable, ShowqError) as error:
                self._log.debug("suppression.waits", error=str(error))
            await asyncio.sleep(EVERY_S)

    async def confirm(self, removed_s: float, read_s: float) -> None:
        """Look into what waits.

        Args:
            removed_s: seconds Postfix may take to remove a mail that bounced.
            read_s:    seconds the watcher may be behind the log.

        Raises:
            StoreUnavailable: a store cannot be used; what is left waits.
            ShowqError:       Postfix does not say what is in its queue.
        """
        while facts := await self._track.unproven(await self._outbox.confirmed_up_to(), MOST):
            waiting, history = set[str](), NO_HISTORY
            refused = {fact.token for fact in facts if _is_refusal(fact)}
            if refused:
                waiting = await self._queued(refused)
                if waiting:
                    await asyncio.sleep(removed_s)
                    waiting &= await self._queued(waiting)
                await asyncio.sleep(read_s)
                history = await self._track.history(list(refused))
            confirmed = []
            for fact in facts:
                has_failed = fact.token not in waiting and _is_last_word(fact, history)
                if (has_failed or not _is_refusal(fact)) and await self._is_ours(fact):
                    confirmed.append(fact)
                elif fact.cause:
                    # A delivery to whom an alias names is no surprise, and as frequent as mail.
                    self._log.warning("suppression.unconfirmed", queue_id=fact.queue_id, domain=fact.recipient.domain)
            await self._learner.learn(confirmed)
            # After a crash before this they are looked into again, and count once.
            await self._outbox.set_confirmed_up_to(facts[-1].number)

    async def _is_ours(self, fact: SharedFact) -> bool:
        return await self._outbox.recipient_of(fact.token, fact.queue_id) == fact.recipient.hash


def _is_refusal(fact: SharedFact) -> bool:
    # A complaint is of mail that was delivered, and came with that mail's own signed token.
    return fact.cause not in ("", COMPLAINT)


def _is_last_word(fact: SharedFact, history: LogHistory) -> bool:
    """Whether the log says nothing later of it than that it has failed."""
    return any(
        (one.queue_id, one.recipient.hash) == (fact.queue_id, fact.recipient.hash)
        and one.state in (State.BOUNCED, State.EXPIRED)
        for one in history.facts.get(fact.token, ())
    )
