"""track.db: what mails to the return path say of our mail.

A report has an effect only on a delivery of its token that the log says was taken by the other side, and only for
the recipient that delivery had. So what repeats the log changes nothing, whichever of the two comes first:

    the log says nothing yet, or that Postfix still tries    it waits, until the log says more (settle_reports)
    delivered, relayed                                       it counts: the delivery bounced late, or was complained of
    bounced, expired, discarded                              it repeats what is known

Only what another host brought counts, and what bounce(8) of this host wrote: anybody on it can read a token in
Postfix's queue, and write to it. A report that may be bounce(8)'s waits for the log to say so (noticed() of
deliveries.py), at most NOTICE_WAIT_S. What is local is kept, and goes on as evidence that counts for nothing.

Limits:  MAX_LOCAL local reports for each token; further ones are taken and dropped.
BUGS:    a report on mail that another host handed over waits until it is swept.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw

from postroom.mail.recipients import MaskedRecipient
from postroom.mail.states import State
from postroom.store.errors import StoreUnavailable
from postroom.store.sqlite.rows import insert_row, named_rows
from postroom.store.sqlite.thread import StoreThread
from postroom.store.track.bounce_report import LOCAL_REPORT, BounceReport, Effect, ReportEffect, ReportOrigin
from postroom.store.track.evidence import Bounce, RecipientFault
from postroom.store.track.sharing import share

NOTICE_WAIT_S = 600.0
"""How long a report that may be bounce(8)'s waits for the log to say so; then it is local."""

MAX_LOCAL = 20

_REPORT = (
    "SELECT id, token, kind, recipients, enhanced_status, reason, fault, taken_at AS at, origin, notice FROM report"
    " WHERE waits = 1"
)
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
    bounce = None
    for row in named_rows(connection, f"{_REPORT} AND token = ? ORDER BY taken_at", (token,)):
        report = _report(row)
        settled = _effect(connection, report, source, proven=proven)
        if settled.effect is not Effect.WAITS:
            connection.execute("UPDATE report SET waits = 0 WHERE id = ?", (report.id,))
        bounce = bounce or settled.bounce
    return bounce


def end_unproven(connection: apsw.Connection, now: float, budget: int) -> None:
    """Up to `budget` reports that the log never showed to be bounce(8)'s are local. For one open transaction."""
    rows = named_rows(
        connection,
        f"{_REPORT} AND origin = 'notice' AND taken_at < ?"
        " AND NOT EXISTS (SELECT 1 FROM notice WHERE queue_id = report.notice AND token = report.token)"
        " ORDER BY taken_at LIMIT ?",
        (now - NOTICE_WAIT_S, budget),
    )
    for row in rows:
        report = replace(_report(row), origin=ReportOrigin.LOCAL)
        connection.execute("UPDATE report SET waits = 0, origin = ? WHERE id = ?", (report.origin, report.id))
        # Which source the log was is not known here; it counts for nothing from any.
        _effect(connection, report, "", proven=True)


def _report(row: dict[str, Any]) -> BounceReport:
    row["recipients"] = tuple(json.loads(row["recipients"]))
    row["fault"] = None if row["fault"] is None else RecipientFault.from_json(row["fault"])
    row["origin"] = ReportOrigin(row["origin"])
    return BounceReport(**row)


def _take(connection: apsw.Connection, report: BounceReport, source: str, *, proven: bool) -> ReportEffect:
    known = connection.execute("SELECT 1 FROM report WHERE id = ?", (report.id,)).fetchone()
    if known is not None:
        return ReportEffect(report, Effect.REPEATED)
    if report.origin is ReportOrigin.LOCAL and _count_local(connection, report.token) >= MAX_LOCAL:
        return ReportEffect(report, Effect.LOCAL)
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
            "origin": report.origin,
            "notice": report.notice,
        },
    )
    return taken


def _count_local(connection: apsw.Connection, token: str) -> int:
    rows = connection.execute("SELECT 1 FROM report WHERE token = ? AND origin = 'local' LIMIT ?", (token, MAX_LOCAL))
    return len(rows.fetchall())


def _is_proven_notice(connection: apsw.Connection, report: BounceReport) -> bool:
    found = connection.execute("SELECT 1 FROM notice WHERE queue_id = ? AND token = ?", (report.notice, report.token))
    return found.fetchone() is not None


def _effect(connection: apsw.Connection, report: BounceReport, source: str, *, proven: bool) -> ReportEffect:
    rows = named_rows(
        connection,
        "SELECT q.id, q.queue_id, q.ended_at, recipient_hash, domain, hint, original_hash, state"
        " FROM queue q LEFT JOIN delivery d ON q.id = d.queue WHERE q.token = ? ORDER BY q.id",
        (report.token,),
    )
    ours = _deliveries_meant(report, rows)
    if report.origin is ReportOrigin.LOCAL:
        for row in ours:
            _share_local(connection, report, row, source, proven=proven)
        return ReportEffect(report, Effect.LOCAL)
    if report.origin is ReportOrigin.NOTICE and not _is_proven_notice(connection, report):
        return ReportEffect(report, Effect.WAITS)
    if len(ours) != 1:
        # Of one among several nobody knows which; and while it is under way the log may say more.
        is_over = bool(rows) and all(row["ended_at"] is not None for row in rows)
        return ReportEffect(report, Effect.UNKNOWN if ours or is_over else Effect.WAITS)
    (row,) = ours
    if row["state"] not in _TAKEN:
        return ReportEffect(report, Effect.WAITS if row["state"] == State.DEFERRED else Effect.REPEATED)
    if report.kind == "complaint":
        return _complained(connection, report, row["queue_id"], _recipient(row), source, proven=proven)
    return _bounced(connection, report, row, source, proven=proven)


def _deliveries_meant(report: BounceReport, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The deliveries among those of its token that a report may be about."""
    named = set(report.recipients)
    deliveries = [row for row in rows if row["recipient_hash"] is not None]
    ours = (
        [row for row in deliveries if row["recipient_hash"] in named]
        or [row for row in deliveries if row["original_hash"] in named]
        or [row for row in deliveries if not named]
    )
    # One queue id after the other: mail that was taken out and in again goes on under a new one.
    return [row for row in ours if row["id"] == ours[-1]["id"]]


def _recipient(row: dict[str, Any]) -> MaskedRecipient:
    return MaskedRecipient(row["recipient_hash"], row["domain"], row["hint"])


def _share_local(
    connection: apsw.Connection, report: BounceReport, row: dict[str, Any], source: str, *, proven: bool
) -> None:
    """Pass on what anybody on this host may have made up, as evidence that counts for nothing."""
    if report.fault is None or row["state"] not in {*_TAKEN, State.DEFERRED}:
        return
    fault = replace(report.fault, cause=LOCAL_REPORT, proof="after")
    reason = f"{report.kind} from this host or a login: {report.reason}"
    told = replace(report, fault=fault, reason=reason)
    _share(connection, told, row["queue_id"], _recipient(row), source, proven=proven)


def _bounced(
    connection: apsw.Connection, report: BounceReport, row: dict[str, Any], source: str, *, proven: bool
) -> ReportEffect:
    recipient = _recipient(row)
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
    # One that waits for review does not stand in the way of one that counts.
    known = connection.execute(
        "SELECT 1 FROM share WHERE token = ? AND recipient_hash = ? AND cause = ? AND proof IN ('now', ?)",
        (report.token, recipient.hash, report.fault.cause, report.fault.proof),
    ).fetchone()
    if known is not None:
        return ReportEffect(report, Effect.REPEATED)
    _share(connection, report, queue_id, recipient, source, proven=proven)
    return ReportEffect(report, Effect.HELD if report.fault.proof == "review" else Effect.COUNTED)


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
