"""How many welcome mails one core composes in a second, beside the stdlib's email.message.

    .venv/bin/python bench/compose.py

The mail: a text of 0.6 kB and an HTML of 12 kB, both with some letters that are
not ASCII. Prints octets, seconds and mails per second of the best of five rounds.
"""

import sys
import timeit
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "daemons"), str(ROOT)]

from bench.prerequisites import need_environment  # noqa: E402 - the checkout's own packages

need_environment()

from postroom.mail.addresses import Mailbox  # noqa: E402
from postroom.submission.api.compose import MailParts, compose  # noqa: E402

ROUNDS, MAILS = 5, 500

TEXT = "Hallo Jane,\n\nschön, dass du da bist.\n" + "Eine Zeile mit einem Umlaut: ä.\n" * 18
ROW = '<tr><td style="padding:0 12px;color:#333">Zeile {}: Grüße aus Köln, ein etwas längerer Satz</td></tr>\n'
HTML = "<html><body><table>\n" + "".join(map(ROW.format, range(120))) + "</table></body></html>\n"
PARTS = MailParts(
    from_=Mailbox("Müller GmbH", "noreply", "example.org"),
    to=(Mailbox("Jane Doe", "jane", "example.net"),),
    cc=(),
    reply_to=(Mailbox("", "help", "example.org"),),
    subject="Willkommen bei der Müller GmbH — schön, dass du da bist",
    text=TEXT,
    html=HTML,
    message_id="0192ab@example.org",
    date=1_790_000_000.0,
    auto_submitted=True,
)


def compose_by_stdlib() -> bytes:
    """The same mail by the means at hand."""
    message = EmailMessage(SMTP)
    message["From"] = f"{PARTS.from_.name} <{PARTS.from_.address}>"
    message["To"] = f"{PARTS.to[0].name} <{PARTS.to[0].address}>"
    message["Reply-To"] = PARTS.reply_to[0].address
    message["Subject"] = PARTS.subject
    message["Date"] = "Mon, 21 Sep 2026 14:13:20 +0000"
    message["Message-ID"] = f"<{PARTS.message_id}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(TEXT, cte="quoted-printable")
    message.add_alternative(HTML, subtype="html", cte="quoted-printable")
    return message.as_bytes()


def compose_by_postroom() -> bytes:
    return compose(PARTS)


if __name__ == "__main__":
    makers: dict[str, Callable[[], bytes]] = {"postroom": compose_by_postroom, "stdlib": compose_by_stdlib}
    for name, make in makers.items():
        best_s = min(timeit.repeat(make, number=MAILS, repeat=ROUNDS))
        print(f"{name:9} {len(make()):6} octets  {best_s:6.3f} s  {MAILS / best_s:7.0f} mails/s")
