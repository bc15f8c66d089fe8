"""What the tests of the outbox put into it, and a look at the file from outside."""

from pathlib import Path
from typing import Any

import apsw

from postroom.mail.ids import RANDOM_OCTETS, new_id
from postroom.store.outbox.mail_store import MailStore
from postroom.store.outbox.messages import Accepted, Idempotency, Mismatch, Repeated, StoredMessage

KEY = b"k" * 32
"""Recipients are hashed with it."""
NOW = 1_800_000_000.0
BODY = b"Subject: hello\r\n\r\nyour code is in here\r\n"


def letter(number: int, at: float = NOW, client: str = "shop") -> StoredMessage:
    """A message of its own for each number (below 2**32); ids grow with `at`."""
    message = new_id(at, number.to_bytes(RANDOM_OCTETS, "big"))
    return StoredMessage(
        message, client, f"{message}@example.org", "*@bounces.example.org", at, "welcome", "v1", "#anna", "news"
    )


async def put(
    store: MailStore,
    number: int,
    recipients: tuple[str, ...] = ("jane@example.net",),
    *,
    at: float = NOW,
    key: str | None = None,
    body: bytes = BODY,
    max_waiting: int = 1000,
) -> Accepted | Repeated | Mismatch:
    """Accept letter `number`; its answer is "answer NUMBER"."""
    idempotency = None if key is None else Idempotency(key, store.acceptance.fingerprint(body))
    return await store.acceptance.accept(
        letter(number, at), recipients, body, f"answer {number}", idempotency, max_waiting
    )


def rows(path: Path, query: str) -> list[Any]:
    """What another connection sees in the file: committed rows only."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def faults_of(path: Path) -> list[str]:
    """Whatever must never be true of an outbox, however it came to be as it is."""
    faults = [f"integrity_check: {text}" for (text,) in rows(path, "PRAGMA integrity_check") if text != "ok"]
    faults += [f"foreign_key_check: {row}" for row in rows(path, "PRAGMA foreign_key_check")]
    tally = {state: count for state, count in rows(path, "SELECT state, deliveries FROM tally") if count}
    recount = dict(rows(path, "SELECT state, count(*) FROM delivery GROUP BY state"))
    if tally != recount:
        faults.append(f"tally {tally} is not the recount {recount}")
    needed = "SELECT message FROM delivery WHERE state IN ('accepted', 'deferred', 'in_doubt')"
    for fault, query in {
        "a delivery is to be sent and its body is gone": f"{needed} EXCEPT SELECT message FROM body",
        "a body is kept that nobody needs": f"SELECT message FROM body EXCEPT {needed}",
        "a message without a delivery": "SELECT id FROM message EXCEPT SELECT message FROM delivery",
        "waiting, and no time to do it": "SELECT id FROM delivery WHERE (state IN ('accepted', 'deferred'))"
        " <> (due_at IS NOT NULL)",
        "needing an address, without one": "SELECT id FROM delivery WHERE state IN ('accepted', 'deferred', 'in_doubt')"
        " EXCEPT SELECT delivery FROM address",
        "ended, with an address": "SELECT delivery FROM address JOIN delivery ON id = delivery"
        " WHERE state NOT IN ('accepted', 'deferred', 'in_doubt')",
        "handing what nobody has leased": "SELECT id FROM delivery WHERE handing = 1 AND leased = 0",
    }.items():
        faults += [f"{fault}: {row}" for row in rows(path, query)]
    return faults
