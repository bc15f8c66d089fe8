"""track.db: how far Postfix's log was read, stored together with what was read."""

from collections.abc import Sequence

import apsw

from postroom.store.sqlite.thread import StoreThread
from postroom.store.track import deliveries, meta, refusals
from postroom.store.track.evidence import Bounce
from postroom.store.track.facts import (
    DeliveryTried,
    Fact,
    ForeignMail,
    GaveUp,
    InstanceStarted,
    InstanceStopping,
    LeftQueue,
    LogGap,
    MailBegan,
    MailForwarded,
    MailRefused,
    NoticeQueued,
    ProbeEnded,
    SeenInQueue,
    SessionEnded,
    SessionOpened,
)


class PositionMoved(Exception):
    """The source stands elsewhere than the batch began: its lines were not taken."""


class TrackLog:
    """How far each source was read, and the facts read so far: stored in one step."""

    def __init__(self, thread: StoreThread) -> None:
        self._thread = thread

    async def begin(self, source: str, boot: str) -> tuple[bool, float]:
        """Say which source is read from now on, on which boot of the host.

        Another source than before, or another boot, is a gap: what the log of a host that lost power says is not
        whole, and sessions whose end was not logged have ended.

        Returns:
            Whether that made a gap, and when the watcher last read anything (Unix seconds, 0 when never).
        """

        def operation(connection: apsw.Connection) -> tuple[bool, float]:
            standing = f"{boot} {source}"
            known = meta.value(connection, meta.STANDING)
            is_gap = known is not None and known != standing
            if is_gap:
                meta.add_gap(connection)
                connection.execute("DELETE FROM session")
                connection.execute("DELETE FROM checkpoint")
            meta.set_value(connection, meta.STANDING, standing)
            return is_gap, float(meta.value(connection, meta.READ_AT) or 0.0)

        return await self._thread.run(operation)

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
        nowhere is not: it stands for a gap behind which nothing was written yet.

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
            connection.execute("REPLACE INTO position (source, position) VALUES (?, ?)", (source, position))
            meta.set_value(connection, meta.READ_AT, now)
            relevant = refusals.without_idle_beginnings(connection, facts)
            bounces = [_apply_fact(connection, fact, source, now, proven=proven) for fact in relevant]
            return [bounce for bounce in bounces if bounce is not None]

        return await self._thread.run(operation)


def _apply_fact(connection: apsw.Connection, fact: Fact, source: str, now: float, *, proven: bool) -> Bounce | None:
    """Store one fact; returns the bounce of our mail it is, or lets a report count that waited for it.

    Args:
        now:    when it was read, in Unix seconds; never before an earlier one.
        proven: whether the source proves who wrote its lines.
    """
    match fact:
        case SeenInQueue(token, queue_id, instance, recipients):
            deliveries.seen(connection, token, queue_id, now, instance, recipients)
            meta.set_value(connection, meta.INSTANCE, instance)
        case ForeignMail() | MailForwarded():
            deliveries.note_foreign(connection, fact, now)
        case NoticeQueued(queue_id, notice):
            # Of a log that anybody can write into it proves nothing; what it tells stands there anyway.
            return deliveries.noticed(connection, queue_id, notice, source, now) if proven else None
        case DeliveryTried():
            return deliveries.tried(connection, fact, source, proven=proven)
        case GaveUp():
            deliveries.gave_up(connection, fact, source, proven=proven)
        case LeftQueue():
            deliveries.left(connection, fact, now)
        case MailBegan() | MailRefused():
            refusals.note(connection, fact, proven=proven)
        case SessionOpened() | SessionEnded() | InstanceStopping() | InstanceStarted():
            _apply_session(connection, fact, now)
        case ProbeEnded():
            pass  # nothing to keep: it marks a place in the log for who waits for it
        case LogGap():
            meta.add_gap(connection)
    return None


def _apply_session(
    connection: apsw.Connection, fact: SessionOpened | SessionEnded | InstanceStopping | InstanceStarted, now: float
) -> None:
    """Store which sessions of the hand-over listener are open."""
    match fact:
        case SessionOpened(pid):
            # The one before of this process, whose end was not logged, has ended: it has one at a time.
            connection.execute("REPLACE INTO session (pid, seen_at) VALUES (?, ?)", (pid, now))
        case SessionEnded(pid):
            connection.execute("DELETE FROM session WHERE pid = ?", (pid,))
        case InstanceStopping(instance):
            meta.set_value(connection, meta.STOPPING, instance)
        case InstanceStarted(instance):
            if instance == meta.value(connection, meta.STOPPING) == meta.value(connection, meta.INSTANCE):
                # It was stopped in order, which ends every process of it, and its successor holds the lock: all
                # sessions so far were the old one's.
                connection.execute("DELETE FROM session")
            connection.execute("DELETE FROM meta WHERE name = ? AND value = ?", (meta.STOPPING, instance))
