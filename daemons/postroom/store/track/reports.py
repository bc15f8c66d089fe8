"""track.db: what mails to the return path say of our mail, in SQL. For one open transaction.

A report has an effect only on a delivery of its token that the log says was taken by the other side, and only for
the recipient that delivery had. So what repeats the log changes nothing, whichever of the two comes first:

    the log says nothing yet, or that Postfix still tries    it waits, until the log says more (settle)
    delivered, relayed                                       it counts: the delivery bounced late, or was complained of
    bounced, expired, discarded                              it repeats what is known

BUGS:    a report on mail that another host handed over waits until it is swept.
"""

import json
from dataclasses import astuple
from typing import Any

import apsw

from postroom.mail.recipients import MaskedRecipient
from postroom.mail.states import State
from postroom.store.track.facts import Bounce, BounceReport, Effect, RecipientFault, ReportEffect
from postroom.store.track.sharing import share

_TAKEN = (State.DELIVERED, State.RELAYED)


def take(connection: apsw.Connection, report: BounceReport, source: str, *, proven: bool) -> ReportEffect:
    """Take one report; given again it is a repetition.

    Args:
        source, proven: of the log, which says of the delivery that it was.
    """
    known = connection.execute("SELECT 1 FROM report WHERE id = ?", (report.id,)).fetchone()
    if known is not None:
        return ReportEffect(report, Effect.REPEATED)
    reported = _reported(connection, report, source, proven=proven)
    connection.execute(
        "INSERT INTO report VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            report.id,
            report.token,
            report.kind,
            json.dumps(report.recipients),
            report.enhanced_status,
            report.reason,
            None if report.fault is None else json.dumps(astuple(report.fault)),
            report.at,
            reported.effect is Effect.WAITS,
        ),
    )
    return reported


def settle(connection: apsw.Connection, token: str, source: str, *, proven: bool) -> Bounce | None:
    """The log has said more of this token: look at what waited for it.

    Returns:
        The bounce it makes, if any; a delivery bounces once.
    """
    rows: list[Any] = connection.execute(
        "SELECT id, token, kind, recipients, enhanced_status, reason, fault, taken_at FROM report"
        " WHERE waits = 1 AND token = ? ORDER BY taken_at",
        (token,),
    ).fetchall()
    bounce = None
    for number, of_token, kind, recipients, status, reason, fault, taken_at in rows:
        report = BounceReport(
            number,
            of_token,
            kind,
            tuple(json.loads(recipients)),
            status,
            reason,
            taken_at,
            None if fault is None else RecipientFault(*json.loads(fault)),
        )
        reported = _reported(connection, report, source, proven=proven)
        if reported.effect is not Effect.WAITS:
            connection.execute("UPDATE report SET waits = 0 WHERE id = ?", (number,))
        bounce = bounce or reported.bounce
    return bounce


def _reported(connection: apsw.Connection, report: BounceReport, source: str, *, proven: bool) -> ReportEffect:
    rows: list[Any] = connection.execute(
        "SELECT q.id, q.queue_id, q.ended_at, recipient_hash, domain, hint, original_hash, state"
        " FROM queue q LEFT JOIN delivery d ON q.id = d.queue WHERE q.token = ? ORDER BY q.id",
        (report.token,),
    ).fetchall()
    named = set(report.recipients)
    deliveries = [row for row in rows if row[3] is not None]
    ours = (
        [row for row in deliveries if row[3] in named]
        or [row for row in deliveries if row[6] in named]
        or [row for row in deliveries if not named]
    )
    # One queue id after the other: mail that was taken out and in again goes on under a new one.
    ours = [row for row in ours if row[0] == ours[-1][0]]
    if len(ours) != 1:
        # Of one among several nobody knows which; and while it is under way the log may tell of more.
        is_over = bool(rows) and all(row[2] is not None for row in rows)
        return ReportEffect(report, Effect.UNKNOWN if ours or is_over else Effect.WAITS)
    queue, queue_id, _, hashed, domain, hint, _, state = ours[0]
    if state == State.DEFERRED:
        return ReportEffect(report, Effect.WAITS)
    if state not in _TAKEN:
        return ReportEffect(report, Effect.REPEATED)
    recipient = MaskedRecipient(hashed, domain, hint)
    if report.kind == "complaint":
        return _complained(connection, report, queue_id, recipient, source, proven=proven)
    connection.execute(
        "UPDATE delivery SET state = ?, enhanced_status = ?, reason = ?, changed_at = ?"
        " WHERE queue = ? AND recipient_hash = ?",
        (State.BOUNCED, report.enhanced_status, report.reason, report.at, queue, hashed),
    )
    _share(connection, report, queue_id, recipient, source, proven=proven)
    cause = None if report.fault is None else report.fault.cause
    return ReportEffect(report, Effect.COUNTED, Bounce(queue_id, recipient, report.enhanced_status, cause, "report"))


def _complained(
    connection: apsw.Connection,
    report: BounceReport,
    queue_id: str,
    recipient: MaskedRecipient,
    source: str,
    *,
    proven: bool,
) -> ReportEffect:
    if report.fault is None:
        return ReportEffect(report, Effect.COUNTED)
    known = connection.execute(
        "SELECT 1 FROM share WHERE token = ? AND recipient_hash = ? AND cause = ?",
        (report.token, recipient.hash, report.fault.cause),
    ).fetchone()
    if known is not None:
        return ReportEffect(report, Effect.REPEATED)
    _share(connection, report, queue_id, recipient, source, proven=proven)
    return ReportEffect(report, Effect.COUNTED)


def _share(
    connection: apsw.Connection,
    report: BounceReport,
    queue_id: str,
    recipient: MaskedRecipient,
    source: str,
    *,
    proven: bool,
) -> None:
    if report.fault is not None:
        share(
            connection,
            report.token,
            queue_id,
            recipient,
            report.fault,
            report.enhanced_status,
            report.reason,
            source,
            report.at,
            proven=proven,
        )
