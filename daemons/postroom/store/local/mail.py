"""mail.db: the outbox. Messages accepted here, their bodies, deliveries and idempotency keys.

One process opens it (a lock says so), and every commit is on the disk before
its caller goes on (synchronous=FULL, group commit in the store thread), which
is what makes a 202 durable. Each operation is one transaction.

The life of a delivery:

    accept ─► accepted ─ claim ─► (leased) ─ handing ─► (body on its way) ─► queued | retry | fail | doubt
                  ▲                  │ release                                 │
                  └──────────────────┴──────────────── deferred ◄──────────────┘

`handing` is stored before the body goes out and cleared with the answer, so
what is found `handing` after a crash is exactly what is in doubt.
"""

import fcntl
import hmac
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from postroom.mail.states import NEEDS_BODY, WAITING, State
from postroom.store.errors import StoreUnavailable
from postroom.store.local.schema import MAIL
from postroom.store.sqlite import open_file, translated
from postroom.store.thread import StoreThread

_WAITING = ", ".join(f"'{state}'" for state in WAITING)
_NEEDS_BODY = ", ".join(f"'{state}'" for state in NEEDS_BODY)


@dataclass(frozen=True, slots=True)
class Message:
    """What is stored of a message beside its body and deliveries. `return_path` has '*' where the token goes."""

    id: str
    client: str
    message_id: str
    return_path: str
    accepted_at: float
    template: str | None = None
    template_version: str | None = None


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's idempotency key, and the keyed hash of the body it came with (see `MailStore.fingerprint`)."""

    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class New:
    """The message was stored."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The key was used before with the same body: the answer given then."""

    answer: str


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The key was used before with another body."""


class OutboxFull(Exception):
    """So many deliveries wait that no more are taken."""

    def __init__(self, waiting: int, most: int) -> None:
        super().__init__(f"{waiting} deliveries wait for Postfix, the most is {most}")


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery leased to a session."""

    delivery: int
    message: str
    recipient: str
    return_path: str
    accepted_at: float
    attempts: int
    size: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """A delivery in doubt, with the envelope senders that its attempts had."""

    delivery: int
    message: str
    envelope_senders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A delivery as it stands. Times are Unix seconds."""

    recipient: str
    state: State
    attempts: int
    queue_id: str | None
    enhanced_status: str | None
    reason: str | None
    next_try: float | None
    changed_at: float


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message and its deliveries, in the order of its recipients."""

    message: Message
    size: int
    deliveries: tuple[DeliveryView, ...]


@dataclass(frozen=True, slots=True)
class OutboxFigures:
    """Deliveries by state, and since when the oldest of those that wait has been waiting (Unix seconds)."""

    deliveries: dict[State, int]
    oldest_waiting: float | None


class MailStore:
    """The outbox of this host. Made by `init`, opened by exactly one process."""

    def __init__(self, path: Path, lock_fd: int, fingerprint_key: bytes, reach: Callable[[str], None]) -> None:
        self._path = path
        self._lock_fd = lock_fd
        self._fingerprint_key = fingerprint_key
        self._reach = reach
        self._thread = StoreThread(path, lambda: _connect(path))

    @staticmethod
    def init(path: Path) -> bool:
        """Make the file (0600) in its folder (0700) where missing; returns whether it was made.

        Raises:
            StoreUnavailable: it cannot be made.
        """
        try:
            # Folders above it are made with the caller's umask: other daemons have theirs beside ours.
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = not path.exists()
            # The files SQLite puts beside it get its mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreUnavailable(
                f"{path}: cannot be made ({error.strerror}); mend: check owner and mode of the folders above it"
            ) from error
        connection = _connect(path)
        try:
            connection.execute(
                "INSERT INTO meta VALUES ('fingerprint_key', ?) ON CONFLICT DO NOTHING", (secrets.token_bytes(32),)
            )
        except apsw.Error as error:
            raise translated(error, path) from error
        finally:
            connection.close()
        return made

    @staticmethod
    def open(path: Path, reach: Callable[[str], None] = lambda _point: None) -> "MailStore":
        """Open the outbox for this process alone. `reach` is told when a fault point is passed.

        Raises:
            StoreUnavailable: missing, not ours, damaged, or open in another process.
        """
        lock_fd = _lock(path)
        try:
            connection = _connect(path)
            try:
                row = connection.execute("SELECT value FROM meta WHERE name = 'fingerprint_key'").fetchone()
            finally:
                connection.close()
        except apsw.Error as error:
            os.close(lock_fd)
            raise translated(error, path) from error
        except StoreUnavailable:
            os.close(lock_fd)
            raise
        if row is None:
            os.close(lock_fd)
            raise StoreUnavailable(f"{path}: was never finished; mend: `postroom store init`")
        return MailStore(path, lock_fd, bytes(row[0]), reach)

    async def close(self) -> None:
        """Finish what waits, then let go of the file."""
        await self._thread.close()
        os.close(self._lock_fd)

    def fingerprint(self, body: bytes) -> bytes:
        """Keyed hash of a request's body: tells the same body from another, and says nothing of it."""
        return hmac.digest(self._fingerprint_key, body, "sha256")

    # Accepting

    async def accept(
        self,
        message: Message,
        recipients: Sequence[str],
        body: bytes,
        answer: str,
        idempotency: Idempotency | None,
        max_waiting: int,
    ) -> New | Replay | Mismatch:
        """Store a message for hand-over, once for its idempotency key; durable when this returns.

        Raises:
            OutboxFull:       with this message more than `max_waiting` deliveries would wait.
            StoreUnavailable: nothing was stored.
        """

        def operation(connection: apsw.Connection) -> New | Replay | Mismatch:
            if idempotency is not None:
                known = _known(connection, message.client, idempotency)
                if known is not None:
                    return known
                connection.execute(
                    "INSERT INTO idem VALUES (?, ?, ?, ?, ?)",
                    (message.client, idempotency.key, idempotency.fingerprint, answer, message.accepted_at),
                )
            waiting = _waiting(connection)
            if waiting + len(recipients) > max_waiting:
                raise OutboxFull(waiting, max_waiting)
            connection.execute(
                "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    message.id,
                    message.client,
                    message.message_id,
                    message.return_path,
                    message.accepted_at,
                    len(body),
                    message.template,
                    message.template_version,
                ),
            )
            connection.execute("INSERT INTO body VALUES (?, ?)", (message.id, body))
            connection.executemany(
                "INSERT INTO delivery (message, recipient, state, due_at, changed_at) VALUES (?, ?, 'accepted', ?, ?)",
                [(message.id, recipient, message.accepted_at, message.accepted_at) for recipient in recipients],
            )
            self._reach("accept.before_commit")
            return New()

        result = await self._thread.run(operation)
        self._reach("accept.committed")
        return result

    async def replay(self, client: str, idempotency: Idempotency) -> Replay | Mismatch | None:
        """What is known of a client's idempotency key; None when it is new."""
        return await self._thread.run(lambda connection: _known(connection, client, idempotency))

    # Handing over

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

    async def claim(self, most: int, now: float) -> list[Claimed]:
        """Lease up to `most` deliveries that are due, the longest due first."""

        def operation(connection: apsw.Connection) -> list[Claimed]:
            rows: list[Any] = connection.execute(
                "SELECT d.id, d.message, d.recipient, m.return_path, m.accepted_at, d.attempts, m.size"
                " FROM delivery d JOIN message m ON m.id = d.message"
                " WHERE d.due_at IS NOT NULL AND d.leased = 0 AND d.due_at <= ? ORDER BY d.due_at LIMIT ?",
                (now, most),
            ).fetchall()
            connection.executemany("UPDATE delivery SET leased = 1 WHERE id = ?", [(row[0],) for row in rows])
            return [Claimed(*row) for row in rows]

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

    async def handing(self, delivery: int, token: str, now: float) -> bytes:
        """Store that the body of a leased delivery is about to go out under this token; returns the body."""

        def operation(connection: apsw.Connection) -> bytes:
            connection.execute("UPDATE delivery SET handing = 1, token = ? WHERE id = ?", (token, delivery))
            connection.execute("INSERT INTO attempt VALUES (?, ?, ?)", (token, delivery, now))
            row = connection.execute(
                "SELECT octets FROM body WHERE message = (SELECT message FROM delivery WHERE id = ?)", (delivery,)
            ).fetchone()
            assert row is not None, "a waiting delivery has a body"
            return bytes(row[0])

        body = await self._thread.run(operation)
        self._reach("handing.committed")
        return body

    async def queued(self, delivery: int, queue_id: str | None, now: float) -> None:
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

    async def doubt(self, delivery: int, reason: str, now: float) -> None:
        """The body went out and no answer came."""

        def operation(connection: apsw.Connection) -> None:
            connection.execute(
                "UPDATE delivery SET state = 'in_doubt', due_at = NULL, leased = 0, handing = 0,"
                " attempts = attempts + 1, reason = ?, changed_at = ? WHERE id = ?",
                (reason, now, delivery),
            )

        await self._thread.run(operation)

    async def doubts(self, after: int, most: int) -> list[Doubt]:
        """Deliveries in doubt, in the order of their ids, from the first past `after`."""

        def operation(connection: apsw.Connection) -> list[Doubt]:
            rows: list[Any] = connection.execute(
                "SELECT d.id, d.message, m.return_path FROM delivery d JOIN message m ON m.id = d.message"
                " WHERE d.state = 'in_doubt' AND d.id > ? ORDER BY d.id LIMIT ?",
                (after, most),
            ).fetchall()
            return [
                Doubt(
                    delivery,
                    message,
                    tuple(
                        return_path.replace("*", token)
                        for (token,) in connection.execute("SELECT token FROM attempt WHERE delivery = ?", (delivery,))
                    ),
                )
                for delivery, message, return_path in rows
            ]

        return await self._thread.run(operation)

    # Reading

    async def message(self, message: str) -> MessageView | None:
        """A message with its deliveries; None when there is none (any more)."""

        def operation(connection: apsw.Connection) -> MessageView | None:
            row = connection.execute(
                "SELECT id, client, message_id, return_path, accepted_at, template, template_version, size"
                " FROM message WHERE id = ?",
                (message,),
            ).fetchone()
            if row is None:
                return None
            deliveries = connection.execute(
                "SELECT recipient, state, attempts, queue_id, enhanced_status, reason, due_at, changed_at"
                " FROM delivery WHERE message = ? ORDER BY id",
                (message,),
            )
            return MessageView(
                Message(*row[:7]),
                row[7],
                tuple(DeliveryView(recipient, State(state), *rest) for recipient, state, *rest in deliveries),
            )

        return await self._thread.run(operation)

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


def _connect(path: Path) -> apsw.Connection:
    return open_file(path, MAIL, synchronous="FULL", secure_delete=True)


def _lock(path: Path) -> int:
    lock = path.with_suffix(".lock")
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable(
            f"{lock}: cannot be opened ({error.strerror}); mend: `postroom store init`, and check owner and mode"
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise StoreUnavailable(
            f"{path}: another process has this outbox open; mend: stop the other postroom-submission first"
        ) from error
    return fd


def _known(connection: apsw.Connection, client: str, idempotency: Idempotency) -> Replay | Mismatch | None:
    row = connection.execute(
        "SELECT fingerprint, answer FROM idem WHERE client = ? AND key = ?", (client, idempotency.key)
    ).fetchone()
    if row is None:
        return None
    return Replay(row[1]) if hmac.compare_digest(bytes(row[0]), idempotency.fingerprint) else Mismatch()


def _waiting(connection: apsw.Connection) -> int:
    row = connection.execute(f"SELECT coalesce(sum(deliveries), 0) FROM tally WHERE state IN ({_WAITING})").fetchone()
    assert row is not None
    count: int = row[0]
    return count


def _drop_needless_body(connection: apsw.Connection, delivery: int) -> None:
    connection.execute(
        "DELETE FROM body WHERE message = (SELECT message FROM delivery WHERE id = ?1) AND NOT EXISTS"
        " (SELECT 1 FROM delivery WHERE message = (SELECT message FROM delivery WHERE id = ?1)"
        f" AND state IN ({_NEEDS_BODY}))",
        (delivery,),
    )
