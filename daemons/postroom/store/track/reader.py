"""track.db, read by others than the watcher: the story of a delivery, and what the witness says.

Each question opens the file, reads in one transaction and closes it: a watcher may make the file anew, and
questions are few. A host without a watcher has no such file, or an old one; then nothing is known.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import apsw

from postroom.mail.recipients import MaskedRecipient
from postroom.mail.states import State
from postroom.mail.tokens import of_sender
from postroom.store.sqlite.file import translated
from postroom.store.track import facts_applied
from postroom.store.track.facts import (
    Absent,
    LoggedDelivery,
    LogHistory,
    OutcomeCount,
    Queued,
    SharedFact,
    Unproven,
    WitnessAnswer,
)
from postroom.store.track.track_store import shared_facts

T = TypeVar("T")

BUSY_MS = 2_000

CLOCK_SLACK_S = 0.2
"""Two daemons of one host read one clock. Where it falls back by more than a correction (watcher/clock.py, STEP_S,
which is less), the watcher drops what it had shown."""


NO_STORY = LogHistory({}, frozenset(), 0.0)
"""Nothing is known."""


class TrackReader:
    """Reads track.db."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def story(self, tokens: Sequence[str]) -> LogHistory:
        """What became of the attempts with these tokens.

        Raises:
            StoreUnavailable: it cannot be read.
        """

        def read(connection: apsw.Connection) -> LogHistory:
            known = frozenset(token for token in tokens if _is_known(connection, token))
            facts = {token: found for token in known if (found := _deliveries(connection, token))}
            reconciled_at = float(facts_applied.meta(connection, "reconciled_at") or 0.0)
            return LogHistory(facts, known, max(0.0, reconciled_at - CLOCK_SLACK_S))

        return await self._read(read) if tokens else NO_STORY

    async def witness(self, sender: str, started_at: float, ended_at: float) -> WitnessAnswer:
        """Whether the attempt with this envelope sender was queued.

        Args:
            started_at: when the session it was made in was opened (Unix seconds, taken before).
            ended_at:   from then on this attempt sent nothing any more.

        Raises:
            StoreUnavailable: it cannot be read.
        """

        def read(connection: apsw.Connection) -> WitnessAnswer:
            row = connection.execute(
                "SELECT queue_id FROM queue WHERE token = ? ORDER BY id LIMIT 1", (of_sender(sender),)
            ).fetchone()
            if row is not None:
                return Queued(row[0])
            shown = connection.execute(
                "SELECT max(asked_at) FROM checkpoint WHERE began_at > ? AND clear_since < ?",
                (ended_at, started_at - CLOCK_SLACK_S),
            ).fetchone()
            if shown is not None and shown[0] is not None:
                return Absent(shown[0])
            covered = facts_applied.meta(connection, "covered_since")
            if covered is None:
                return Unproven("the watcher has not seen yet that Postfix's log reaches it", is_final=False)
            if float(covered) >= started_at - CLOCK_SLACK_S:
                return Unproven("the watcher does not have the whole log of that time", is_final=True)
            return Unproven("the watcher has not looked since, or a session with Postfix has not ended", is_final=False)

        return await self._read(read)

    async def outcomes(self, since: float, slot_s: int, slots: int) -> list[OutcomeCount]:
        """The deliveries that changed in the `slots` slots of `slot_s` seconds from `since` on (Unix seconds).

        A delivery stands in its present state only, at the time it came to it: one that was deferred and then
        delivered is one delivered. None of them is told apart from the others of its state and status.

        Raises:
            StoreUnavailable: it cannot be read.
        """

        def read(connection: apsw.Connection) -> list[OutcomeCount]:
            rows = connection.execute(
                "SELECT CAST((changed_at - ?1) / ?2 AS INTEGER), state, enhanced_status, count(*) FROM delivery"
                " WHERE changed_at >= ?1 AND changed_at < ?1 + ?2 * ?3 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
                (since, slot_s, slots),
            )
            return [OutcomeCount(slot, State(state), status, count) for slot, state, status, count in rows]

        return await self._read(read)

    async def unproven(self, after: int, most: int) -> list[SharedFact]:
        """Recipients to be suppressed on the word of a source that proves nothing; past a number, in their order.

        A number the file never had is of another file, and counts as 0.
        """

        def read(connection: apsw.Connection) -> list[SharedFact]:
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'share'").fetchone()
            is_of_this_file = row is not None and after <= row[0]
            return shared_facts(connection, "proven = 0", after if is_of_this_file else 0, most)

        return await self._read(read)

    async def _read(self, operation: Callable[[apsw.Connection], T]) -> T:
        return await asyncio.to_thread(self._read_once, operation)

    def _read_once(self, operation: Callable[[apsw.Connection], T]) -> T:
        try:
            with closing(apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
                connection.set_busy_timeout(BUSY_MS)
                connection.execute("BEGIN")
                return operation(connection)
        except apsw.Error as error:
            raise translated(error, self._path) from error


def _is_known(connection: apsw.Connection, token: str) -> bool:
    return connection.execute("SELECT 1 FROM queue WHERE token = ? LIMIT 1", (token,)).fetchone() is not None


def _deliveries(connection: apsw.Connection, token: str) -> list[LoggedDelivery]:
    rows = connection.execute(
        "SELECT q.queue_id, recipient_hash, domain, hint, original_hash, state, enhanced_status, reason, relay,"
        " attempts, changed_at FROM delivery d JOIN queue q ON q.id = d.queue WHERE q.token = ?"
        " ORDER BY q.id, changed_at",
        (token,),
    )
    return [
        LoggedDelivery(queue_id, MaskedRecipient(hashed, domain, hint), original, State(state), *rest)
        for queue_id, hashed, domain, hint, original, state, *rest in rows
    ]
