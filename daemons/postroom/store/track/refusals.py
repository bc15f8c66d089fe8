"""track.db: mail that was refused after it may have been counted, until the shared store has given its take back.

Where a mail is refused while its content is still read, the take may come later: it is looked for again and again for
PATIENCE_S, at ever longer intervals. A queue id that begins another mail meanwhile ends that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import apsw

from postroom.store.sqlite.rows import named_rows
from postroom.store.sqlite.thread import StoreThread
from postroom.store.track.facts import Fact, MailBegan, MailRefused

PATIENCE_S = 600.0
"""How long after its refusal the content of a mail may still be read."""


@dataclass(frozen=True, slots=True)
class PendingRefusal:
    """A mail whose take is to be given back.

    Attributes:
        began_at, ended_at: it was taken between these, by the log's time, if at all.
    """

    number: int
    queue_id: str
    began_at: float
    ended_at: float


class TrackRefusals:
    """The watcher's operations on mail that was refused."""

    def __init__(self, thread: StoreThread) -> None:
        self._thread = thread

    async def due(self, now: float, most: int) -> list[PendingRefusal]:
        """Those to be looked for now, the oldest first."""
        return await self._thread.run(
            lambda connection: [
                PendingRefusal(**row)
                for row in named_rows(
                    connection,
                    "SELECT number, queue_id, began_at, ifnull(ended_at, ?1 + ?2) AS ended_at FROM refusal"
                    " WHERE due_at <= ?1 ORDER BY due_at LIMIT ?3",
                    (now, PATIENCE_S, most),
                )
            ]
        )

    async def settled(self, given_back: Sequence[int], not_found: Sequence[int], now: float) -> None:
        """These were given back, and for those there was no take: they are looked for later if that may still come."""

        def operation(connection: apsw.Connection) -> None:
            connection.executemany("DELETE FROM refusal WHERE number = ?", [(number,) for number in given_back])
            connection.executemany(
                "DELETE FROM refusal WHERE number = ? AND (ended_at IS NOT NULL OR at < ?)",
                [(number, now - PATIENCE_S) for number in not_found],
            )
            connection.executemany(
                "UPDATE refusal SET due_at = ?1 + max(1.0, ?1 - at) WHERE number = ?2",
                [(now, number) for number in not_found],
            )

        await self._thread.run(operation)


def without_idle_beginnings(connection: apsw.Connection, facts: Sequence[Fact]) -> list[Fact]:
    """The facts but for beginnings of mails, where no refusal waits for one: every mail has one, few are refused.

    For one open transaction, before the facts are stored.
    """
    has_open = connection.execute("SELECT 1 FROM refusal WHERE ended_at IS NULL LIMIT 1").fetchone() is not None
    if has_open or any(isinstance(fact, MailRefused) for fact in facts):
        return list(facts)
    return [fact for fact in facts if not isinstance(fact, MailBegan)]


def note(connection: apsw.Connection, fact: MailBegan | MailRefused, *, proven: bool) -> None:
    """Put a refusal on its way; the beginning of another mail ends those of its queue id. For one open transaction.

    Args:
        proven: whether the source proves who wrote its lines. In a log file anybody can write that his own mail, which
                passed, was refused: such a line gives nothing back.
    """
    match fact:
        case MailBegan(queue_id, at):
            connection.execute(
                "UPDATE refusal SET ended_at = ? WHERE queue_id = ? AND ended_at IS NULL", (at, queue_id)
            )
        case MailRefused(queue_id, began_at, at, is_over) if proven:
            connection.execute(
                "INSERT INTO refusal (queue_id, began_at, at, ended_at, due_at) VALUES (?, ?, ?, ?, ?)",
                (queue_id, began_at, at, at if is_over else None, at),
            )
