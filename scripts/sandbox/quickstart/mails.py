"""The quickstart's mails, through all three doors, and what must become of each. Pure.

Each has one recipient, whose local part says what its server does (recipient_servers.py), and a sender of its own, so
that what is used of the sender's limit shows what was counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from email.message import EmailMessage
from typing import Any, Literal

DOMAIN = "example.org"
BRAND = "Quickstart"
RETURN_DOMAIN = f"bounces.{DOMAIN}"
LIMIT, LIMIT_NAME = 3, "hourly"
"""Messages of one sender in an hour, by whichever door, and the rule's name."""
OVER_LIMIT_SENDER = f"reports@{DOMAIN}"

Door = Literal["socket", "smtp", "sendmail"]


@dataclass(frozen=True)
class Outcome:
    """What must become of a mail.

    Args:
        state:  as the API tells it, of mail by other doors as Postfix's log does; `refused` when the door did not take
                the mail, `waiting` when it waits for room in a limit.
        status: the enhanced status code; of a refusal by the API the HTTP status.
        words:  each stands in the reason.
        logged: what Postfix's log says of its way: status and enhanced status code of each delivery.
    """

    state: str
    status: str
    words: tuple[str, ...]
    logged: tuple[tuple[str, str], ...] = ()

    @property
    def arrives(self) -> bool:
        """Whether the recipient's server takes it."""
        return self.logged[-1:] == (_TAKEN,)


_TAKEN = ("sent", "2.0.0")
_OVER = ("450 4.7.1", f"Over the limit {LIMIT_NAME}")

DELIVERED = Outcome("delivered", "2.0.0", ("250",), (_TAKEN,))
RETURNED = Outcome("bounced", "5.1.1", ("reported after it was taken", "550 5.1.1"), (_TAKEN,))
DEFERRED = Outcome("deferred", "4.3.0", ("451 4.3.0",), (("deferred", "4.3.0"),))
UNKNOWN = Outcome("bounced", "5.1.1", ("550 5.1.1",), (("bounced", "5.1.1"),))
BLOCKED = Outcome("bounced", "5.7.1", ("550 5.7.1",), (("bounced", "5.7.1"),))
INVALID = Outcome("refused", "422", ("/from", "/to/0", "/subject"))
SUPPRESSED_AT_SOCKET = Outcome("refused", "422", ("suppressed: invalid_recipient",))
SENT_BY_SMTP = Outcome("sent", "2.0.0", ("250",), (_TAKEN,))
OVER_LIMIT = Outcome("refused", "4.7.1", _OVER)
SUPPRESSED_AT_SMTP = Outcome("refused", "5.1.1", ("550 5.1.1", "suppressed: invalid_recipient"))
SENT_BY_SENDMAIL = replace(SENT_BY_SMTP, logged=(_TAKEN, _TAKEN))
"""The first is its way through the door."""
WAITING = Outcome("waiting", "4.7.1", _OVER, (("deferred", "4.7.1"),))


@dataclass(frozen=True)
class Mail:
    """One mail, what must become of it, and what must arrive.

    Args:
        used:    messages counted for its sender once this mail is through.
        content: fields of the API's request that make it, beside from and to.
        parts:   content types of its parts, in order.
        words:   each stands in each part.
        key:     the Idempotency-Key.
        posts:   how often the request is sent; with a key it stays one message.
    """

    title: str
    door: Door
    sender: str
    recipient: str
    subject: str
    outcome: Outcome
    used: int
    content: Mapping[str, Any]
    parts: tuple[str, ...] = ("text/plain",)
    words: tuple[str, ...] = ()
    to: str = ""
    """As it stands in the header; empty: the recipient."""
    key: str | None = None
    posts: int = 1

    def request(self) -> dict[str, Any]:
        """The body of POST /v1/messages."""
        return {"from": self.sender, "to": [self.to or self.recipient], **self.content}

    def letter(self, date: datetime) -> EmailMessage:
        """The mail as an application hands it to an SMTP server, or to sendmail(1)."""
        letter = EmailMessage()
        letter["From"], letter["To"], letter["Subject"] = self.sender, self.recipient, self.subject
        letter["Date"] = date
        letter["Message-ID"] = self.message_id
        letter.set_content(self.content["text"])
        return letter

    @property
    def message_id(self) -> str:
        """Of a mail not sent by the API, which makes one itself."""
        return f"<{self.title.replace(' ', '-')}@{DOMAIN}>"


def _notice(sender: str, recipient: str, outcome: Outcome) -> Mail:
    text = "Your order has left our house.\n"
    content = {"subject": "Your order", "text": text}
    return Mail("notice", "socket", f"{sender}@{DOMAIN}", recipient, "Your order", outcome, 1, content)


def _report(number: int, outcome: Outcome, door: Door = "smtp") -> Mail:
    subject, text = f"Report {number}", f"Report {number}: schöne Zahlen.\n"
    return Mail(
        title=f"report {number}",
        door=door,
        sender=OVER_LIMIT_SENDER,
        recipient="team@example.com",
        subject=subject,
        outcome=outcome,
        used=min(number, LIMIT),
        content={"text": text},
        words=(text.strip(),),
    )


_UNKNOWN = _notice("shop", "gone@example.net", UNKNOWN)
_BLOCKED = _notice("news", "shut@example.net", BLOCKED)
RETURNED_LATER = replace(_notice("club", "left@example.net", RETURNED), title="returned")
"""Taken by its server, which later says in a mail to the return path that there is no such recipient."""

FIRST = (
    Mail(
        title="template",
        door="socket",
        sender=f"hello@{DOMAIN}",
        recipient="ada@example.net",
        subject=f"Welcome to {BRAND}, Ada",
        outcome=DELIVERED,
        used=1,
        content={
            "template": {
                "name": "welcome",
                "locale": "en",
                "data": {"first_name": "Ada", "action_url": f"https://www.{DOMAIN}/start?token=5b1c0e9a7d"},
            },
        },
        parts=("text/plain", "text/html"),
        words=("Ada", f"https://www.{DOMAIN}/start?token=5b1c0e9a7d"),
    ),
    Mail(
        title="own HTML",
        door="socket",
        sender=f"press@{DOMAIN}",
        recipient="jo@example.net",
        to="Jörg <jo@example.net>",
        subject="Grüße aus dem Postraum",
        outcome=DELIVERED,
        used=1,
        content={
            "subject": "Grüße aus dem Postraum",
            "text": "Schöne Grüße\n.\n.. und Punkte am Zeilenanfang\n",
            "html": "<p>Schöne Grüße<br>.<br>.. und Punkte am Zeilenanfang</p>\n",
        },
        parts=("text/plain", "text/html"),
        words=("Schöne Grüße", ".. und Punkte am Zeilenanfang"),
    ),
    Mail(
        title="same key",
        door="socket",
        sender=f"billing@{DOMAIN}",
        recipient="bob@example.net",
        subject="Invoice 2026-1124",
        outcome=DELIVERED,
        used=1,
        content={"subject": "Invoice 2026-1124", "text": "Twelve euros, once.\n"},
        words=("Twelve euros, once.",),
        key="invoice-2026-1124",
        posts=2,
    ),
    _notice("desk", "busy@example.net", DEFERRED),
    _UNKNOWN,
    _BLOCKED,
    Mail(
        title="nonsense",
        door="socket",
        sender="somebody@elsewhere.example",
        recipient="not an address",
        subject="",
        outcome=INVALID,
        used=0,
        content={"text": "This must not go out.\n"},
    ),
    *(_report(number, SENT_BY_SMTP) for number in range(1, LIMIT + 1)),
    _report(LIMIT + 1, OVER_LIMIT),
    _report(LIMIT + 2, WAITING, "sendmail"),
    Mail(
        title="cron job",
        door="sendmail",
        sender=f"cron@{DOMAIN}",
        recipient="ops@example.com",
        subject="Cron: backup",
        outcome=SENT_BY_SENDMAIL,
        used=1,
        content={"text": "Backup: 3 files, no faults.\n"},
        words=("Backup: 3 files, no faults.",),
    ),
    RETURNED_LATER,
)
"""Sent at once, those of one sender one after the other."""

SUPPRESSED = _UNKNOWN.recipient

AGAIN = (
    replace(_UNKNOWN, title="again", outcome=SUPPRESSED_AT_SOCKET),
    replace(_UNKNOWN, title="again", outcome=SUPPRESSED_AT_SMTP, door="smtp"),
    replace(_BLOCKED, title="again", used=2),
)
"""Sent when SUPPRESSED is on the suppression list."""
