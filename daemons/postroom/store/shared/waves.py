"""shared.db: bursts of suppressions, held for review (interface.py says what a wave is)."""

from collections.abc import Sequence
from dataclasses import replace

import apsw

from postroom.store.shared.file import SharedFile
from postroom.store.shared.suppressions import forget, known_entry, put
from postroom.store.shared.values import WAVE_KEPT_S, Learned, Suppression, Wave, WaveGuard


class SqliteWaves:
    """`Waves` of the interface, in the SQLite file shared.db."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file

    async def hold(self, suppressions: Sequence[Suppression], subject: str, now: float | None = None) -> list[Learned]:
        def transaction(connection: apsw.Connection) -> list[Learned]:
            now_ms = self._file.now_ms(now)
            return [_hold(connection, suppression, subject, now_ms) for suppression in suppressions]

        return await self._file.write(transaction)

    async def latest(self, limit: int = 100, now: float | None = None) -> list[Wave]:
        def transaction(connection: apsw.Connection) -> list[Wave]:
            rows = connection.execute(
                "SELECT w.number, subject, state, began_at, last_at,"
                " coalesce(sum(is_held), 0), count(recipient_hash) - coalesce(sum(is_held), 0)"
                " FROM waves w LEFT JOIN suppressions s ON s.wave = w.number AND (expires_at IS NULL OR expires_at > ?)"
                " GROUP BY w.number ORDER BY w.number DESC LIMIT ?",
                (self._file.now_ms(now) / 1000, limit),
            )
            return [
                Wave(number, subject, state, began_at=began_at, last_at=last_at, held=held, in_effect=in_effect)
                for number, subject, state, began_at, last_at, held, in_effect in rows
            ]

        return await self._file.ask_aside(transaction)

    async def accept(self, number: int) -> int | None:
        def transaction(connection: apsw.Connection) -> int | None:
            connection.execute("UPDATE waves SET state = 'accepted' WHERE number = ? AND state = 'open'", (number,))
            if connection.changes() == 0:
                return None
            connection.execute("UPDATE suppressions SET is_held = 0 WHERE wave = ? AND is_held = 1", (number,))
            return connection.changes()

        return await self._file.write(transaction)

    async def undo(self, number: int, now: float | None = None) -> int | None:
        def transaction(connection: apsw.Connection) -> int | None:
            at = self._file.now_ms(now) / 1000
            connection.execute("UPDATE waves SET state = 'undone' WHERE number = ? AND state <> 'undone'", (number,))
            if connection.changes() == 0:
                return None
            rows = connection.execute("SELECT recipient_hash FROM suppressions WHERE wave = ?", (number,)).fetchall()
            connection.execute("DELETE FROM suppressions WHERE wave = ?", (number,))
            for (recipient_hash,) in rows:
                forget(connection, str(recipient_hash), "", at)
            return len(rows)

        return await self._file.write(transaction)

    async def sweep(self, now: float | None, budget: int) -> int:
        """Remove old waves of which nothing is left."""

        def remove(connection: apsw.Connection, step: int) -> int:
            connection.execute(
                "DELETE FROM waves WHERE number IN (SELECT number FROM waves WHERE last_at < ?"
                " AND NOT EXISTS (SELECT 1 FROM suppressions WHERE wave = number) LIMIT ?)",
                (self._file.now_ms(now) / 1000 - WAVE_KEPT_S, step),
            )
            return connection.changes()

        return await self._file.sweep(remove, budget)


def _hold(connection: apsw.Connection, entry: Suppression, subject: str, now_ms: int) -> Learned:
    if known_entry(connection, entry.recipient_hash, entry.stream, now_ms) is not None:
        return Learned.KNOWN
    row = connection.execute(
        "SELECT number FROM waves WHERE subject = ? AND state = 'open' ORDER BY number DESC LIMIT 1", (subject,)
    ).fetchone()
    if row is None:
        number = _new_wave(connection, subject, entry.added_at)
    else:
        number = int(row[0])
        connection.execute("UPDATE waves SET last_at = max(last_at, ?) WHERE number = ?", (entry.added_at, number))
    put(connection, replace(entry, wave=number, is_held=True))
    return Learned.HELD


def with_wave(connection: apsw.Connection, entry: Suppression, guard: WaveGuard) -> tuple[Suppression, Learned]:
    """A new entry with the wave it belongs to, if any; and whether it is in effect, held, or held as the first."""
    subjects = [(f"domain:{entry.domain}", "domain", entry.domain), (f"rule:{entry.rule}", "rule", entry.rule)]
    for subject, column, value in subjects:
        if not value:
            continue
        row = connection.execute(
            "SELECT number, state FROM waves WHERE subject = ? AND last_at > ? ORDER BY number DESC LIMIT 1",
            (subject, entry.added_at - guard.within_s),
        ).fetchone()
        if row is not None and row[1] != "undone":
            number, state = row
            connection.execute("UPDATE waves SET last_at = max(last_at, ?) WHERE number = ?", (entry.added_at, number))
            is_open = state == "open"
            return replace(entry, wave=number, is_held=is_open), Learned.HELD if is_open else Learned.SUPPRESSED
        if row is not None or _is_burst(connection, entry, column, value, guard):
            number = _begun(connection, entry, subject, column, value, guard)
            return replace(entry, wave=number, is_held=True), Learned.WAVE_BEGAN
    return entry, Learned.SUPPRESSED


def _is_burst(connection: apsw.Connection, entry: Suppression, column: str, value: str, guard: WaveGuard) -> bool:
    since = entry.added_at - guard.within_s
    count = 1 + _count(
        connection,
        f"suppressions WHERE {column} = ? AND added_at > ? AND source = 'bounce' AND wave IS NULL",
        value,
        since,
    )
    if count <= guard.suppressions:
        return False
    # More deliveries than make it no burst need not be counted.
    enough = count * 100 // max(1, guard.percent) + 1
    if column == "domain":
        delivered = _count(connection, "(SELECT 1 FROM good WHERE domain = ? AND at > ? LIMIT ?)", value, since, enough)
    else:
        delivered = _count(connection, "(SELECT 1 FROM good WHERE domain <> '' AND at > ? LIMIT ?)", since, enough)
    return count * 100 > guard.percent * (count + delivered)


def _count(connection: apsw.Connection, what: str, *bindings: str | float) -> int:
    rows: list[tuple[int]] = connection.execute(f"SELECT count(*) FROM {what}", bindings).fetchall()  # type: ignore[assignment]
    return rows[0][0]


def _begun(
    connection: apsw.Connection, entry: Suppression, subject: str, column: str, value: str, guard: WaveGuard
) -> int:
    number = _new_wave(connection, subject, entry.added_at)
    connection.execute(
        f"UPDATE suppressions SET wave = ? WHERE {column} = ? AND added_at > ? AND source = 'bounce' AND wave IS NULL",
        (number, value, entry.added_at - guard.within_s),
    )
    return number


def _new_wave(connection: apsw.Connection, subject: str, at: float) -> int:
    connection.execute(
        "INSERT INTO waves (subject, state, began_at, last_at) VALUES (?, 'open', ?, ?)", (subject, at, at)
    )
    return connection.last_insert_rowid()
