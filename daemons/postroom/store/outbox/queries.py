"""What is in the outbox, and taking out what is old."""

from typing import Any

import apsw

from postroom.mail.addresses import domain_of
from postroom.mail.recipients import MaskedRecipient
from postroom.mail.states import NEEDS_BODY, State
from postroom.store.outbox.handover import tokens_of
from postroom.store.outbox.messages import DeliveryView, MessageView, OutboxFigures, StoredMessage
from postroom.store.outbox.part import Part

_NEEDS_BODY = ", ".join(f"'{state}'" for state in NEEDS_BODY)


class Reading(Part):
    """Operations of whoever asks, and of the sweep."""

    async def message(self, message: str) -> MessageView | None:
        """A message with its deliveries; None when there is none (any more)."""

        def operation(connection: apsw.Connection) -> MessageView | None:
            row = connection.execute(
                "SELECT id, client, message_id, return_path, accepted_at, template, template_version, sender, stream,"
                " size FROM message WHERE id = ?",
                (message,),
            ).fetchone()
            if row is None:
                return None
            deliveries: list[Any] = connection.execute(
                "SELECT id, recipient_hash, hint, state, attempts, queue_id, enhanced_status, reason, due_at,"
                " changed_at FROM delivery WHERE message = ? ORDER BY id",
                (message,),
            ).fetchall()
            return MessageView(
                StoredMessage(*row[:9]),
                row[9],
                tuple(
                    DeliveryView(
                        MaskedRecipient(hashed, domain_of(hint), hint),
                        State(state),
                        *(*rest, tokens_of(connection, delivery)),
                    )
                    for delivery, hashed, hint, state, *rest in deliveries
                ),
            )

        return await self._thread.run(operation)

    async def recipient_of(self, token: str, queue_id: str) -> str | None:
        """The hash of the recipient of the attempt with this token, if Postfix took it from us under this queue id."""

        def operation(connection: apsw.Connection) -> str | None:
            row = connection.execute(
                "SELECT d.recipient_hash FROM attempt a JOIN delivery d ON d.id = a.delivery"
                " WHERE a.token = ? AND d.queue_id = ?",
                (token, queue_id),
            ).fetchone()
            return None if row is None else row[0]

        return await self._thread.run(operation)

    async def confirmed(self) -> int:
        """The number of the last fact of the watcher's that was looked into (see confirming.py); 0 at first."""

        def operation(connection: apsw.Connection) -> int:
            row = connection.execute("SELECT value FROM meta WHERE name = 'confirmed'").fetchone()
            return 0 if row is None else int(row[0])

        return await self._thread.run(operation)

    async def set_confirmed(self, number: int) -> None:
        """Facts up to this number were looked into."""

        def operation(connection: apsw.Connection) -> None:
            connection.execute("REPLACE INTO meta VALUES ('confirmed', ?)", (str(number),))

        await self._thread.run(operation)

    async def figures(self) -> OutboxFigures:
        """How many deliveries are in each state, and how long the oldest has waited."""

        def operation(connection: apsw.Connection) -> OutboxFigures:
            deliveries = {State(state): count for state, count in connection.execute("SELECT * FROM tally")}
            # The smallest id is the oldest: ids are UUIDv7.
            row = connection.execute(
                "SELECT m.accepted_at FROM message m WHERE m.id ="
                " (SELECT min(message) FROM delivery WHERE due_at IS NOT NULL)"
            ).fetchone()
            return OutboxFigures(deliveries, None if row is None else row[0])

        return await self._thread.run(operation)

    async def sweep(self, messages_before: float, keys_before: float, budget: int) -> int:
        """Delete up to `budget` ended messages and idempotency keys accepted before these times (Unix seconds).

        A message with a delivery that waits or is in doubt stays, however old.

        Returns:
            How many rows of the two were deleted.
        """

        def operation(connection: apsw.Connection) -> int:
            connection.execute(
                "DELETE FROM idem WHERE (client, key) IN"
                " (SELECT client, key FROM idem WHERE accepted_at < ? ORDER BY accepted_at LIMIT ?)",
                (keys_before, budget),
            )
            deleted = connection.changes()
            old = connection.execute(
                "SELECT id FROM message m WHERE accepted_at < ? AND NOT EXISTS"
                f" (SELECT 1 FROM delivery WHERE message = m.id AND state IN ({_NEEDS_BODY}))"
                " ORDER BY accepted_at LIMIT ?",
                (messages_before, budget - deleted),
            ).fetchall()
            connection.executemany("DELETE FROM message WHERE id = ?", old)
            return deleted + len(old)

        return await self._thread.run(operation)
