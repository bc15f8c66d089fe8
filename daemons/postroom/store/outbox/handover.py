"""Handing over what is in the outbox: deliveries are leased, and what became of each is stored.

The life of a delivery is drawn in mail_store.py.
"""

import json
from collections.abc import Callable

import apsw

from postroom.mail.states import State
from postroom.store.outbox.messages import ClaimedDelivery, DeliveryInDoubt
from postroom.store.outbox.schema import NEEDS_BODY_SQL
from postroom.store.sqlite.rows import insert_row, named_rows
from postroom.store.sqlite.thread import StoreThread


class OutboxHandover:
    """Operations of the hand-over.

    Args:
        reach: called at each fault point that is passed.
    """

    def __init__(self, thread: StoreThread, reach: Callable[[str], None]) -> None:
        self._thread = thread
        self._reach = reach

    async def recover(self, now: float) -> int:
        """After a start: what a dead process had leased waits again, what it was handing over is in doubt.

        Returns:
            How many deliveries became in doubt.
        """

        def operation(connection: apsw.Connection) -> int:
            connection.execute(
                "UPDATE delivery SET state = 'in_doubt', due_at = NULL, handing = 0, leased = 0,"
                " attempts = attempts + 1, changed_at = ?,"
                " reason = 'Postroom was stopped before the answer to the hand-over was stored' WHERE handing = 1",
                (now,),
            )
            doubtful = connection.changes()
            connection.execute("UPDATE delivery SET leased = 0 WHERE leased = 1")
            return doubtful

        return await self._thread.run(operation)

    async def claim(self, most: int, now: float) -> list[ClaimedDelivery]:
        """Lease up to `most` deliveries that are due, the longest due first."""

        def operation(connection: apsw.Connection) -> list[ClaimedDelivery]:
            rows = named_rows(
                connection,
                "SELECT d.id AS delivery, d.message, t.recipient, m.return_path, m.accepted_at, d.attempts, m.size,"
                " m.client, m.sender, m.stream,"
                " (SELECT json_group_array(recipient) FROM delivery JOIN address ON delivery = id"
                "  WHERE message = d.message AND due_at IS NOT NULL) AS recipients,"
                " EXISTS (SELECT 1 FROM delivery WHERE message = d.message AND attempts > 0) AS is_counted"
                " FROM delivery d JOIN message m ON m.id = d.message JOIN address t ON t.delivery = d.id"
                " WHERE d.due_at IS NOT NULL AND d.leased = 0 AND d.due_at <= ? ORDER BY d.due_at LIMIT ?",
                (now, most),
            )
            connection.executemany("UPDATE delivery SET leased = 1 WHERE id = ?", [(row["delivery"],) for row in rows])
            for row in rows:
                row["recipients"] = tuple(json.loads(row["recipients"]))
                row["is_counted"] = bool(row["is_counted"])
            return [ClaimedDelivery(**row) for row in rows]

        claimed = await self._thread.run(operation)
        if claimed:
            self._reach("claim.committed")
        return claimed

    async def next_due(self) -> float | None:
        """When the next delivery that nobody has leased is due (Unix seconds); None when none waits."""

        def operation(connection: apsw.Connection) -> float | None:
            row = connection.execute(
                "SELECT min(due_at) FROM delivery WHERE due_at IS NOT NULL AND leased = 0"
            ).fetchone()
            return None if row is None else row[0]

        return await self._thread.run(operation)

    async def start_attempt(self, delivery: int, token: str, started_at: float) -> bytes:
        """Store that the body of a leased delivery is about to go out under this token; returns the body.

        Args:
            started_at: taken before the session was opened that it goes out in (Unix seconds): the witness needs it.
        """

        def operation(connection: apsw.Connection) -> bytes:
            connection.execute("UPDATE delivery SET handing = 1, token = ? WHERE id = ?", (token, delivery))
            insert_row(connection, "attempt", {"token": token, "delivery": delivery, "started_at": started_at})
            row = connection.execute(
                "SELECT octets FROM body WHERE message = (SELECT message FROM delivery WHERE id = ?)", (delivery,)
            ).fetchone()
            assert row is not None, "a waiting delivery has a body"
            return bytes(row[0])

        body = await self._thread.run(operation)
        self._reach("handing.committed")
        return body

    async def mark_queued(self, delivery: int, queue_id: str | None, now: float) -> None:
        """Postfix has it, under this queue id."""

        def operation(connection: apsw.Connection) -> None:
            connection.execute(
                # One in doubt was counted when it came to be.
                "UPDATE delivery SET state = 'queued', due_at = NULL, leased = 0, handing = 0, queue_id = ?,"
                " attempts = attempts + (state <> 'in_doubt'), enhanced_status = NULL, reason = NULL, changed_at = ?"
                " WHERE id = ?",
                (queue_id, now, delivery),
            )
            _drop_needless_body(connection, delivery)
            self._reach("queued.before_commit")

        await self._thread.run(operation)
        self._reach("queued.committed")

    async def release(self, delivery: int) -> None:
        """Give a leased delivery back as it was: nothing of it was sent, and it does not count as an attempt."""
        await self._thread.run(
            lambda connection: (
                connection.execute("UPDATE delivery SET leased = 0, handing = 0 WHERE id = ?", (delivery,)) and None
            )
        )

    async def retry(self, delivery: int, due_at: float, enhanced_status: str | None, reason: str, now: float) -> None:
        """Refused for now: try again at `due_at` (Unix seconds)."""

        def operation(connection: apsw.Connection) -> None:
            connection.execute(
                "UPDATE delivery SET state = 'deferred', due_at = ?, leased = 0, handing = 0,"
                " attempts = attempts + 1, enhanced_status = ?, reason = ?, changed_at = ? WHERE id = ?",
                (due_at, enhanced_status, reason, now, delivery),
            )

        await self._thread.run(operation)

    async def hold(self, delivery: int, due_at: float, enhanced_status: str, reason: str, now: float) -> None:
        """Not offered to Postfix now: ask again at `due_at` (Unix seconds). That is no attempt."""

        def operation(connection: apsw.Connection) -> None:
            connection.execute(
                "UPDATE delivery SET state = 'deferred', due_at = ?, leased = 0,"
                " enhanced_status = ?, reason = ?, changed_at = ? WHERE id = ?",
                (due_at, enhanced_status, reason, now, delivery),
            )

        await self._thread.run(operation)

    async def end(self, delivery: int, state: State, enhanced_status: str, reason: str, now: float) -> None:
        """Ended in this state, suppressed or failed, without having been offered to Postfix."""

        def operation(connection: apsw.Connection) -> None:
            connection.execute(
                "UPDATE delivery SET state = ?, due_at = NULL, leased = 0,"
                " enhanced_status = ?, reason = ?, changed_at = ? WHERE id = ?",
                (state, enhanced_status, reason, now, delivery),
            )
            _drop_needless_body(connection, delivery)

        await self._thread.run(operation)

    async def fail(self, delivery: int, enhanced_status: str | None, reason: str, now: float) -> None:
        """Refused for good, or waited too long."""

        def operation(connection: apsw.Connection) -> None:
            connection.execute(
                "UPDATE delivery SET state = 'failed', due_at = NULL, leased = 0, handing = 0,"
                " attempts = attempts + 1, enhanced_status = ?, reason = ?, changed_at = ? WHERE id = ?",
                (enhanced_status, reason, now, delivery),
            )
            _drop_needless_body(connection, delivery)

        await self._thread.run(operation)

    async def mark_in_doubt(self, delivery: int, reason: str, now: float) -> None:
        """The body went out and no answer came."""

        def operation(connection: apsw.Connection) -> None:
            connection.execute(
                "UPDATE delivery SET state = 'in_doubt', due_at = NULL, leased = 0, handing = 0,"
                " attempts = attempts + 1, reason = ?, changed_at = ? WHERE id = ?",
                (reason, now, delivery),
            )

        await self._thread.run(operation)

    async def resend(self, delivery: int, reason: str, now: float) -> None:
        """One in doubt is to be sent again, at once: as a new attempt."""

        def operation(connection: apsw.Connection) -> None:
            connection.execute(
                "UPDATE delivery SET state = 'deferred', due_at = ?, reason = ?, changed_at = ?"
                " WHERE id = ? AND state = 'in_doubt'",
                (now, reason, now, delivery),
            )

        await self._thread.run(operation)

    async def in_doubt(self, after: int, most: int) -> list[DeliveryInDoubt]:
        """Deliveries in doubt, in the order of their ids, from the first past `after`."""

        def operation(connection: apsw.Connection) -> list[DeliveryInDoubt]:
            rows = named_rows(
                connection,
                "SELECT d.id AS delivery, d.message, m.return_path, d.token, a.started_at, d.changed_at AS ended_at"
                " FROM delivery d JOIN message m ON m.id = d.message JOIN attempt a ON a.token = d.token"
                " WHERE d.state = 'in_doubt' AND d.id > ? ORDER BY d.id LIMIT ?",
                (after, most),
            )
            return [
                DeliveryInDoubt(
                    delivery=row["delivery"],
                    message=row["message"],
                    sender=row["return_path"].replace("*", row["token"]),
                    envelope_senders=tuple(
                        row["return_path"].replace("*", token) for token in tokens_of(connection, row["delivery"])
                    ),
                    started_at=row["started_at"],
                    ended_at=row["ended_at"],
                )
                for row in rows
            ]

        return await self._thread.run(operation)


def tokens_of(connection: apsw.Connection, delivery: int) -> tuple[str, ...]:
    """The tokens of all attempts of a delivery whose body may have gone out."""
    rows = connection.execute("SELECT token FROM attempt WHERE delivery = ? ORDER BY token", (delivery,))
    return tuple(token for (token,) in rows)


def _drop_needless_body(connection: apsw.Connection, delivery: int) -> None:
    connection.execute(
        "DELETE FROM body WHERE message = (SELECT message FROM delivery WHERE id = ?1) AND NOT EXISTS"
        " (SELECT 1 FROM delivery WHERE message = (SELECT message FROM delivery WHERE id = ?1)"
        f" AND state IN ({NEEDS_BODY_SQL}))",
        (delivery,),
    )
