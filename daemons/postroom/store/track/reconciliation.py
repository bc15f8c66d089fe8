"""track.db: what is known is compared with Postfix's queue, after a gap in the log.

The end of a mail may be in a gap; then no line will ever show it. Once the log is whole again the
queue is asked, and the log read past the answer: what is alive here, was not seen since and is not in the queue has
left it, and its recipients without an outcome are `untracked`. What was queued before and is not in this file at all
has its whole history in missing lines (LogHistory.reconciled_at).
"""

from collections.abc import Mapping

import apsw

from postroom.mail.states import State
from postroom.store.sqlite.thread import StoreThread
from postroom.store.track import deliveries, meta


class TrackReconciliation:
    """The comparison, and how often it was made."""

    def __init__(self, thread: StoreThread) -> None:
        self._thread = thread

    async def reconciled_gaps(self) -> int | None:
        """How many gaps there were when the queue was last compared with what is known; None when it never was."""

        def operation(connection: apsw.Connection) -> int | None:
            known = meta.value(connection, meta.RECONCILED_GAPS)
            return None if known is None else int(known)

        return await self._thread.run(operation)

    async def reconcile(self, began_at: float, gaps: int, found: Mapping[str, str], now: float) -> int | None:
        """Compare what is known with Postfix's queue: what is not there any more has its end in missing lines.

        Args:
            began_at: when the log was whole, and the queue had not been asked yet.
            gaps:     how many there were then.
            found:    token → queue id of what was in the queue; the log was read past that answer.

        Returns:
            How many mails are no longer there; None when another gap came meanwhile, then nothing is changed.
        """

        def operation(connection: apsw.Connection) -> int | None:
            if meta.gaps(connection) != gaps:
                return None
            deliveries.take_found(connection, found, now)
            lost = 0
            # What was seen since may have come after the question; of what was not, each move shows in the log.
            alive: dict[int, str] = dict(
                connection.execute(
                    # The queue of another Postfix on this host, where ours hands on to, was not asked.
                    "SELECT id, token FROM queue AS mail WHERE ended_at IS NULL AND seen_at < ? AND instance IN"
                    " ('', (SELECT instance FROM queue WHERE token = mail.token ORDER BY id LIMIT 1))",
                    (began_at,),
                )
            )
            for queue, token in alive.items():
                if token in found:
                    continue
                (goes_on,) = connection.execute(
                    "SELECT EXISTS (SELECT 1 FROM queue WHERE token = ? AND id > ?)", (token, queue)
                ).fetchall()[0]
                deliveries.end_queue_life(connection, queue, now, None if goes_on else State.UNTRACKED, now)
                lost += not goes_on
            meta.set_value(connection, meta.RECONCILED_GAPS, gaps)
            meta.set_value(connection, meta.RECONCILED_AT, began_at)
            return lost

        return await self._thread.run(operation)
