"""The quickstart's mails, what must become of each, and the judgement. Pure.

Three witnesses are compared for each delivery: Postroom's API, Postfix's log, and the mail as the far end
stored it, taken apart by Python's own parser. They meet in the queue id.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from sandbox.api import Answer
from sandbox.sink import StoredMail

DOMAIN = "example.org"
BRAND = "Quickstart"
RETURN_DOMAIN = f"bounces.{DOMAIN}"


@dataclass(frozen=True)
class Mail:
    """One request, and what must arrive."""

    title: str
    body: Mapping[str, Any]
    recipients: tuple[str, ...]
    """Envelope recipients, in the order of the request."""
    subject: str
    parts: tuple[str, ...]
    """Content types of the parts, in order."""
    words: tuple[str, ...]
    """Each stands in each part."""
    key: str | None = None
    """The Idempotency-Key."""
    posts: int = 1
    """How often the request is sent; with a key it stays one message."""


@dataclass(frozen=True)
class Row:
    """A line of the report: what each witness said, and what is wrong with it."""

    title: str
    recipient: str
    api: str
    queue_id: str
    log: str
    arrived: str
    faults: tuple[str, ...]


MAILS = (
    Mail(
        title="template",
        body={
            "from": f"Quickstart <hello@{DOMAIN}>",
            "to": ["ada@example.net", "Grace Hopper <grace@example.com>"],
            "template": {
                "name": "welcome",
                "locale": "en",
                "data": {"first_name": "Ada", "action_url": f"https://www.{DOMAIN}/start?token=5b1c0e9a7d"},
            },
        },
        recipients=("ada@example.net", "grace@example.com"),
        subject=f"Welcome to {BRAND}, Ada",
        parts=("text/plain", "text/html"),
        words=("Ada", f"https://www.{DOMAIN}/start?token=5b1c0e9a7d"),
    ),
    Mail(
        title="own text and HTML",
        body={
            "from": f"hello@{DOMAIN}",
            "to": ["jürgen <juergen@example.net>"],
            "subject": "Grüße aus dem Postraum",
            "text": "Schöne Grüße\n.\n.. und Punkte am Zeilenanfang\n",
            "html": "<p>Schöne Grüße<br>.<br>.. und Punkte am Zeilenanfang</p>\n",
        },
        recipients=("juergen@example.net",),
        subject="Grüße aus dem Postraum",
        parts=("text/plain", "text/html"),
        words=("Schöne Grüße", ".. und Punkte am Zeilenanfang"),
    ),
    Mail(
        title="same key, sent twice",
        body={
            "from": f"billing@{DOMAIN}",
            "to": ["accounts@example.net"],
            "subject": "Invoice 2026-1124",
            "text": "Twelve euros, once.\n",
        },
        recipients=("accounts@example.net",),
        subject="Invoice 2026-1124",
        parts=("text/plain",),
        words=("Twelve euros, once.",),
        key="invoice-2026-1124",
        posts=2,
    ),
)

REFUSED = {"from": "somebody@elsewhere.example", "to": ["not an address"], "text": "This must not go out.\n"}
"""A request that is wrong in three places."""
REFUSED_POINTERS = frozenset({"/from", "/to/0", "/subject"})


def settled(message: Mapping[str, Any]) -> bool:
    """Whether Postroom has done its part: each delivery is queued, or has ended otherwise."""
    return all(delivery["state"] not in ("scheduled", "accepted", "deferred") for delivery in message["deliveries"])


def queue_ids(message: Mapping[str, Any]) -> list[str]:
    """The queue ids that the API names for this message."""
    return [delivery["queue_id"] for delivery in message["deliveries"] if "queue_id" in delivery]


def judge(
    mail: Mail,
    answers: Sequence[Answer],
    message: Mapping[str, Any],
    log: Mapping[str, Sequence[str]],
    stored: Sequence[StoredMail],
) -> list[Row]:
    """One row for each recipient.

    Args:
        answers: what the API said to each POST of this mail.
        message: what GET says of it now.
        log: queue id to the statuses Postfix logged for it.
        stored: all that the far end has.
    """
    faults: list[str] = []
    if {answer.status for answer in answers} != {202}:
        faults.append(f"POST was answered {[answer.status for answer in answers]}, not 202")
    if len({answer.document.get("id") for answer in answers}) != 1:
        faults.append("the same key gave different messages")
    arrived = [copy for copy in stored if copy.message()["Message-ID"] == message["message_id"]]
    if len(arrived) != len(mail.recipients):
        faults.append(f"{len(arrived)} mails arrived, not {len(mail.recipients)}")
    if len({copy.sender for copy in arrived}) != len(arrived):
        faults.append("two deliveries share a return path")
    deliveries = message["deliveries"]
    if len(deliveries) != len(mail.recipients):
        faults.append(f"the API tells of {len(deliveries)} deliveries, not {len(mail.recipients)}")
    rows = [
        _delivery_row(mail, recipient, delivery, log, arrived)
        for recipient, delivery in zip(mail.recipients, deliveries, strict=False)
    ]
    if faults and rows:
        first = rows[0]
        rows[0] = Row(**{**vars(first), "faults": (*faults, *first.faults)})
    return rows or [Row(mail.title, "", "", "", "", "", tuple(faults))]


def _delivery_row(
    mail: Mail,
    recipient: str,
    delivery: Mapping[str, Any],
    log: Mapping[str, Sequence[str]],
    arrived: Sequence[StoredMail],
) -> Row:
    queue_id = delivery.get("queue_id", "")
    statuses = log.get(queue_id, ())
    copies = [copy for copy in arrived if queue_id and queue_id == received_as(copy.message())]
    faults = []
    if delivery["state"] != "queued":
        faults.append(f"the API says {delivery['state']}: {delivery.get('reason', 'no reason given')}")
    if list(statuses) != ["sent"]:
        faults.append(f"Postfix's log says {', '.join(statuses) or 'nothing'}")
    if len(copies) == 1:
        faults += _differences(mail, recipient, copies[0])
    else:
        faults.append(f"{len(copies)} mails arrived under this queue id, not 1")
    shown = _shown(copies[0].message()) if copies else "nothing"
    return Row(mail.title, recipient, delivery["state"], queue_id, ", ".join(statuses), shown, tuple(faults))


def _differences(mail: Mail, recipient: str, copy: StoredMail) -> list[str]:
    message = copy.message()
    leaves = _leaves(message)
    faults = []
    if copy.recipients != (recipient,):
        faults.append(f"its envelope is for {copy.recipients}")
    if not copy.sender.endswith(f"@{RETURN_DOMAIN}"):
        faults.append(f"its return path is {copy.sender}")
    if message["Subject"] != mail.subject:
        faults.append(f"its subject is {message['Subject']!r}")
    if tuple(leaf.get_content_type() for leaf in leaves) != mail.parts:
        faults.append(f"its parts are {[leaf.get_content_type() for leaf in leaves]}")
    faults += [
        f"its {leaf.get_content_type()} part lacks {word!r}"
        for leaf in leaves
        for word in mail.words
        # In HTML a link's & would be escaped; the words have none.
        if word not in leaf.get_content()
    ]
    return faults


def judge_refusal(answer: Answer) -> Row:
    """The row of the request that must be refused: problem+json that names every fault (RFC 9457)."""
    pointers = sorted(error["pointer"] for error in answer.document.get("errors", ()))
    faults = []
    if answer.status != 422 or answer.content_type != "application/problem+json":
        faults.append(f"answered {answer.status} {answer.content_type}, not 422 application/problem+json")
    if not set(pointers) >= REFUSED_POINTERS:
        faults.append(f"names {pointers}, not all of {sorted(REFUSED_POINTERS)}")
    shown = f"faults at {', '.join(pointers)}"
    return Row("wrong on purpose", "", f"refused {answer.status}", "", "", shown, tuple(faults))


def judge_rest(expected: int, stored: Sequence[StoredMail]) -> list[Row]:
    """A row when more mail arrived than was sent; else none."""
    if len(stored) <= expected:
        return []
    return [Row("", "", "", "", "", f"{len(stored)} mails", (f"only {expected} were sent",))]


def received_as(message: EmailMessage) -> str:
    """The queue id in the topmost Received line, the one of the Postfix that sent it here."""
    lines = message.get_all("Received", [])
    found = re.search(r"\(Postfix\)\s+with\s+\w+\s+id\s+(\w+)", str(lines[0])) if lines else None
    return found[1] if found else ""


def _leaves(message: EmailMessage) -> list[EmailMessage]:
    return [part for part in message.walk() if not part.is_multipart() and isinstance(part, EmailMessage)]


def _shown(message: EmailMessage) -> str:
    parts = "+".join(leaf.get_content_subtype() for leaf in _leaves(message))
    return f"{message['Subject']} ({parts})"
