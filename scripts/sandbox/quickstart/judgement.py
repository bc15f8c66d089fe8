"""What became of a mail of the trial, judged. Pure: what each witness said in, a row of the report out.

The evidence share no code: the door's own answer, Postfix's log, the mail as the far end stored it (taken apart by
Python's own parser, its signature verified by two programs), and the limits as `postroom limits show` tells them.
They meet in the queue id.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from subprocess import CompletedProcess
from typing import Any

from sandbox.api import Answer
from sandbox.maillog import LoggedDelivery
from sandbox.quickstart.mails import LIMIT, RETURN_DOMAIN, Mail
from sandbox.sink import StoredMail
from sandbox.smtp import Reply


@dataclass(frozen=True)
class Copy:
    """A mail at the far end, and what the verifiers say of each of its signatures."""

    stored: StoredMail
    dkimpy: Sequence[bool]
    opendkim: Sequence[str]


@dataclass(frozen=True)
class Seen:
    """What the evidence say of one mail.

    Args:
        said:    the door's answer to each try: of the API, of the SMTP server, or how sendmail(1) ended.
        message: what GET says of it now; None when the API did not take it.
        logged:  Postfix's log of its queue ids.
        refused: replies in Postfix's log that refused its recipient, the latest last.
        copies:  those at the far end.
        used:    messages counted for its sender, and the limit.
        waiting: how many mails of sendmail(1) wait at a limit, as `postroom limits show` has it.
    """

    said: Sequence[Answer | Reply | CompletedProcess[bytes]]
    message: Mapping[str, Any] | None = None
    logged: Sequence[LoggedDelivery] = ()
    refused: Sequence[str] = ()
    copies: Sequence[Copy] = ()
    used: tuple[int, int] = (0, LIMIT)
    waiting: int = 0


@dataclass(frozen=True)
class Row:
    """A line of the report, and what is wrong with it."""

    title: str
    door: str
    recipient: str
    signed: str
    used: str
    state: str
    reason: str
    faults: tuple[str, ...]


@dataclass(frozen=True)
class _Result:
    """What became of a mail by the word of its door."""

    state: str
    status: str
    reason: str
    queue_id: str = ""
    faults: tuple[str, ...] = ()


def judge(mail: Mail, seen: Seen) -> Row:
    """The row of a mail."""
    match mail.door:
        case "socket":
            result = _by_api(mail, seen)
        case "smtp":
            result = _by_smtp(seen)
        case "sendmail":
            result = _by_sendmail(seen)
    expected, faults = mail.outcome, list(result.faults)
    if result.state != expected.state:
        faults.append(f"it is {result.state}, not {expected.state}: {result.reason}")
    if result.status != expected.status:
        faults.append(f"its status is {result.status or 'not told'}, not {expected.status}: {result.reason}")
    faults += [f"its reason lacks {word!r}: {result.reason}" for word in expected.words if word not in result.reason]
    logged = [(one.status, one.dsn) for one in seen.logged]
    if logged != list(expected.logged):
        faults.append(f"Postfix's log says {logged or 'nothing'}")
    if len(seen.copies) != expected.arrives:
        faults.append(f"{len(seen.copies)} mails arrived, not {int(expected.arrives)}")
    for copy in seen.copies:
        faults += _differences(mail, result.queue_id, copy)
    if seen.used != (mail.used, LIMIT):
        faults.append(f"used of the limit: {seen.used}, not {(mail.used, LIMIT)}")
    return Row(
        title=mail.title,
        door=mail.door,
        recipient=mail.recipient,
        signed=_signed(seen.copies),
        used=f"{seen.used[0]}/{seen.used[1]}",
        state=result.state,
        reason=short(result.reason),
        faults=tuple(faults),
    )


def judge_rest(mails: Sequence[Mail], stored: Sequence[StoredMail]) -> list[Row]:
    """A row when the recipients' servers have more than was sent; else none."""
    expected = sum(mail.outcome.arrives for mail in mails)
    if len(stored) <= expected:
        return []
    return [Row("more mail", "", "", "", "", "", f"{len(stored)} mails", (f"only {expected} were sent",))]


def short(reason: str) -> str:
    """A reason without what the table says elsewhere."""
    reply = reason.partition(" said: ")[2] or reason
    reply = re.sub(r"<[^>]*>: [\w -]+ rejected: ", "", reply)
    words = r" \(in reply to .*|, try again later$|, since [\d-]+$| for sender:.*|^reported after it was taken: "
    return re.sub(words, "", reply).replace("recipient is ", "")


def received_as(message: EmailMessage) -> str:
    """The queue id in the topmost Received line, the one of the Postfix that sent it here."""
    lines = message.get_all("Received", [])
    found = re.search(r"\(Postfix\)\s+with\s+\w+\s+id\s+(\w+)", str(lines[0])) if lines else None
    return found[1] if found else ""


def _by_api(mail: Mail, seen: Seen) -> _Result:
    answers = [answer for answer in seen.said if isinstance(answer, Answer)]
    if len({answer.document.get("id") for answer in answers}) != 1:
        return _Result("several messages", "", "the same key gave different messages")
    last = answers[-1]
    if seen.message is None:
        return _refusal(last)
    faults = [] if {answer.status for answer in answers} == {202} else [f"POST was answered {last.status}, not 202"]
    deliveries = seen.message.get("deliveries", ())
    if len(deliveries) != 1 or len(answers) != mail.posts:
        faults.append(f"{len(deliveries)} deliveries by {len(answers)} requests, not 1 by {mail.posts}")
    delivery = deliveries[0] if deliveries else {}
    return _Result(
        state=delivery.get("state", "not told"),
        status=delivery.get("enhanced_status", ""),
        reason=delivery.get("reason", "no reason given"),
        queue_id=delivery.get("queue_id", ""),
        faults=tuple(faults),
    )


def _refusal(answer: Answer) -> _Result:
    """Of the API: problem+json that names every fault (RFC 9457)."""
    faults = [] if answer.content_type == "application/problem+json" else [f"its type is {answer.content_type}"]
    errors = answer.document.get("errors", ())
    pointers = ", ".join(error["pointer"] for error in errors)
    reason = errors[0]["detail"] if len(errors) == 1 else f"faults: {pointers}"
    return _Result("refused", str(answer.status), reason, faults=tuple(faults))


def _by_smtp(seen: Seen) -> _Result:
    """By the reply; once Postfix has the mail, by its log, for the reply promises nothing more."""
    reply = seen.said[-1]
    assert isinstance(reply, Reply)
    if reply.queue_id:
        last = seen.logged[-1] if seen.logged else LoggedDelivery("", "queued", "nothing is logged")
        return _Result(last.status, last.dsn, last.reply, reply.queue_id)
    text = f"{reply.code} {reply.text}"
    faults = () if list(seen.refused[-1:]) == [text] else (f"Postfix's log has other refusals: {seen.refused}",)
    return _Result("refused", reply.text.partition(" ")[0], text, faults=faults)


def _by_sendmail(seen: Seen) -> _Result:
    """By Postfix's log; that it waits at its limit is the word of the limits as well."""
    (ended,) = (one for one in seen.said if isinstance(one, CompletedProcess))
    faults = [] if ended.returncode == 0 else [f"sendmail(1) ended with {ended.returncode}: {ended.stderr.decode()}"]
    if not seen.logged:
        return _Result("queued", "", "nothing is logged", faults=tuple(faults))
    *door, last = seen.logged
    waits = last.status == "deferred" and seen.waiting == 1
    queue_id = door[-1].next_queue_id if door else ""
    return _Result("waiting" if waits else last.status, last.dsn, last.reply, queue_id, tuple(faults))


def _differences(mail: Mail, queue_id: str, copy: Copy) -> list[str]:
    stored, message = copy.stored, copy.stored.message()
    leaves = _leaves(message)
    faults = []
    if received_as(message) != queue_id:
        faults.append(f"it arrived as {received_as(message)}, not {queue_id}")
    if stored.recipients != (mail.recipient,):
        faults.append(f"its envelope is for {stored.recipients}")
    if not (stored.sender.endswith(f"@{RETURN_DOMAIN}") if mail.door == "socket" else stored.sender == mail.sender):
        faults.append(f"its return path is {stored.sender}")
    if not _is_verified(copy):
        faults.append(f"its signatures: by dkimpy {list(copy.dkimpy)}, by OpenDKIM {list(copy.opendkim)}")
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


def _signed(copies: Sequence[Copy]) -> str:
    """The word of both verifiers."""
    if not copies:
        return "-"
    return "yes" if all(_is_verified(copy) for copy in copies) else "no"


def _is_verified(copy: Copy) -> bool:
    return list(copy.dkimpy) == [True] and list(copy.opendkim) == ["pass"]


def _leaves(message: EmailMessage) -> list[EmailMessage]:
    return [part for part in message.walk() if not part.is_multipart() and isinstance(part, EmailMessage)]
