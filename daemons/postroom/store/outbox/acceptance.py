"""Accepting a message into the outbox, durably, and once for its idempotency key: what the API does with mail.db."""

import hmac
from collections.abc import Callable, Mapping, Sequence

import apsw

from postroom.mail.recipients import masked_recipient
from postroom.mail.states import State
from postroom.store.outbox.messages import Accepted, Idempotency, Mismatch, OutboxFull, Repeated, StoredMessage, Unsent
from postroom.store.outbox.schema import WAITING_SQL
from postroom.store.sqlite.rows import insert_row
from postroom.store.sqlite.thread import StoreThread


class OutboxAcceptance:
    """Accepts messages.

    Args:
        fingerprint_key: request bodies are hashed with it.
        recipient_key:   recipients are hashed with it.
        reach:           called at each fault point that is passed.
    """

    def __init__(
        self, thread: StoreThread, fingerprint_key: bytes, recipient_key: bytes, reach: Callable[[str], None]
    ) -> None:
        self._thread = thread
        self._fingerprint_key = fingerprint_key
        self._recipient_key = recipient_key
        self._reach = reach

    def fingerprint(self, body: bytes) -> bytes:
        """Keyed hash of a request's body: tells the same body from another, and says nothing of it."""
        return hmac.digest(self._fingerprint_key, body, "sha256")

    async def accept(
        self,
        message: StoredMessage,
        recipients: Sequence[str],
        body: bytes,
        answer: str,
        idempotency: Idempotency | None,
        max_waiting: int,
        suppressed: Mapping[str, Unsent] | None = None,
    ) -> Accepted | Repeated | Mismatch:
        """Store a message for hand-over, once for its idempotency key; durable when this returns.

        Args:
            suppressed: those of its recipients that get nothing of it; not all of them.

        Raises:
            OutboxFull:       with this message more than `max_waiting` deliveries would wait.
            StoreUnavailable: nothing was stored.
        """

        unsent = suppressed or {}

        def operation(connection: apsw.Connection) -> Accepted | Repeated | Mismatch:
            if idempotency is not None:
                known = _known(connection, message.client, idempotency)
                if known is not None:
                    return known
                insert_row(
                    connection,
                    "idem",
                    {
                        "client": message.client,
                        "key": idempotency.key,
                        "fingerprint": idempotency.fingerprint,
                        "answer": answer,
                        "accepted_at": message.accepted_at,
                    },
                )
            waiting = _waiting(connection)
            if waiting + len(recipients) - len(unsent) > max_waiting:
                raise OutboxFull(waiting, max_waiting)
            insert_row(
                connection,
                "message",
                {
                    "id": message.id,
                    "client": message.client,
                    "message_id": message.message_id,
                    "return_path": message.return_path,
                    "accepted_at": message.accepted_at,
                    "size": len(body),
                    "template": message.template,
                    "template_version": message.template_version,
                    "sender": message.sender,
                    "stream": message.stream,
                },
            )
            insert_row(connection, "body", {"message": message.id, "octets": body})
            for recipient in recipients:
                insert_row(connection, "delivery", self._delivery(message, recipient, unsent.get(recipient)))
                if recipient not in unsent:  # it has ended: nobody needs the address
                    insert_row(
                        connection, "address", {"delivery": connection.last_insert_rowid(), "recipient": recipient}
                    )
            self._reach("accept.before_commit")
            return Accepted()

        result = await self._thread.run(operation, lasting=True)
        self._reach("accept.committed")
        return result

    async def replay(self, client: str, idempotency: Idempotency) -> Repeated | Mismatch | None:
        """What is known of a client's idempotency key; None when it is new.

        Raises:
            StoreUnavailable: what is known of it would not outlive this process, or cannot be read.
        """
        return await self._thread.run(lambda connection: _known(connection, client, idempotency), lasting=True)

    def _delivery(self, message: StoredMessage, recipient: str, unsent: Unsent | None) -> dict[str, str | float | None]:
        kept, at = masked_recipient(self._recipient_key, recipient), message.accepted_at
        row: dict[str, str | float | None] = {
            "message": message.id,
            "recipient_hash": kept.hash,
            "hint": kept.hint,
            "changed_at": at,
        }
        if unsent is None:
            return {**row, "state": State.ACCEPTED, "due_at": at}
        return {
            **row,
            "state": State.SUPPRESSED,
            "enhanced_status": unsent.enhanced_status,
            "reason": unsent.reason,
        }


def _known(connection: apsw.Connection, client: str, idempotency: Idempotency) -> Repeated | Mismatch | None:
    row = connection.execute(
        "SELECT fingerprint, answer FROM idem WHERE client = ? AND key = ?", (client, idempotency.key)
    ).fetchone()
    if row is None:
        return None
    return Repeated(row[1]) if hmac.compare_digest(bytes(row[0]), idempotency.fingerprint) else Mismatch()


def _waiting(connection: apsw.Connection) -> int:
    row = connection.execute(
        f"SELECT coalesce(sum(deliveries), 0) FROM tally WHERE state IN ({WAITING_SQL})"
    ).fetchone()
    assert row is not None
    count: int = row[0]
    return count
