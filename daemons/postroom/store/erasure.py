"""What mail.db and track.db hold of one recipient, looked for and taken out beside the daemons that have them open.

Only rows of what has ended are changed, which no daemon has in its memory; they stay, as figures, without anybody in
them. What a delivery that waits needs to be handed over, and what the log is still to be compared with, is left: it is
told, and goes when it is asked again later.

Each function opens the file, works in one short transaction and closes it.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from postroom.store.outbox.schema import MAIL
from postroom.store.sqlite.file import open_file, translated
from postroom.store.track.schema import TRACK

ERASED = "erased"
"""The hash of nobody, and the hint people see of one."""

_OF_RECIPIENT = "(recipient_hash = ?1 OR original_hash = ?1)"
_ENDED = "EXISTS (SELECT 1 FROM queue WHERE id = delivery.queue AND ended_at IS NOT NULL)"

_OUT_OF_MAIL = (
    f"UPDATE delivery SET recipient_hash = '{ERASED}', hint = '{ERASED}', reason = NULL"
    " WHERE recipient_hash = ?1 AND recipient = ''"
)
# Each its own nobody: two of one mail are two rows.
_OUT_OF_TRACK = (
    f"UPDATE delivery SET recipient_hash = '{ERASED} ' || hex(randomblob(8)), domain = '', hint = '{ERASED}',"
    f" original_hash = NULL, reason = '', relay = '', fault = NULL WHERE {_OF_RECIPIENT} AND {_ENDED}"
)
_REPORTS = "DELETE FROM report WHERE waits = 0 AND EXISTS (SELECT 1 FROM json_each(recipients) WHERE value = ?1)"
_ON_ITS_WAY = "UPDATE share SET domain = '', hint = '', evidence = '' WHERE recipient_hash = ?1"


@dataclass(frozen=True, slots=True)
class RecipientTraces:
    """Deliveries to one recipient.

    Attributes:
        alive:  those that go on: in mail.db they wait for the hand-over, in clear; in track.db Postfix has them.
        ended:  those that have ended: keyed hash, domain, masked address, masked reply.
        latest: when the latest of those that ended was accepted (mail.db) or seen (track.db), Unix seconds.
    """

    alive: int
    ended: int
    latest: float | None


def in_mail(path: Path, recipient_hash: str) -> RecipientTraces:
    """What mail.db holds.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    return _read(
        path,
        MAIL,
        "SELECT sum(recipient <> ''), sum(recipient = ''), max(CASE recipient WHEN '' THEN m.accepted_at END)"
        " FROM delivery d JOIN message m ON m.id = d.message WHERE recipient_hash = ?1",
        recipient_hash,
    )


def in_track(path: Path, recipient_hash: str) -> RecipientTraces:
    """What track.db holds.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    return _read(
        path,
        TRACK,
        "SELECT sum(ended_at IS NULL), sum(ended_at IS NOT NULL), max(CASE WHEN ended_at IS NOT NULL THEN seen_at END)"
        f" FROM delivery JOIN queue ON queue.id = queue WHERE {_OF_RECIPIENT}",
        recipient_hash,
    )


def erase_from_mail(path: Path, recipient_hash: str) -> None:
    """Take the recipient out of deliveries that have ended.

    Raises:
        StoreUnavailable: it cannot be written; nothing was changed.
    """
    _write(path, MAIL, "FULL", recipient_hash, [_OUT_OF_MAIL])


def erase_from_track(path: Path, recipient_hash: str, *, forget: bool) -> None:
    """Take the recipient out of deliveries that have ended, and out of what was shared of them.

    Args:
        forget: what is on its way to the shared store goes too; else it arrives there as a hash alone.

    Raises:
        StoreUnavailable: it cannot be written; nothing was changed.
    """
    gone = "DELETE FROM share WHERE recipient_hash = ?1"
    shared = [gone] if forget else [f"{gone} AND shared_at IS NOT NULL", _ON_ITS_WAY]
    _write(path, TRACK, "NORMAL", recipient_hash, [_OUT_OF_TRACK, _REPORTS, *shared])


def _read(path: Path, schema: Sequence[str], query: str, recipient_hash: str) -> RecipientTraces:
    connection = open_file(path, schema, synchronous="NORMAL")
    with closing(connection):
        try:
            rows: list[Any] = connection.execute(query, (recipient_hash,)).fetchall()
        except apsw.Error as error:
            raise translated(error, path, connection) from error
    ((alive, ended, latest),) = rows
    return RecipientTraces(alive or 0, ended or 0, latest)


def _write(path: Path, schema: Sequence[str], synchronous: str, recipient_hash: str, statements: Sequence[str]) -> None:
    connection = open_file(path, schema, synchronous=synchronous, secure_delete=True)
    with closing(connection):
        try:
            with connection:
                for statement in statements:
                    connection.execute(statement, (recipient_hash,))
            # Else the write-ahead log would have them until it is written over.
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.Error as error:
            raise translated(error, path, connection) from error
