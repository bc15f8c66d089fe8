"""shared.db: bursts of suppressions, held for review, in SQL. Operations for one open transaction.

A server that says "user unknown" to everybody for an hour, or a rule of ours that is wrong, would empty a list of
good addresses. So when suppressions by bounces pile up in one domain, or under one rule, further ones are held: they
wait for the operator, are not in effect meanwhile, and a delivery lifts them as any other. Those that came before the
burst was noticed belong to the wave too, so that undoing it lifts all.

    no wave ─ more than the guard allows ─► open ─► accepted: what comes is in effect
                                              └──► undone: all lifted; what comes at once is a new wave, held

A wave goes on as long as its suppressions come without a pause of `within_s`. Its subject is the domain where that
alone is too much, else the rule.
"""

import apsw

from postroom.store.shared.suppression import WAVE_KEPT_S, Suppression, Wave, WaveGuard

SCHEMA = """
CREATE TABLE waves (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    subject  TEXT NOT NULL,
    state    TEXT NOT NULL,
    began_at REAL NOT NULL,  -- Unix seconds
    last_at  REAL NOT NULL
) STRICT;
CREATE INDEX waves_by_subject ON waves (subject, last_at);
CREATE INDEX suppressions_by_wave ON suppressions (wave) WHERE wave IS NOT NULL;
CREATE INDEX suppressions_by_domain ON suppressions (domain, added_at) WHERE source = 'bounce';
CREATE INDEX suppressions_by_rule ON suppressions (rule, added_at) WHERE source = 'bounce';
"""


def wave_of(connection: apsw.Connection, entry: Suppression, guard: WaveGuard) -> tuple[int | None, bool, bool]:
    """The wave a new entry belongs to, if any; whether it is held; whether the wave begins with it."""
    subjects = [(f"domain:{entry.domain}", "domain", entry.domain), (f"rule:{entry.rule}", "rule", entry.rule)]
    for subject, column, value in subjects:
        if not value:
            continue
        row = connection.execute(
            "SELECT number, state FROM waves WHERE subject = ? AND last_at > ? ORDER BY number DESC LIMIT 1",
            (subject, entry.added_at - guard.within_s),
        ).fetchone()
        if row is not None and row[1] != "undone":
            connection.execute("UPDATE waves SET last_at = max(last_at, ?) WHERE number = ?", (entry.added_at, row[0]))
            return row[0], row[1] == "open", False
        if row is not None or _is_burst(connection, entry, column, value, guard):
            return _begun(connection, entry, subject, column, value, guard), True, True
    return None, False, False


def waves(connection: apsw.Connection, limit: int, now_ms: int) -> list[Wave]:
    """See SharedStore.waves."""
    rows = connection.execute(
        "SELECT w.number, subject, state, began_at, last_at,"
        " coalesce(sum(is_held), 0), count(recipient_hash) - coalesce(sum(is_held), 0)"
        " FROM waves w LEFT JOIN suppressions s ON s.wave = w.number AND (expires_at IS NULL OR expires_at > ?)"
        " GROUP BY w.number ORDER BY w.number DESC LIMIT ?",
        (now_ms / 1000, limit),
    )
    return [Wave(*row) for row in rows]


def accept(connection: apsw.Connection, number: int) -> int | None:
    """See SharedStore.accept_wave."""
    connection.execute("UPDATE waves SET state = 'accepted' WHERE number = ? AND state = 'open'", (number,))
    if connection.changes() == 0:
        return None
    connection.execute("UPDATE suppressions SET is_held = 0 WHERE wave = ? AND is_held = 1", (number,))
    return connection.changes()


def undo(connection: apsw.Connection, number: int) -> list[str] | None:
    """Take all entries of a wave away; give their recipients. None when there is no such wave, or it is undone."""
    connection.execute("UPDATE waves SET state = 'undone' WHERE number = ? AND state <> 'undone'", (number,))
    if connection.changes() == 0:
        return None
    rows = connection.execute("SELECT recipient_hash FROM suppressions WHERE wave = ?", (number,))
    recipients = [str(row[0]) for row in rows.fetchall()]
    connection.execute("DELETE FROM suppressions WHERE wave = ?", (number,))
    return recipients


def sweep(connection: apsw.Connection, now_ms: int, step: int) -> int:
    """Remove at most `step` old waves of which nothing is left; return how many it were."""
    connection.execute(
        "DELETE FROM waves WHERE number IN (SELECT number FROM waves WHERE last_at < ?"
        " AND NOT EXISTS (SELECT 1 FROM suppressions WHERE wave = number) LIMIT ?)",
        (now_ms / 1000 - WAVE_KEPT_S, step),
    )
    return connection.changes()


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
    connection.execute(
        "INSERT INTO waves (subject, state, began_at, last_at) VALUES (?, 'open', ?, ?)",
        (subject, entry.added_at, entry.added_at),
    )
    number = connection.last_insert_rowid()
    connection.execute(
        f"UPDATE suppressions SET wave = ? WHERE {column} = ? AND added_at > ? AND source = 'bounce' AND wave IS NULL",
        (number, value, entry.added_at - guard.within_s),
    )
    return number
