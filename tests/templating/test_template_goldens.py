"""Every mail word for word: subject, text, and the HTML's outline, of each template, language and sample.

Any change of what people get shows in golden/. To take a change over, read the difference, then
`POSTROOM_GOLDEN=write pytest tests/templating/test_template_goldens.py` and commit.
"""

import os
from pathlib import Path

import pytest

from postroom.templating import Brand, Catalogue
from postroom.templating.page import read

GOLDEN = Path(__file__).parent / "golden"
SHIPPED = Path(__file__).parents[2] / "templates"
CATALOGUE = Catalogue.load(
    [SHIPPED],
    Brand("Example Books", "https://www.example.org/", "1 High Street, Exampleton", "support@example.org", "#1a5fb4"),
)
CASES = [(name, locale) for name in CATALOGUE.names() for locale in sorted(CATALOGUE.get(name).locales)]


def made(name: str, locale: str) -> str:
    template = CATALOGUE.get(name)
    pieces = []
    for trial, data in template.manifest.trials():
        mail = template.render(locale, data)
        pieces.append(f"=== {trial}\nSubject: {mail.subject}\n\n{mail.text}\n--- html\n{read(mail.html).outline()}")
    return "\n".join(pieces)


@pytest.mark.parametrize(("name", "locale"), CASES, ids=lambda part: part)
def test_mail_is_as_it_was(name: str, locale: str) -> None:
    """Compared with what somebody has read and found good."""
    path = GOLDEN / f"{name}-{locale}.txt"
    if os.environ.get("POSTROOM_GOLDEN") == "write":
        path.write_text(made(name, locale), encoding="utf-8")
    assert made(name, locale) == path.read_text("utf-8")


def test_no_golden_file_is_left_over() -> None:
    """Each belongs to a template and language; welcome has its full HTML too."""
    files = {path.name for path in GOLDEN.iterdir()}
    whole = {"welcome.html", "welcome.text", "welcome.subject"}
    assert files == {f"{name}-{locale}.txt" for name, locale in CASES} | whole
