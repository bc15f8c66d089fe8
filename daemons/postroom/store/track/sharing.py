"""track.db: what speaks for or against a recipient, on its way to the shared store.

A proven fact waits here until the shared store has it. One that stands in a log file only (anybody on the host can
write there) is left for submission, which looks into it (submission/handover/confirmation.py).
"""

import json
import secrets
from collections.abc import Sequence

import apsw

from postroom.mail.recipients import MaskedRecipient
from postroom.store.sqlite.rows import SQLiteValue, insert_row, named_rows
from postroom.store.sqlite.thread import StoreThread
from postroom.store.track.evidence import RecipientFault, SharedFact


class TrackSharing:
    """The watcher's operations on what is to be shared."""

    def __init__(self, thread: StoreThread) -> None:
        self._thread = thread

    async def waiting(self, most: int) -> list[SharedFact]:
        """Proven facts that were not shared yet, the oldest first."""
        return await self._thread.run(
            lambda connection: shared_facts(connection, "proven = 1 AND shared_at IS NULL", 0, most)
        )

    async def mark_shared(self, numbers: Sequence[int], now: float) -> None:
        """The shared store has these facts."""

        def operation(connection: apsw.Connection) -> None:
            known = json.dumps(list(numbers))
            among = "number IN (SELECT value FROM json_each(?))"
            # Deliveries are most of all facts, and their own table has them.
            connection.execute(f"DELETE FROM share WHERE cause = '' AND {among}", (known,))
            connection.execute(f"UPDATE share SET shared_at = ? WHERE {among}", (now, known))

        await self._thread.run(operation)


def share(
    connection: apsw.Connection,
    *,
    token: str,
    queue_id: str,
    recipient: MaskedRecipient,
    fault: RecipientFault | None,
    enhanced_status: str,
    evidence: str,
    source: str,
    at: float,
    proven: bool,
) -> None:
    """Put one fact on its way; where it is not `proven`, submission must have seen that mail too.

    Without a fault, that mail was delivered.
    """
    row: dict[str, SQLiteValue] = {
        "id": secrets.token_hex(16),
        "token": token,
        "queue_id": queue_id,
        "recipient_hash": recipient.hash,
        "domain": recipient.domain,
        "hint": recipient.hint,
        "cause": "",
        "enhanced_status": enhanced_status,
        "evidence": "",
        "source": source,
        "added_at": at,
        "proven": proven,
        "proof": "now",
        "rule": "",
        "rule_version": 0,
    }
    if fault is not None:
        row |= {
            "cause": fault.cause,
            "evidence": evidence,
            "proof": fault.proof,
            "rule": fault.rule,
            "rule_version": fault.rule_version,
        }
    insert_row(connection, "share", row)


def shared_facts(connection: apsw.Connection, which: str, after: int, most: int) -> list[SharedFact]:
    """Facts past a number, in their order; `which` is a condition in SQL."""
    rows = named_rows(
        connection,
        "SELECT id, number, token, queue_id, recipient_hash, domain, hint, cause, enhanced_status, evidence, source,"
        f" added_at AS at, proof, rule, rule_version FROM share WHERE {which} AND number > ? ORDER BY number LIMIT ?",
        (after, most),
    )
    return [
        SharedFact(recipient=MaskedRecipient(row.pop("recipient_hash"), row.pop("domain"), row.pop("hint")), **row)
        for row in rows
    ]
