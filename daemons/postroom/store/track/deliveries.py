"""track.db: our mail in Postfix's queue, and what became of each recipient, in SQL. For one open transaction.

Whatever order the facts of a broken log come in, each has a meaning here: what belongs to no mail of ours is passed
over, an end that is missing is made up when the next life of its queue id begins.
"""

from collections.abc import Mapping

import apsw

from postroom.mail.recipients import MaskedRecipient
from postroom.mail.states import State
from postroom.store.sqlite.rows import insert_row, named_rows
from postroom.store.track.evidence import Bounce, RecipientFault
from postroom.store.track.facts import DeliveryTried, ForeignMail, GaveUp, LeftQueue, MailForwarded
from postroom.store.track.reports import settle_reports
from postroom.store.track.sharing import share

_REASONS = {
    State.UNTRACKED: "lines that are missing from Postfix's log hide its end",
    State.DISCARDED: "deleted from Postfix's queue by an operator",
}
_ALIVE = "SELECT id, token FROM queue WHERE queue_id = ? AND ended_at IS NULL"


def seen(
    connection: apsw.Connection, token: str, queue_id: str, now: float, instance: str = "", recipients: int = 1
) -> None:
    """A mail with this token is in the queue as `queue_id`, with so many recipients left."""
    alive = connection.execute(_ALIVE, (queue_id,)).fetchone()
    if alive is not None and alive[1] == token:
        connection.execute(
            "UPDATE queue SET seen_at = ?, recipients = max(recipients, ?) WHERE id = ?", (now, recipients, alive[0])
        )
        return
    if alive is not None:
        end_queue_life(connection, alive[0], now, State.UNTRACKED, now)
    if _is_foreign(connection, token, queue_id):
        return
    if _goes_on(connection, token, queue_id, now):
        return
    insert_row(
        connection,
        "queue",
        {"queue_id": queue_id, "token": token, "seen_at": now, "instance": instance, "recipients": recipients},
    )


def note_foreign(connection: apsw.Connection, fact: ForeignMail | MailForwarded, now: float) -> None:
    """A mail of somebody else has a token of ours as its envelope sender: what becomes of it says nothing of ours."""
    match fact:
        case ForeignMail(token, queue_id, before) if not before or _is_foreign(connection, token, before):
            _add_foreign(connection, token, queue_id, now)
        case MailForwarded(queue_id, into):
            since = "SELECT token, seen_at FROM foreign_mail WHERE queue_id = ?"
            for theirs, seen_at in connection.execute(since, (queue_id,)).fetchall():
                _add_foreign(connection, str(theirs), into, now)
                # The queue manager may have named it before local(8) said what it is.
                mistaken = "DELETE FROM queue WHERE queue_id = ? AND token = ? AND seen_at >= ?"
                connection.execute(mistaken, (into, theirs, seen_at))


def _add_foreign(connection: apsw.Connection, token: str, queue_id: str, now: float) -> None:
    connection.execute("REPLACE INTO foreign_mail (queue_id, token, seen_at) VALUES (?, ?, ?)", (queue_id, token, now))


def noticed(connection: apsw.Connection, queue_id: str, notice: str, source: str, now: float) -> Bounce | None:
    """bounce(8) has written a notice; returns the bounce it makes where a report waited for that."""
    alive = connection.execute(_ALIVE, (queue_id,)).fetchone()
    if alive is None:
        return None
    token = alive[1]
    connection.execute("REPLACE INTO notice (queue_id, token, seen_at) VALUES (?, ?, ?)", (notice, token, now))
    return settle_reports(connection, token, source, proven=True)


def _is_foreign(connection: apsw.Connection, token: str, queue_id: str) -> bool:
    foreign = "SELECT 1 FROM foreign_mail WHERE queue_id = ? AND token = ?"
    return connection.execute(foreign, (queue_id, token)).fetchone() is not None


def _goes_on(connection: apsw.Connection, token: str, queue_id: str, now: float) -> bool:
    """Whether this mail was taken to have left the queue, wrongly: a log file may hold what Postfix never wrote."""
    connection.execute(
        "UPDATE queue SET ended_at = NULL, seen_at = ? WHERE token = ? AND queue_id = ?", (now, token, queue_id)
    )
    if not connection.changes():
        return False
    connection.execute(
        "DELETE FROM delivery WHERE recipient_hash = '' AND queue IN (SELECT id FROM queue WHERE token = ?)", (token,)
    )
    return True


def end_queue_life(connection: apsw.Connection, queue: int, now: float, rest: State | None, at: float) -> None:
    """A mail is no longer in the queue; recipients whose end stands in no line are in state `rest` from `at` on.

    Where fewer were named than it has, one without a name stands for the others.

    Args:
        queue: the row of that life of its queue id.
    """
    connection.execute("UPDATE queue SET ended_at = ? WHERE id = ?", (now, queue))
    if rest is None:
        return
    connection.execute(
        "UPDATE delivery SET state = ?, enhanced_status = '', reason = ?, changed_at = ? WHERE queue = ? AND state = ?",
        (rest, _REASONS[rest], at, queue, State.DEFERRED),
    )
    connection.execute(
        "INSERT INTO delivery (queue, recipient_hash, domain, hint, state, enhanced_status, reason, relay, attempts,"
        " changed_at) SELECT id, '', '', '', ?, '', ?, '', 0, ? FROM queue"
        " WHERE id = ? AND recipients > (SELECT count(*) FROM delivery WHERE queue = queue.id)",
        (rest, _REASONS[rest], at, queue),
    )


def take_found(connection: apsw.Connection, found: Mapping[str, str], now: float) -> None:
    """Take what the queue was asked for: token → queue id."""
    for token, queue_id in found.items():
        # One the log has named may have left the queue since it was asked.
        if connection.execute("SELECT 1 FROM queue WHERE token = ?", (token,)).fetchone() is None:
            seen(connection, token, queue_id, now)


def left(connection: apsw.Connection, fact: LeftQueue, now: float) -> None:
    """Postfix has removed a mail."""
    alive = connection.execute(_ALIVE, (fact.queue_id,)).fetchone()
    if alive is not None:
        end_queue_life(connection, alive[0], now, fact.rest, fact.at)


def tried(connection: apsw.Connection, fact: DeliveryTried, source: str, *, proven: bool) -> Bounce | None:
    """A delivery was tried; returns the bounce of our mail that this is, or lets a report count that waited for it."""
    alive = connection.execute(_ALIVE, (fact.queue_id,)).fetchone()
    if alive is None:
        return None
    queue, token = alive
    recipient = fact.recipient
    connection.execute(
        "INSERT INTO delivery (queue, recipient_hash, domain, hint, original_hash, state, enhanced_status, reason,"
        " relay, attempts, changed_at, fault) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET"
        " original_hash = excluded.original_hash, state = excluded.state,"
        " enhanced_status = excluded.enhanced_status, reason = excluded.reason, relay = excluded.relay,"
        " attempts = attempts + 1, changed_at = excluded.changed_at, fault = excluded.fault",
        # In the order of the columns, not by name: each line of a delivery comes here, and names cost a tenth of it.
        (
            queue,
            recipient.hash,
            recipient.domain,
            recipient.hint,
            fact.original,
            fact.state,
            fact.enhanced_status,
            fact.reason,
            fact.relay,
            fact.at,
            fact.fault.as_json() if fact.fault and fact.state is State.DEFERRED else None,
        ),
    )
    if fact.state is State.DELIVERED:
        _share(connection, token, fact, None, source, proven=proven)
    late = settle_reports(connection, token, source, proven=proven)
    if fact.state is not State.BOUNCED:
        return late
    if fact.fault is None:
        return Bounce(fact.queue_id, recipient, fact.enhanced_status, None)
    _share(connection, token, fact, fact.fault, source, proven=proven)
    return Bounce(fact.queue_id, recipient, fact.enhanced_status, fact.fault.cause)


def gave_up(connection: apsw.Connection, fact: GaveUp, source: str, *, proven: bool) -> None:
    """Postfix gave up on a mail: the last deferral of each recipient that is left is what failed it."""
    alive = connection.execute(_ALIVE, (fact.queue_id,)).fetchone()
    if alive is None:
        return
    queue, token = alive
    rows = named_rows(
        connection,
        "SELECT recipient_hash, domain, hint, enhanced_status, reason, fault FROM delivery"
        " WHERE queue = ? AND state = ? AND fault IS NOT NULL",
        (queue, State.DEFERRED),
    )
    for row in rows:
        share(
            connection,
            token=token,
            queue_id=fact.queue_id,
            recipient=MaskedRecipient(row["recipient_hash"], row["domain"], row["hint"]),
            fault=RecipientFault.from_json(row["fault"]),
            enhanced_status=row["enhanced_status"],
            evidence=row["reason"],
            source=source,
            at=fact.at,
            proven=proven,
        )
    connection.execute(
        "UPDATE delivery SET state = ?, changed_at = ? WHERE state = ? AND queue = ?",
        (State.EXPIRED, fact.at, State.DEFERRED, queue),
    )


def _share(
    connection: apsw.Connection,
    token: str,
    fact: DeliveryTried,
    fault: RecipientFault | None,
    source: str,
    *,
    proven: bool,
) -> None:
    share(
        connection,
        token=token,
        queue_id=fact.queue_id,
        recipient=fact.recipient,
        fault=fault,
        enhanced_status=fact.enhanced_status,
        evidence=fact.reason,
        source=source,
        at=fact.at,
        proven=proven,
    )
