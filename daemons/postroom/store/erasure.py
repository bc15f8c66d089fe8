"""What mail.db and track.db hold of one recipient: counted, and erased, beside the daemons that have them open.

Only rows of deliveries that have ended are changed, which no daemon has in its memory; they stay, for the figures,
without the recipient. What a delivery that goes on needs for its hand-over, or for comparison with the log, is left; it
is counted as active, and goes when this is repeated after its end.

Each function opens the file, works in one short transaction and closes it.
"""

import time
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
"""Stands in place of the hash, and of the masked address that people see."""

WAL_TIMEOUT_S = 15.0
"""How long the daemon may take to empty its write-ahead log; when it is busy it does so later (sqlite/sole_file.py)."""

_OF_RECIPIENT = "(recipient_hash = ?1 OR original_hash = ?1)"
_ENDED = "EXISTS (SELECT 1 FROM queue WHERE id = delivery.queue AND ended_at IS NOT NULL)"

_ERASE_FROM_MAIL = (
    f"UPDATE delivery SET recipient_hash = '{ERASED}', hint = '{ERASED}', reason = NULL"
    " WHERE recipient_hash = ?1 AND id NOT IN (SELECT delivery FROM address)"
)
# Each gets a hash of its own: two recipients of one mail are two rows, told apart by it.
_ERASE_FROM_TRACK = (
    f"UPDATE delivery SET recipient_hash = '{ERASED} ' || hex(randomblob(8)), domain = '', hint = '{ERASED}',"
    f" original_hash = NULL, reason = '', relay = '', fault = NULL WHERE {_OF_RECIPIENT} AND {_ENDED}"
)
_DELETE_REPORTS = "DELETE FROM report WHERE waits = 0 AND EXISTS (SELECT 1 FROM json_each(recipients) WHERE value = ?1)"
_REDUCE_TO_HASH = "UPDATE share SET domain = '', hint = '', evidence = '' WHERE recipient_hash = ?1"


@dataclass(frozen=True, slots=True)
class RecipientDeliveries:
    """Deliveries to one recipient.

    Attributes:
        active:    those that go on: in mail.db they wait for the hand-over, in clear; in track.db Postfix has them.
        ended:     those that have ended: keyed hash, domain, masked address, masked reply.
        latest_at: when the latest of those that ended was accepted (mail.db) or seen (track.db), Unix seconds.
    """

    active: int
    ended: int
    latest_at: float | None


def deliveries_in_mail(path: Path, recipient_hash: str) -> RecipientDeliveries:
    """Deliveries to this recipient in mail.db.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    return _read(
        path,
        MAIL,
        "SELECT sum(recipient IS NOT NULL), sum(recipient IS NULL), max(iif(recipient IS NULL, m.accepted_at, NULL))"
        " FROM delivery d JOIN message m ON m.id = d.message LEFT JOIN address ON delivery = d.id"
        " WHERE recipient_hash = ?1",
        recipient_hash,
    )


def deliveries_in_track(path: Path, recipient_hash: str) -> RecipientDeliveries:
    """Deliveries to this recipient in track.db.

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
    """Erase the recipient from deliveries that have ended.

    Raises:
        StoreUnavailable: it cannot be written; nothing was changed.
    """
    _write(path, MAIL, "FULL", recipient_hash, [_ERASE_FROM_MAIL])


def erase_from_track(path: Path, recipient_hash: str, *, forget: bool) -> None:
    """Erase the recipient from deliveries that have ended, and from what was shared of them.

    Args:
        forget: what is on its way to the shared store goes too; else it arrives there as a hash alone.

    Raises:
        StoreUnavailable: it cannot be written; nothing was changed.
    """
    delete = "DELETE FROM share WHERE recipient_hash = ?1"
    shared = [delete] if forget else [f"{delete} AND shared_at IS NOT NULL", _REDUCE_TO_HASH]
    _write(path, TRACK, "NORMAL", recipient_hash, [_ERASE_FROM_TRACK, _DELETE_REPORTS, *shared])


def _read(path: Path, schema: Sequence[str], query: str, recipient_hash: str) -> RecipientDeliveries:
    connection = open_file(path, schema, synchronous="NORMAL")
    with closing(connection):
        try:
            rows: list[Any] = connection.execute(query, (recipient_hash,)).fetchall()
        except apsw.Error as error:
            raise translated(error, path, connection) from error
    ((active, ended, latest_at),) = rows
    return RecipientDeliveries(active=active or 0, ended=ended or 0, latest_at=latest_at)


def _write(path: Path, schema: Sequence[str], synchronous: str, recipient_hash: str, statements: Sequence[str]) -> None:
    connection = open_file(path, schema, synchronous=synchronous, secure_delete=True)
    with closing(connection):
        # A daemon that has the file open takes it for overwritten when somebody else copies the WAL back.
        connection.wal_autocheckpoint(0)
        try:
            with connection:
                for statement in statements:
                    connection.execute(statement, (recipient_hash,))
        except apsw.Error as error:
            raise translated(error, path, connection) from error
    _wait_for_empty_wal(path)


def _wait_for_empty_wal(path: Path) -> None:
    """The write-ahead log keeps the old rows until the daemon has emptied it; without a daemon our closing has."""
    wal, until = path.with_name(f"{path.name}-wal"), time.monotonic() + WAL_TIMEOUT_S
    while wal.exists() and wal.stat().st_size > 0 and time.monotonic() < until:
        time.sleep(0.1)
