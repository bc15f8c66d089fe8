"""bench/templates: how many welcome mails one core renders and composes, beside the means at hand.

    .venv/bin/python bench/templates.py [--rounds N] [--mails M]

Both sides make the same mail of the same data: ours by the catalogue (variables checked, sandbox with its account,
styles put in at load) and compose; the other by plain Jinja2 of the same sources, css-inline for each mail, and
email.message. The two take turns in one run, so that a slow minute of the machine meets both. Before anything is
timed both messages are parsed, and must say the same: header, text and HTML, styles included.
"""

import argparse
import re
import sys
import timeit
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "daemons"), str(ROOT)]

from bench.prerequisites import need_environment  # noqa: E402 - the checkout's own packages

need_environment()

import jinja2  # noqa: E402
from css_inline import CSSInliner  # noqa: E402

from postroom.mail.addresses import Mailbox  # noqa: E402
from postroom.submission.api.compose import MailParts, compose  # noqa: E402
from postroom.templating import Brand, Catalogue  # noqa: E402
from postroom.templating.formats import defuse  # noqa: E402

FOLDER = ROOT / "templates"
BRAND = Brand(
    "Example Books", "https://www.example.org/", "1 High Street, Exampleton", "support@example.org", "#1a5fb4"
)
CATALOGUE = Catalogue.load([FOLDER], BRAND)
WELCOME = CATALOGUE.get("welcome")
DATA = {"first_name": "Zoë", "action_url": "https://www.example.org/start?token=5b1c0e9a7d", "login": "zoe@example.org"}
SENDER, RECIPIENT = Mailbox("Example Books", "noreply", "example.org"), Mailbox("Zoë Müller", "zoe", "example.net")
MESSAGE_ID, DATE = "0192ab@example.org", 1_790_000_000.0

_plain = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER),
    autoescape=lambda name: name is not None and name.endswith(".html"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_plain.filters["defuse"] = defuse
# Filters of macros that welcome does not use.
_plain.filters |= dict.fromkeys(("money", "number"), str)
_plain.globals["brand"] = BRAND
_css = (FOLDER / "_layout" / "mail.css").read_text("utf-8")
_inliner = CSSInliner(
    inline_style_tags=False,
    keep_style_tags=True,
    load_remote_stylesheets=False,
    resolve_css_variables=True,
    extra_css=f":root {{ --brand: {BRAND.colour}; --brand-ink: {BRAND.ink}; }}\n{_css}",
)
_parts = {
    part: _plain.get_template(f"welcome/en/{part}")
    for part in ("subject.txt", "preheader.txt", "body.txt", "body.html")
}


def by_postroom() -> bytes:
    """As submission makes it."""
    mail = WELCOME.render("en", DATA)
    return compose(
        MailParts(
            SENDER, (RECIPIENT,), (), (), mail.subject, mail.text, mail.html, MESSAGE_ID, DATE, auto_submitted=True
        )
    )


def by_the_means_at_hand() -> bytes:
    """Plain Jinja2, css-inline and email.message."""
    given = {**DATA, "locale": "en", "dir": "ltr"}
    given["subject"] = _parts["subject.txt"].render(given).strip()
    given["preheader"] = _parts["preheader.txt"].render(given).strip()
    message = EmailMessage(SMTP)
    message["From"] = f"{SENDER.name} <{SENDER.address}>"
    message["To"] = f"{RECIPIENT.name} <{RECIPIENT.address}>"
    message["Subject"] = given["subject"]
    message["Date"] = "Mon, 21 Sep 2026 14:13:20 +0000"
    message["Message-ID"] = f"<{MESSAGE_ID}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_parts["body.txt"].render(given).strip("\n") + "\n", cte="quoted-printable")
    html = _inliner.inline(_parts["body.html"].render(given).strip() + "\n")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    return message.as_bytes()


class _Tags(HTMLParser):
    """What an HTML text means: tags, attributes, styles one by one, words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[object] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tbody":  # css-inline writes the one that HTML implies
            return
        values = dict(attrs)
        style = values.pop("style", None) or ""
        self.seen.append((tag, sorted(values.items()), sorted(re.sub(r"\s", "", style).strip(";").split(";"))))

    def handle_data(self, data: str) -> None:
        if words := " ".join(data.split()):
            self.seen.append(words)


def meaning(octets: bytes) -> tuple[object, ...]:
    """What a reader gets of a message, whatever the encoding; text without regard to where lines are broken."""
    message = message_from_bytes(octets, policy=default)
    assert isinstance(message, EmailMessage)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    header = {name: str(message[name]) for name in ("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted")}
    return header, " ".join(text.get_content().split()), _Tags(html.get_content()).seen


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--mails", type=int, default=500)
    chosen = options.parse_args()
    ours, theirs = meaning(by_postroom()), meaning(by_the_means_at_hand())
    for one, other in zip(ours, theirs, strict=True):
        assert one == other, f"the two do not say the same:\n{one}\n{other}"
    best = {by_postroom: 0.0, by_the_means_at_hand: 0.0}
    for _ in range(chosen.rounds):
        for make, rate in best.items():
            best[make] = max(rate, chosen.mails / timeit.timeit(make, number=chosen.mails))
    for make, rate in best.items():
        print(f"{make.__name__.replace('_', ' '):24} {len(make()):6} octets  {rate:7.0f} mails/s")
    print(f"ratio {best[by_postroom] / best[by_the_means_at_hand]:.1f}")


if __name__ == "__main__":
    main()
