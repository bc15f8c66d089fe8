"""track.db: what shows that an attempt to hand over was queued, or was not: checkpoints, and answers from them.

An attempt to hand over is known by the moment its session was opened, by its token and by the moment it ended. A
checkpoint (began_at, asked_at, clear_since) says: of every attempt whose session was opened after clear_since and which
ended before began_at, the log and the queue were looked at to the end; one whose token is not in this file was not
queued. How it comes about: watcher/witness.py.

    clear_since is the latest of
        covered_since  the log is whole from here on (a gap takes this away, a session of our own that is read
                       again from the log restores it)
        the beginning of the youngest session that had not ended when the queue was asked
        the beginning of the youngest session that was forgotten (sweep)

Times of sessions are when their lines were read, so they lie at or behind the true ones, and the clock of the
watcher never goes back. That errs on the side of doubt.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import apsw

from postroom.mail.tokens import of_sender
from postroom.store.sqlite.thread import StoreThread
from postroom.store.track import meta
from postroom.store.track.deliveries import take_found

CLOCK_SLACK_S = 0.2
"""Two daemons of one host read one clock. Where it falls back by more than a correction (watcher/clock.py, STEP_S,
which is less), the watcher drops what it had shown."""


@dataclass(frozen=True, slots=True)
class Queued:
    """Proof that an attempt was queued, as `queue_id`."""

    queue_id: str


@dataclass(frozen=True, slots=True)
class Absent:
    """Proof that an attempt was not queued."""


@dataclass(frozen=True, slots=True)
class Unproven:
    """Nothing is proven. `is_final`: nothing will be either, whatever the log goes on to say, but presence."""

    reason: str
    is_final: bool


WitnessAnswer = Queued | Absent | Unproven


class TrackWitness:
    """The operations of the watcher's witness."""

    def __init__(self, thread: StoreThread) -> None:
        self._thread = thread

    async def coverage(self) -> tuple[float | None, int]:
        """Since when the log is whole (Unix seconds; None when that is not known), and how many gaps there were."""

        def operation(connection: apsw.Connection) -> tuple[float | None, int]:
            since = meta.value(connection, meta.COVERED_SINCE)
            return None if since is None else float(since), meta.gaps(connection)

        return await self._thread.run(operation)

    async def set_covered(self, since: float, gaps: int) -> bool:
        """The log is whole from `since` on, unless another gap came meanwhile (`gaps` is no longer the count)."""

        def operation(connection: apsw.Connection) -> bool:
            if meta.gaps(connection) != gaps:
                return False
            meta.set_value(connection, meta.COVERED_SINCE, since)
            return True

        return await self._thread.run(operation)

    async def clock_went_back(self) -> None:
        """Times from before mean nothing any more: what was proved with them is dropped."""

        def operation(connection: apsw.Connection) -> None:
            meta.add_gap(connection)
            connection.execute("DELETE FROM checkpoint")

        await self._thread.run(operation)

    async def open_sessions(self) -> dict[int, float]:
        """The sessions of the hand-over listener that have not ended: pid, and when its beginning was read."""
        return await self._thread.run(lambda connection: dict(connection.execute("SELECT pid, seen_at FROM session")))

    async def add_checkpoint(
        self, began_at: float, asked_at: float, open_since: float, found: Mapping[str, str], now: float
    ) -> float | None:
        """Store what one look has shown.

        Args:
            began_at:   when it began; all attempts it speaks of had ended.
            asked_at:   when the queue was asked.
            open_since: the beginning of the youngest session that had not ended then; 0 when all had.
            found:      token → queue id of what was in the queue.

        Returns:
            Since when it holds (clear_since); None when the log is not whole: then nothing is shown but presence.
        """

        def operation(connection: apsw.Connection) -> float | None:
            take_found(connection, found, now)
            covered = meta.value(connection, meta.COVERED_SINCE)
            if covered is None:
                return None
            forgotten = meta.value(connection, meta.FORGOTTEN_AT) or 0.0
            clear_since = max(float(covered), float(forgotten), open_since)
            connection.execute(
                "REPLACE INTO checkpoint (began_at, asked_at, clear_since) VALUES (?, ?, ?)",
                (began_at, asked_at, clear_since),
            )
            return clear_since

        return await self._thread.run(operation)


def witness_answer(connection: apsw.Connection, sender: str, started_at: float, ended_at: float) -> WitnessAnswer:
    """What is known of the attempt with this envelope sender; see TrackReader.witness. For one open transaction."""
    row = connection.execute(
        "SELECT queue_id FROM queue WHERE token = ? ORDER BY id LIMIT 1", (of_sender(sender),)
    ).fetchone()
    if row is not None:
        return Queued(row[0])
    shown = connection.execute(
        "SELECT 1 FROM checkpoint WHERE began_at > ? AND clear_since < ? LIMIT 1",
        (ended_at, started_at - CLOCK_SLACK_S),
    ).fetchone()
    if shown is not None:
        return Absent()
    covered = meta.value(connection, meta.COVERED_SINCE)
    if covered is None:
        return Unproven("the watcher has not seen yet that Postfix's log reaches it", is_final=False)
    if float(covered) >= started_at - CLOCK_SLACK_S:
        return Unproven("the watcher has only part of the log of that time", is_final=True)
    return Unproven("the watcher has not looked since, or a session with Postfix has not ended", is_final=False)
