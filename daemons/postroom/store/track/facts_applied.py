"""track.db: one fact after the other, in SQL. For one open transaction.

Whatever order the facts of a broken log come in, each has a meaning here: what belongs to no mail of ours is
passed over, an end that is missing is made up when the next life of its queue id begins.
"""

import json
from dataclasses import astuple
from typing import Any

import apsw

from postroom.mail.recipients import MaskedRecipient
from postroom.mail.states import State
from postroom.store.track.facts import (
    Bounce,
    DeliveryTried,
    Fact,
    GaveUp,
    InstanceStarted,
    InstanceStopping,
    LeftQueue,
    LogGap,
    RecipientFault,
    SeenInQueue,
    SessionEnded,
    SessionOpened,
)
from postroom.store.track.reports import settle
from postroom.store.track.sharing import share

_REASONS = {
    State.UNTRACKED: "lines that are missing from Postfix's log hide its end",
    State.DISCARDED: "deleted from Postfix's queue by an operator",
}
_ALIVE = "SELECT id, token FROM queue WHERE queue_id = ? AND ended_at IS NULL"


def apply_fact(connection: apsw.Connection, fact: Fact, source: str, now: float, *, proven: bool) -> Bounce | None:
    """Store one fact; returns the bounce of our mail it is, or lets a report count that waited for it.

    Args:
        now:    when it was read, in Unix seconds; never before an earlier one.
        proven: whether the source proves who wrote its lines.
    """
    match fact:
        case SeenInQueue(token, queue_id, instance, recipients):
            seen(connection, token, queue_id, now, instance, recipients)
            set_meta(connection, "instance", instance)
        case DeliveryTried():
            return _tried(connection, fact, source, proven=proven)
        case GaveUp():
            _gave_up(connection, fact, source, proven=proven)
        case LeftQueue(queue_id, at, rest):
            alive = connection.execute(_ALIVE, (queue_id,)).fetchone()
            if alive is not None:
                ended(connection, alive[0], now, rest, at)
        case SessionOpened(pid):
            # The one before of this process, whose end was not logged, has ended: it has one at a time.
            connection.execute("REPLACE INTO session VALUES (?, ?)", (pid, now))
        case SessionEnded(pid):
            connection.execute("DELETE FROM session WHERE pid = ?", (pid,))
        case InstanceStopping(instance):
            set_meta(connection, "stopping", instance)
        case InstanceStarted(instance):
            if instance == meta(connection, "stopping") == meta(connection, "instance"):
                # It was stopped in order, which ends every process of it, and its successor holds the lock: all
                # sessions so far were the old one's.
                connection.execute("DELETE FROM session")
            connection.execute("DELETE FROM meta WHERE name = 'stopping' AND value = ?", (instance,))
        case LogGap():
            gap(connection)
    return None


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
        ended(connection, alive[0], now, State.UNTRACKED, now)
    if _goes_on(connection, token, queue_id, now):
        return
    connection.execute(
        "INSERT INTO queue (queue_id, token, seen_at, instance, recipients) VALUES (?, ?, ?, ?, ?)",
        (queue_id, token, now, instance, recipients),
    )


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


def ended(connection: apsw.Connection, queue: int, now: float, rest: State | None, at: float) -> None:
    """A mail is no longer in the queue; recipients whose end no line told of are in state `rest` from `at` on.

    Where fewer were named than it has, one without a name stands for the others.
    """
    connection.execute("UPDATE queue SET ended_at = ? WHERE id = ?", (now, queue))
    if rest is None:
        return
    connection.execute(
        "UPDATE delivery SET state = ?, enhanced_status = '', reason = ?, changed_at = ? WHERE queue = ? AND state = ?",
        (rest, _REASONS[rest], at, queue, State.DEFERRED),
    )
    connection.execute(
        "INSERT INTO delivery SELECT id, '', '', '', NULL, ?, '', ?, '', 0, ?, NULL FROM queue"
        " WHERE id = ? AND recipients > (SELECT count(*) FROM delivery WHERE queue = queue.id)",
        (rest, _REASONS[rest], at, queue),
    )


def gap(connection: apsw.Connection) -> None:
    """The log is not known to be whole any more."""
    connection.execute("DELETE FROM meta WHERE name = 'covered_since'")
    set_meta(connection, "gaps", gaps(connection) + 1)


def gaps(connection: apsw.Connection) -> int:
    """How many gaps there were so far."""
    return int(meta(connection, "gaps") or 0)


def meta(connection: apsw.Connection, name: str) -> str | int | float | None:
    """A value by its name; None when it is not set."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else row[0]


def set_meta(connection: apsw.Connection, name: str, value: float | str) -> None:
    """Set a value."""
    connection.execute("REPLACE INTO meta VALUES (?, ?)", (name, value))


def _tried(connection: apsw.Connection, tried: DeliveryTried, source: str, *, proven: bool) -> Bounce | None:
    alive = connection.execute(_ALIVE, (tried.queue_id,)).fetchone()
    if alive is None:
        return None
    queue, token = alive
    recipient = tried.recipient
    connection.execute(
        "INSERT INTO delivery VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET"
        " original_hash = excluded.original_hash, state = excluded.state,"
        " enhanced_status = excluded.enhanced_status, reason = excluded.reason, relay = excluded.relay,"
        " attempts = attempts + 1, changed_at = excluded.changed_at, fault = excluded.fault",
        (
            queue,
            recipient.hash,
            recipient.domain,
            recipient.hint,
            tried.original,
            tried.state,
            tried.enhanced_status,
            tried.reason,
            tried.relay,
            tried.at,
            json.dumps(astuple(tried.fault)) if tried.fault and tried.state is State.DEFERRED else None,
        ),
    )
    if tried.state is State.DELIVERED:
        _share(connection, token, tried, None, source, proven=proven)
    late = settle(connection, token, source, proven=proven)
    if tried.state is not State.BOUNCED:
        return late
    if tried.fault is None:
        return Bounce(tried.queue_id, recipient, tried.enhanced_status, None)
    _share(connection, token, tried, tried.fault, source, proven=proven)
    return Bounce(tried.queue_id, recipient, tried.enhanced_status, tried.fault.cause)


def _gave_up(connection: apsw.Connection, gave_up: GaveUp, source: str, *, proven: bool) -> None:
    alive = connection.execute(_ALIVE, (gave_up.queue_id,)).fetchone()
    if alive is None:
        return
    queue, token = alive
    rows: list[Any] = connection.execute(
        "SELECT recipient_hash, domain, hint, original_hash, enhanced_status, reason, relay, fault FROM delivery"
        " WHERE queue = ? AND state = ? AND fault IS NOT NULL",
        (queue, State.DEFERRED),
    ).fetchall()
    for hashed, domain, hint, original, status, reason, relay, fault in rows:
        recipient = MaskedRecipient(hashed, domain, hint)
        last = DeliveryTried(gave_up.queue_id, recipient, original, State.EXPIRED, status, reason, relay, gave_up.at)
        _share(connection, token, last, RecipientFault(*json.loads(fault)), source, proven=proven)
    connection.execute(
        "UPDATE delivery SET state = ?, changed_at = ? WHERE state = ? AND queue = ?",
        (State.EXPIRED, gave_up.at, State.DEFERRED, queue),
    )


def _share(
    connection: apsw.Connection,
    token: str,
    tried: DeliveryTried,
    fault: RecipientFault | None,
    source: str,
    *,
    proven: bool,
) -> None:
    share(
        connection,
        token,
        tried.queue_id,
        tried.recipient,
        fault,
        tried.enhanced_status,
        tried.reason,
        source,
        tried.at,
        proven=proven,
    )
