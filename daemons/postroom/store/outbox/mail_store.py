"""mail.db: the outbox. Messages accepted here, their bodies, deliveries and idempotency keys.

One process opens it (a lock says so), and every commit is on the disk before
its caller goes on (synchronous=FULL, group commit in the store thread), which
is what makes a 202 durable. Each operation is one transaction.

The life of a delivery:

    accept ─► accepted ─ claim ─► (leased) ─ start_attempt ─► (handing: body on its way) ─► queued | failed | in_doubt
                  ▲                  │ release                         │ retry
                  └──────────────────┴──────────── deferred ◄──────────┘

`handing` is stored before the body goes out and cleared with the answer, so what is found `handing` after a crash is
exactly what is in doubt.

Operations: acceptance.py (the API's), handover.py, queries.py.

Privacy: a recipient is in clear until its delivery is queued, failed or suppressed, and with it the body. What stays is
         its keyed hash and masked form, for the log to be compared with and for whoever asks. The WAL, where the
         clear text stands a while longer, is emptied soon after (sqlite/sole_file.py).
"""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from postroom.mail.recipients import masked_recipient, masked_reply
from postroom.store.errors import StoreUnavailable
from postroom.store.lock import lock_file
from postroom.store.outbox.acceptance import OutboxAcceptance
from postroom.store.outbox.handover import OutboxHandover
from postroom.store.outbox.queries import OutboxQueries
from postroom.store.outbox.schema import MAIL, NEEDS_BODY_SQL
from postroom.store.sqlite.file import open_file, translated
from postroom.store.sqlite.sole_file import SoleFile
from postroom.store.sqlite.thread import StoreThread


class MailStore:
    """The outbox of this host. Made by `init`, opened by exactly one process."""

    def __init__(
        self, path: Path, lock_fd: int, fingerprint_key: bytes, recipient_key: bytes, reach: Callable[[str], None]
    ) -> None:
        self._lock_fd = lock_fd
        # Deleted, it is handed over from as long as it is open: what was accepted stands nowhere else.
        self._file = SoleFile(path, serves_when_gone=True)
        self._thread = StoreThread(path, lambda: _connect(path), sole=self._file)
        self.acceptance = OutboxAcceptance(self._thread, fingerprint_key, recipient_key, reach)
        self.handover = OutboxHandover(self._thread, reach)
        self.queries = OutboxQueries(self._thread)

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
                "INSERT INTO meta (name, value) VALUES ('fingerprint_key', ?) ON CONFLICT DO NOTHING",
                (secrets.token_bytes(32),),
            )
        except apsw.Error as error:
            raise translated(error, path) from error
        finally:
            connection.close()
        return made

    @staticmethod
    def open(path: Path, recipient_key: bytes, reach: Callable[[str], None] = lambda _point: None) -> "MailStore":
        """Open the outbox for this process alone.

        Args:
            recipient_key: recipients are hashed with it.
            reach:         called at each fault point that is passed.

        Raises:
            StoreUnavailable: missing, not ours, damaged, or open in another process.
        """
        lock_fd = lock_file(path, "submission")
        try:
            connection = _connect(path)
            try:
                row = connection.execute("SELECT value FROM meta WHERE name = 'fingerprint_key'").fetchone()
                _hash_recipients(connection, recipient_key)
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
        return MailStore(path, lock_fd, bytes(row[0]), recipient_key, reach)

    async def close(self) -> None:
        """Finish what waits, then let go of the file."""
        await self._thread.close()
        os.close(self._lock_fd)

    def wal_overdue_s(self) -> float:
        """For how long mail.db-wal should have been emptied: a reader holds it; 0 when it is not overdue."""
        return self._file.overdue_s()

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
                f" (SELECT 1 FROM delivery WHERE message = m.id AND state IN ({NEEDS_BODY_SQL}))"
                " ORDER BY accepted_at LIMIT ?",
                (messages_before, budget - deleted),
            ).fetchall()
            connection.executemany("DELETE FROM message WHERE id = ?", old)
            return deleted + len(old)

        return await self._thread.run(operation)


def _hash_recipients(connection: apsw.Connection, recipient_key: bytes) -> None:
    """Give rows of an older Postroom the form they have now; of those that have ended the address goes."""
    with connection:
        rows: list[Any] = connection.execute(
            "SELECT id, recipient, reason FROM delivery JOIN address ON delivery = id WHERE recipient_hash = ''"
        ).fetchall()
        for delivery, recipient, reason in rows:
            kept = masked_recipient(recipient_key, recipient)
            connection.execute(
                # The state is written again for the trigger, which knows what has ended.
                "UPDATE delivery SET recipient_hash = ?, hint = ?, reason = ?, state = state WHERE id = ?",
                (kept.hash, kept.hint, None if reason is None else masked_reply(reason, recipient), delivery),
            )


def _connect(path: Path) -> apsw.Connection:
    return open_file(path, MAIL, synchronous="FULL", secure_delete=True)
