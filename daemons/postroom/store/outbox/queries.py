"""What is in the outbox, for whoever asks: the API, metrics, and the confirmation of what a log file says."""

import apsw

from postroom.mail.addresses import domain_of
from postroom.mail.recipients import MaskedRecipient
from postroom.mail.states import State
from postroom.store.outbox.handover import tokens_of
from postroom.store.outbox.messages import DeliveryView, MessageView, OutboxFigures, StoredMessage
from postroom.store.sqlite.rows import Row, named_rows
from postroom.store.sqlite.thread import StoreThread


class OutboxQueries:
    """What is asked of the outbox: by the API, for figures, and by who confirms a log file."""

    def __init__(self, thread: StoreThread) -> None:
        self._thread = thread

    async def ping(self) -> None:
        """Do nothing but show that the file can be used, and what is stored in it lasts.

        Raises:
            StoreUnavailable: it cannot.
        """
        await self._thread.run(
            lambda connection: connection.execute("SELECT 1 FROM meta LIMIT 1").fetchall() and None, lasting=True
        )

    async def message(self, message: str) -> MessageView | None:
        """A message with its deliveries; None when there is none (any more)."""

        def operation(connection: apsw.Connection) -> MessageView | None:
            found = named_rows(
                connection,
                "SELECT id, client, message_id, return_path, accepted_at, template, template_version, sender, stream,"
                " size FROM message WHERE id = ?",
                (message,),
            )
            if not found:
                return None
            (row,) = found
            size = row.pop("size")
            deliveries = named_rows(
                connection,
                "SELECT id, recipient_hash, hint, state, attempts, queue_id, enhanced_status, reason,"
                " due_at AS next_try, changed_at FROM delivery WHERE message = ? ORDER BY id",
                (message,),
            )
            return MessageView(
                message=StoredMessage(**row),
                size=size,
                deliveries=tuple(_view(delivery, tokens_of(connection, delivery["id"])) for delivery in deliveries),
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

    async def confirmed_up_to(self) -> int:
        """The number of the last fact of track.db that was looked into (handover/confirmation.py); 0 at first."""

        def operation(connection: apsw.Connection) -> int:
            row = connection.execute("SELECT value FROM meta WHERE name = 'confirmed'").fetchone()
            return 0 if row is None else int(row[0])

        return await self._thread.run(operation)

    async def set_confirmed_up_to(self, number: int) -> None:
        """Facts up to this number were looked into."""

        def operation(connection: apsw.Connection) -> None:
            connection.execute("REPLACE INTO meta (name, value) VALUES ('confirmed', ?)", (str(number),))

        await self._thread.run(operation)

    async def figures(self) -> OutboxFigures:
        """How many deliveries are in each state, and how long the oldest has waited."""

        def operation(connection: apsw.Connection) -> OutboxFigures:
            deliveries = {
                State(state): count for state, count in connection.execute("SELECT state, deliveries FROM tally")
            }
            # The smallest id is the oldest: ids are UUIDv7.
            row = connection.execute(
                "SELECT m.accepted_at FROM message m WHERE m.id ="
                " (SELECT min(message) FROM delivery WHERE due_at IS NOT NULL)"
            ).fetchone()
            return OutboxFigures(deliveries, None if row is None else row[0])

        return await self._thread.run(operation)


def _view(delivery: Row, tokens: tuple[str, ...]) -> DeliveryView:
    return DeliveryView(
        recipient=MaskedRecipient(delivery["recipient_hash"], domain_of(delivery["hint"]), delivery["hint"]),
        state=State(delivery["state"]),
        attempts=delivery["attempts"],
        queue_id=delivery["queue_id"],
        enhanced_status=delivery["enhanced_status"],
        reason=delivery["reason"],
        next_try=delivery["next_try"],
        changed_at=delivery["changed_at"],
        tokens=tokens,
    )
