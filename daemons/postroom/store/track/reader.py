"""track.db, read by others than the watcher: the history of a delivery, and what the witness says.

Each question opens the file, reads in one transaction and closes it: a watcher may recreate the file, and
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
from postroom.store.sqlite.file import translated
from postroom.store.sqlite.rows import named_rows
from postroom.store.track import meta
from postroom.store.track.evidence import SharedFact
from postroom.store.track.history import NO_HISTORY, LoggedDelivery, LogHistory, OutcomeCount
from postroom.store.track.sharing import shared_facts
from postroom.store.track.witness import CLOCK_SLACK_S, WitnessAnswer, witness_answer

T = TypeVar("T")

BUSY_MS = 2_000


class TrackReader:
    """The parts of track.db that daemons beside the watcher read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def history(self, tokens: Sequence[str]) -> LogHistory:
        """What became of the attempts with these tokens.

        Raises:
            StoreUnavailable: it cannot be read.
        """

        def read(connection: apsw.Connection) -> LogHistory:
            known = frozenset(token for token in tokens if _is_known(connection, token))
            facts = {token: found for token in known if (found := _deliveries(connection, token))}
            reconciled_at = float(meta.value(connection, meta.RECONCILED_AT) or 0.0)
            return LogHistory(facts=facts, known=known, reconciled_at=max(0.0, reconciled_at - CLOCK_SLACK_S))

        return await self._read(read) if tokens else NO_HISTORY

    async def witness(self, sender: str, started_at: float, ended_at: float) -> WitnessAnswer:
        """Whether the attempt with this envelope sender was queued.

        Args:
            started_at: when the session it was made in was opened (Unix seconds, taken before).
            ended_at:   from then on this attempt sent nothing any more.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        return await self._read(lambda connection: witness_answer(connection, sender, started_at, ended_at))

    async def outcomes(self, since: float, slot_s: int, slots: int) -> list[OutcomeCount]:
        """The deliveries that changed in the `slots` slots of `slot_s` seconds from `since` on (Unix seconds).

        A delivery stands in its present state only, at the time it came to it: one that was deferred and then
        delivered is one delivered. Deliveries of one state and status are counted together.

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
    rows = named_rows(
        connection,
        "SELECT q.queue_id, recipient_hash, domain, hint, original_hash AS original, state, enhanced_status, reason,"
        " relay, attempts, changed_at,"
        " (SELECT count(*) FROM report WHERE token = q.token AND origin = 'local') AS local_reports"
        " FROM delivery d JOIN queue q ON q.id = d.queue WHERE q.token = ?"
        " ORDER BY q.id, changed_at",
        (token,),
    )
    for row in rows:
        row["state"] = State(row["state"])
    return [
        LoggedDelivery(recipient=MaskedRecipient(row.pop("recipient_hash"), row.pop("domain"), row.pop("hint")), **row)
        for row in rows
    ]
