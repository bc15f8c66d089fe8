"""The outbox's door: accepting a message once, durably."""

import hmac
from collections.abc import Mapping, Sequence

import apsw

from postroom.mail.recipients import masked_recipient
from postroom.mail.states import WAITING, State
from postroom.store.outbox.messages import Accepted, Idempotency, Mismatch, OutboxFull, Repeated, StoredMessage, Unsent
from postroom.store.outbox.part import Part

_WAITING = ", ".join(f"'{state}'" for state in WAITING)


class Accepting(Part):
    """Operations of the API."""

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
                connection.execute(
                    "INSERT INTO idem VALUES (?, ?, ?, ?, ?)",
                    (message.client, idempotency.key, idempotency.fingerprint, answer, message.accepted_at),
                )
            waiting = _waiting(connection)
            if waiting + len(recipients) - len(unsent) > max_waiting:
                raise OutboxFull(waiting, max_waiting)
            connection.execute(
                "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    message.id,
                    message.client,
                    message.message_id,
                    message.return_path,
                    message.accepted_at,
                    len(body),
                    message.template,
                    message.template_version,
                    message.sender,
                    message.stream,
                ),
            )
            connection.execute("INSERT INTO body VALUES (?, ?)", (message.id, body))
            connection.executemany(
                "INSERT INTO delivery (message, recipient, recipient_hash, hint, state, due_at, enhanced_status,"
                " reason, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [self._delivery(message, recipient, unsent.get(recipient)) for recipient in recipients],
            )
            self._reach("accept.before_commit")
            return Accepted()

        result = await self._thread.run(operation)
        self._reach("accept.committed")
        return result

    async def replay(self, client: str, idempotency: Idempotency) -> Repeated | Mismatch | None:
        """What is known of a client's idempotency key; None when it is new."""
        return await self._thread.run(lambda connection: _known(connection, client, idempotency))

    def _delivery(
        self, message: StoredMessage, recipient: str, unsent: Unsent | None
    ) -> tuple[str | float | None, ...]:
        kept, at = masked_recipient(self._recipient_key, recipient), message.accepted_at
        if unsent is None:
            return message.id, recipient, kept.hash, kept.hint, State.ACCEPTED, at, None, None, at
        # It has ended: nobody needs the address.
        return message.id, "", kept.hash, kept.hint, State.SUPPRESSED, None, unsent.enhanced_status, unsent.reason, at


def _known(connection: apsw.Connection, client: str, idempotency: Idempotency) -> Repeated | Mismatch | None:
    row = connection.execute(
        "SELECT fingerprint, answer FROM idem WHERE client = ? AND key = ?", (client, idempotency.key)
    ).fetchone()
    if row is None:
        return None
    return Repeated(row[1]) if hmac.compare_digest(bytes(row[0]), idempotency.fingerprint) else Mismatch()


def _waiting(connection: apsw.Connection) -> int:
    row = connection.execute(f"SELECT coalesce(sum(deliveries), 0) FROM tally WHERE state IN ({_WAITING})").fetchone()
    assert row is not None
    count: int = row[0]
    return count
