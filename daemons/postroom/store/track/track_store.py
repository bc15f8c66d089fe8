"""track.db, written by the watcher alone: what Postfix's log on this host says of our mail.

`apply` stores how far a source was read together with what was read, in one transaction, so a watcher that is
killed at any moment reads each line once. The file is 0640 in a folder 2750: a daemon of the group reads it
(reader.py) and none but the watcher writes. synchronous=NORMAL: a power cut costs the last commits,
cursor and facts together, and the lines are read again.

The witness (checkpoints). An attempt to hand over is known by the moment its session was opened, by its token
and by the moment it ended. A checkpoint (began_at, asked_at, clear_since) says: of every attempt whose session
was opened after clear_since and which ended before began_at, the log and the queue were looked at to the end;
one whose token is not in this file was not queued. How it comes about: watcher/witness.py.

    clear_since is the latest of
        covered_since  the log is whole from here on (a gap takes this away, a session of our own that is read
                       again from the log gives it anew)
        the beginning of the youngest session that had not ended when the queue was asked
        the beginning of the youngest session that was forgotten (sweep)

Reconciling. The end of a mail may be in a gap; then no line will ever tell of it. Once the log is whole again the
queue is asked, and the log read past the answer: what is alive here, was not seen since and is not in the queue has
left it, and its recipients without an outcome are `untracked`. What was queued before and is not in this file at all
has its whole story in missing lines (Story.reconciled_at).

Times of sessions are when their lines were read, so they lie at or behind the true ones, and the clock of the
watcher never goes back. That errs on the side of doubt.

Reports (mails to the return path) stand beside: reports.py says which of them has an effect.
"""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import apsw

from postroom.mail.recipients import MaskedRecipient
from postroom.mail.states import State
from postroom.store.errors import StoreUnavailable
from postroom.store.lock import hold_alone
from postroom.store.sqlite.file import open_file
from postroom.store.sqlite.thread import StoreThread
from postroom.store.track import facts_applied, reports
from postroom.store.track.facts import Bounce, BounceReport, Fact, ReportEffect, SharedFact
from postroom.store.track.schema import TRACK

SESSION_KEPT_S = 86_400.0
"""A session whose end was never logged is forgotten after this time."""

UNPROVEN_DELIVERY_KEPT_S = 86_400.0
"""A delivery that stands in a log file only is told to submission for so long, and forgotten then."""

SHARED_FACT_COLUMNS = (
    "id, number, token, queue_id, recipient_hash, domain, hint, cause, enhanced_status, evidence,"
    " source, added_at, proof, rule, rule_version"
)


class PositionMoved(Exception):
    """The source stands elsewhere than the batch began: its lines were not taken."""


class TrackStore:
    """The watcher's side of track.db. Made by `init`, opened by exactly one process."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self._path = path
        self._lock_fd = lock_fd
        self._thread = StoreThread(path, lambda: _connect(path))

    @staticmethod
    def init(path: Path) -> bool:
        """Make the file (0640) in its folder (2750) where missing; returns whether it was made.

        Raises:
            StoreUnavailable: it cannot be made.
        """
        try:
            if not path.parent.exists():
                path.parent.mkdir(parents=True)
                path.parent.chmod(0o2750)
            made = not path.exists()
            # The files SQLite puts beside it get its mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
        except OSError as error:
            raise StoreUnavailable(
                f"{path}: cannot be made ({error.strerror}); mend: check owner and mode of the folders above it"
            ) from error
        _connect(path).close()
        return made

    @staticmethod
    def open(path: Path) -> "TrackStore":
        """Open it for this process alone.

        Raises:
            StoreUnavailable: missing, not ours, damaged, or open in another process.
        """
        lock_fd = hold_alone(path, "watcher")
        try:
            _connect(path).close()
        except StoreUnavailable:
            os.close(lock_fd)
            raise
        return TrackStore(path, lock_fd)

    async def close(self) -> None:
        """Finish what waits, then let go of the file."""
        await self._thread.close()
        os.close(self._lock_fd)

    async def position(self, source: str) -> str | None:
        """How far a source was read; None when never."""

        def operation(connection: apsw.Connection) -> str | None:
            row = connection.execute("SELECT position FROM position WHERE source = ?", (source,)).fetchone()
            return None if row is None else row[0]

        return await self._thread.run(operation)

    async def apply(
        self, source: str, after: str | None, position: str, facts: Sequence[Fact], now: float, *, proven: bool
    ) -> list[Bounce]:
        """Take the facts between two positions of a source: all of them and the new position, or nothing.

        A batch that was taken already (the position is the stored one) is a no-op. One that moves the position
        nowhere is not: it tells of a gap behind which nothing was written yet.

        Args:
            after:  the position the batch begins at; None for the first.
            now:    when it was read, Unix seconds; never before an earlier one.
            proven: whether the source proves who wrote its lines.

        Raises:
            PositionMoved: the stored position is neither of the two.
        """

        def operation(connection: apsw.Connection) -> list[Bounce]:
            row = connection.execute("SELECT position FROM position WHERE source = ?", (source,)).fetchone()
            stored = None if row is None else row[0]
            if stored == position != after:
                return []
            if stored != after:
                raise PositionMoved(f"{source}: the batch does not begin where the last one ended")
            connection.execute("REPLACE INTO position VALUES (?, ?)", (source, position))
            facts_applied.set_meta(connection, "read_at", now)
            bounces = [facts_applied.apply_fact(connection, fact, source, now, proven=proven) for fact in facts]
            return [bounce for bounce in bounces if bounce is not None]

        return await self._thread.run(operation)

    async def report(self, told: Sequence[BounceReport], source: str, *, proven: bool) -> list[ReportEffect]:
        """Take reports, all or none; they are on the disk when this returns, and once however often they come.

        Args:
            source, proven: of the log that says of their deliveries.
        """

        def operation(connection: apsw.Connection) -> list[ReportEffect]:
            return [reports.take(connection, report, source, proven=proven) for report in told]

        reported = await self._thread.run(operation)
        if told:
            await asyncio.to_thread(self._sync)
        return reported

    def _sync(self) -> None:
        """Bring the last commits to the disk: a log is read again after a power cut, a mail does not come again.

        The write-ahead log is one file, whole up to its last frame with a right checksum, and no lock is held on it.
        """
        wal = self._path.with_name(f"{self._path.name}-wal")
        try:
            fd = os.open(wal, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise StoreUnavailable(f"{wal}: {error.strerror}; mend: check its file system") from error

    async def begin(self, source: str, boot: str) -> tuple[bool, float]:
        """Say which source is read from now on, on which boot of the host.

        Another source than before, or another boot, is a gap: what the log of a host that lost power says is not
        whole, and sessions whose end nobody logged have ended.

        Returns:
            Whether that made a gap, and when the watcher last read anything (Unix seconds, 0 when never).
        """

        def operation(connection: apsw.Connection) -> tuple[bool, float]:
            standing = f"{boot} {source}"
            known = facts_applied.meta(connection, "standing")
            is_gap = known is not None and known != standing
            if is_gap:
                facts_applied.gap(connection)
                connection.execute("DELETE FROM session")
                connection.execute("DELETE FROM checkpoint")
            facts_applied.set_meta(connection, "standing", standing)
            return is_gap, float(facts_applied.meta(connection, "read_at") or 0.0)

        return await self._thread.run(operation)

    # The witness

    async def coverage(self) -> tuple[float | None, int]:
        """Since when the log is whole (Unix seconds; None when that is not known), and how many gaps there were."""

        def operation(connection: apsw.Connection) -> tuple[float | None, int]:
            since = facts_applied.meta(connection, "covered_since")
            return None if since is None else float(since), facts_applied.gaps(connection)

        return await self._thread.run(operation)

    async def covered(self, since: float, gaps: int) -> bool:
        """The log is whole from `since` on, unless another gap came meanwhile (`gaps` is no longer the count)."""

        def operation(connection: apsw.Connection) -> bool:
            if facts_applied.gaps(connection) != gaps:
                return False
            facts_applied.set_meta(connection, "covered_since", since)
            return True

        return await self._thread.run(operation)

    async def clock_went_back(self) -> None:
        """Times of before mean nothing any more: what was proved with them is dropped."""

        def operation(connection: apsw.Connection) -> None:
            facts_applied.gap(connection)
            connection.execute("DELETE FROM checkpoint")

        await self._thread.run(operation)

    async def sessions(self) -> dict[int, float]:
        """The sessions of the hand-over listener that have not ended: pid, and when its beginning was read."""
        return await self._thread.run(lambda connection: dict(connection.execute("SELECT pid, seen_at FROM session")))

    async def checkpoint(
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
            _found(connection, found, now)
            covered = facts_applied.meta(connection, "covered_since")
            if covered is None:
                return None
            forgotten = facts_applied.meta(connection, "forgotten_at") or 0.0
            clear_since = max(float(covered), float(forgotten), open_since)
            connection.execute("REPLACE INTO checkpoint VALUES (?, ?, ?)", (began_at, asked_at, clear_since))
            return clear_since

        return await self._thread.run(operation)

    # After a gap

    async def reconciled_gaps(self) -> int | None:
        """How many gaps there were when the queue was last compared with what is known; None when it never was."""

        def operation(connection: apsw.Connection) -> int | None:
            known = facts_applied.meta(connection, "reconciled_gaps")
            return None if known is None else int(known)

        return await self._thread.run(operation)

    async def reconcile(self, began_at: float, gaps: int, found: Mapping[str, str], now: float) -> int | None:
        """Compare what is known with Postfix's queue: what is not there any more has its end in missing lines.

        Args:
            began_at: when the log was whole, and the queue had not been asked yet.
            gaps:     how many there were then.
            found:    token → queue id of what was in the queue; the log was read past that answer.

        Returns:
            How many mails are no longer there; None when another gap came meanwhile, then nothing is changed.
        """

        def operation(connection: apsw.Connection) -> int | None:
            if facts_applied.gaps(connection) != gaps:
                return None
            _found(connection, found, now)
            lost = 0
            # What was seen since may have come after the question; of what was not, each move shows in the log.
            alive: dict[int, str] = dict(
                connection.execute(
                    # The queue of another Postfix on this host, where ours hands on to, was not asked.
                    "SELECT id, token FROM queue AS mail WHERE ended_at IS NULL AND seen_at < ? AND instance IN"
                    " ('', (SELECT instance FROM queue WHERE token = mail.token ORDER BY id LIMIT 1))",
                    (began_at,),
                )
            )
            for queue, token in alive.items():
                if token in found:
                    continue
                (goes_on,) = connection.execute(
                    "SELECT EXISTS (SELECT 1 FROM queue WHERE token = ? AND id > ?)", (token, queue)
                ).fetchall()[0]
                facts_applied.ended(connection, queue, now, None if goes_on else State.UNTRACKED, now)
                lost += not goes_on
            facts_applied.set_meta(connection, "reconciled_gaps", gaps)
            facts_applied.set_meta(connection, "reconciled_at", began_at)
            return lost

        return await self._thread.run(operation)

    # Facts for the shared store

    async def to_share(self, most: int) -> list[SharedFact]:
        """Proven facts that were not shared yet, the oldest first."""
        return await self._thread.run(
            lambda connection: shared_facts(connection, "proven = 1 AND shared_at IS NULL", 0, most)
        )

    async def shared(self, numbers: Sequence[int], now: float) -> None:
        """The shared store has these facts."""

        def operation(connection: apsw.Connection) -> None:
            known = json.dumps(list(numbers))
            among = "number IN (SELECT value FROM json_each(?))"
            # Deliveries are most of all facts, and their own table has them.
            connection.execute(f"DELETE FROM share WHERE cause = '' AND {among}", (known,))
            connection.execute(f"UPDATE share SET shared_at = ? WHERE {among}", (now, known))

        await self._thread.run(operation)

    async def sweep(self, before: float, now: float, budget: int) -> int:
        """Delete up to `budget` mails that left Postfix before `before`, and what is old beside them.

        Returns:
            How many mails were deleted.
        """

        def operation(connection: apsw.Connection) -> int:
            connection.execute(
                "DELETE FROM queue WHERE id IN"
                " (SELECT id FROM queue WHERE seen_at < ? AND ended_at < ? ORDER BY seen_at LIMIT ?)",
                (before, before, budget),
            )
            deleted = connection.changes()
            connection.execute(
                "DELETE FROM share WHERE added_at < ? AND (proven = 0 OR shared_at < ?)", (before, before)
            )
            connection.execute(
                "DELETE FROM share WHERE added_at < ? AND cause = '' AND proven = 0", (now - UNPROVEN_DELIVERY_KEPT_S,)
            )
            connection.execute("DELETE FROM report WHERE taken_at < ?", (before,))
            connection.execute("DELETE FROM checkpoint WHERE began_at < ?", (before,))
            row = connection.execute("SELECT max(seen_at) FROM session WHERE seen_at < ?", (now - SESSION_KEPT_S,))
            forgotten = row.fetchall()[0][0]
            if forgotten is not None:
                connection.execute("DELETE FROM session WHERE seen_at <= ?", (forgotten,))
                # Those forgotten earlier began earlier.
                facts_applied.set_meta(connection, "forgotten_at", forgotten)
            return deleted

        return await self._thread.run(operation)


def _found(connection: apsw.Connection, found: Mapping[str, str], now: float) -> None:
    """Take what the queue was asked for: token → queue id."""
    for token, queue_id in found.items():
        # One the log has told of may have left the queue since it was asked.
        if connection.execute("SELECT 1 FROM queue WHERE token = ?", (token,)).fetchone() is None:
            facts_applied.seen(connection, token, queue_id, now)


def shared_facts(connection: apsw.Connection, which: str, after: int, most: int) -> list[SharedFact]:
    """Facts for the shared store past a number, in their order."""
    rows = connection.execute(
        f"SELECT {SHARED_FACT_COLUMNS} FROM share WHERE {which} AND number > ? ORDER BY number LIMIT ?", (after, most)
    )
    return [
        SharedFact(fact, number, token, queue_id, MaskedRecipient(hashed, domain, hint), *rest)
        for fact, number, token, queue_id, hashed, domain, hint, *rest in rows
    ]


def _connect(path: Path) -> apsw.Connection:
    connection = open_file(path, TRACK, synchronous="NORMAL")
    # Who may only read cannot make the -wal and -shm files: they stay when the watcher ends.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection
