"""track.db: what mails to the return path say of our mail.

A report has an effect only on a delivery of its token that the log says was taken by the other side, and only for
the recipient that delivery had. So what repeats the log changes nothing, whichever of the two comes first:

    the log says nothing yet, or that Postfix still tries    it waits, until the log says more (settle_reports)
    delivered, relayed                                       it counts: the delivery bounced late, or was complained of
    bounced, expired, discarded                              it repeats what is known

BUGS:    a report on mail that another host handed over waits until it is swept.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

import apsw

from postroom.mail.recipients import MaskedRecipient
from postroom.mail.states import State
from postroom.store.errors import StoreUnavailable
from postroom.store.sqlite.rows import insert_row, named_rows
from postroom.store.sqlite.thread import StoreThread
from postroom.store.track.bounce_report import BounceReport, Effect, ReportEffect
from postroom.store.track.evidence import Bounce, RecipientFault
from postroom.store.track.sharing import share

_TAKEN = (State.DELIVERED, State.RELAYED)


class TrackReports:
    """The intake's operations.

    Args:
        path: of track.db.
    """

    def __init__(self, thread: StoreThread, path: Path) -> None:
        self._thread = thread
        self._path = path

    async def take(self, reports: Sequence[BounceReport], source: str, *, proven: bool) -> list[ReportEffect]:
        """Take reports, all or none; they are on the disk when this returns, and once however often they come.

        Args:
            source, proven: of the log that says of their deliveries.
        """

        def operation(connection: apsw.Connection) -> list[ReportEffect]:
            return [_take(connection, report, source, proven=proven) for report in reports]

        effects = await self._thread.run(operation)
        if reports:
            await asyncio.to_thread(self._sync)
        return effects

    def _sync(self) -> None:
        """Bring the last commits to the disk: a log is read again after a power cut, a mail does not come again.

        The write-ahead log is one file, whole up to its last frame with a right checksum, and no lock is held on it.
        """
        wal = self._path.with_name(f"{self._path.name}-wal")
        try:
            fd = os.open(wal, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise StoreUnavailable(f"{wal}: {error.strerror}; mend: check its file system") from error


def settle_reports(connection: apsw.Connection, token: str, source: str, *, proven: bool) -> Bounce | None:
    """The log has said more of this token: look at what waited for it. For one open transaction.

    Returns:
        The bounce it makes, if any; a delivery bounces once.
    """
    rows = named_rows(
        connection,
        "SELECT id, token, kind, recipients, enhanced_status, reason, fault, taken_at AS at FROM report"
        " WHERE waits = 1 AND token = ? ORDER BY taken_at",
        (token,),
    )
    bounce = None
    for row in rows:
        row["recipients"] = tuple(json.loads(row["recipients"]))
        row["fault"] = None if row["fault"] is None else RecipientFault.from_json(row["fault"])
        report = BounceReport(**row)
        settled = _effect(connection, report, source, proven=proven)
        if settled.effect is not Effect.WAITS:
            connection.execute("UPDATE report SET waits = 0 WHERE id = ?", (report.id,))
        bounce = bounce or settled.bounce
    return bounce


def _take(connection: apsw.Connection, report: BounceReport, source: str, *, proven: bool) -> ReportEffect:
    known = connection.execute("SELECT 1 FROM report WHERE id = ?", (report.id,)).fetchone()
    if known is not None:
        return ReportEffect(report, Effect.REPEATED)
    taken = _effect(connection, report, source, proven=proven)
    insert_row(
        connection,
        "report",
        {
            "id": report.id,
            "token": report.token,
            "kind": report.kind,
            "recipients": json.dumps(report.recipients),
            "enhanced_status": report.enhanced_status,
            "reason": report.reason,
            "fault": None if report.fault is None else report.fault.as_json(),
            "taken_at": report.at,
            "waits": taken.effect is Effect.WAITS,
        },
    )
    return taken


def _effect(connection: apsw.Connection, report: BounceReport, source: str, *, proven: bool) -> ReportEffect:
    rows = named_rows(
        connection,
        "SELECT q.id, q.queue_id, q.ended_at, recipient_hash, domain, hint, original_hash, state"
        " FROM queue q LEFT JOIN delivery d ON q.id = d.queue WHERE q.token = ? ORDER BY q.id",
        (report.token,),
    )
    named = set(report.recipients)
    deliveries = [row for row in rows if row["recipient_hash"] is not None]
    ours = (
        [row for row in deliveries if row["recipient_hash"] in named]
        or [row for row in deliveries if row["original_hash"] in named]
        or [row for row in deliveries if not named]
    )
    # One queue id after the other: mail that was taken out and in again goes on under a new one.
    ours = [row for row in ours if row["id"] == ours[-1]["id"]]
    if len(ours) != 1:
        # Of one among several nobody knows which; and while it is under way the log may say more.
        is_over = bool(rows) and all(row["ended_at"] is not None for row in rows)
        return ReportEffect(report, Effect.UNKNOWN if ours or is_over else Effect.WAITS)
    (row,) = ours
    if row["state"] == State.DEFERRED:
        return ReportEffect(report, Effect.WAITS)
    if row["state"] not in _TAKEN:
        return ReportEffect(report, Effect.REPEATED)
    recipient = MaskedRecipient(row["recipient_hash"], row["domain"], row["hint"])
    if report.kind == "complaint":
        return _complained(connection, report, row["queue_id"], recipient, source, proven=proven)
    connection.execute(
        "UPDATE delivery SET state = ?, enhanced_status = ?, reason = ?, changed_at = ?"
        " WHERE queue = ? AND recipient_hash = ?",
        (State.BOUNCED, report.enhanced_status, report.reason, report.at, row["id"], recipient.hash),
    )
    _share(connection, report, row["queue_id"], recipient, source, proven=proven)
    cause = None if report.fault is None else report.fault.cause
    bounce = Bounce(row["queue_id"], recipient, report.enhanced_status, cause, "report")
    return ReportEffect(report, Effect.COUNTED, bounce)


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
            token=report.token,
            queue_id=queue_id,
            recipient=recipient,
            fault=report.fault,
            enhanced_status=report.enhanced_status,
            evidence=report.reason,
            source=source,
            at=report.at,
            proven=proven,
        )
