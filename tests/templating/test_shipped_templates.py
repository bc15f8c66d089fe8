"""Every shipped template, in every language, with every sample: what must hold of all mail people get."""

import re
from pathlib import Path
from typing import Any

import pytest

from postroom.templating import Brand, Catalogue, Rendered

SHIPPED = Path(__file__).parents[2] / "templates"
BRAND = Brand("Example Books", "https://www.example.org/", "1 High Street", "support@example.org", "#1a5fb4")
CATALOGUE = Catalogue.load([SHIPPED], BRAND)
BARE = Catalogue.load([SHIPPED], Brand("Example", "https://www.example.org/", "", "", "#1a5fb4"))
FAMILIES = [
    "password-reset", "payment-confirmation", "subscription-update", "system-notification", "verification", "welcome",
]  # fmt: skip
LOCALES = ["de", "en", "es", "fr"]


def mails() -> list[Any]:
    return [
        pytest.param(CATALOGUE.get(name).render(locale, data), data, id=f"{name}-{locale}-{trial}")
        for name in FAMILIES
        for locale in LOCALES
        for trial, data in CATALOGUE.get(name).manifest.trials()
    ]


def test_six_families_are_there_in_four_languages() -> None:
    """What the mission names first."""
    assert CATALOGUE.names() == FAMILIES
    assert {name: sorted(CATALOGUE.get(name).locales) for name in FAMILIES} == dict.fromkeys(FAMILIES, LOCALES)


@pytest.mark.parametrize(("mail", "data"), mails())
def test_text_is_set_for_reading_and_holds_every_link(mail: Rendered, data: dict[str, object]) -> None:
    """No line over 78 columns but addresses; a signature; one blank line at most; each link on a line of its own."""
    for line in mail.text.splitlines():
        assert len(line) <= 78 or " " not in line.strip()
    assert "\n-- \nExample Books\n" in mail.text
    assert "\n\n\n" not in mail.text
    for value in data.values():
        if isinstance(value, str) and value.startswith("https://"):
            assert value in mail.text.splitlines()
            assert mail.html.count(f'href="{value.replace("&", "&amp;")}"') == 2


@pytest.mark.parametrize(("mail", "data"), mails())
def test_words_are_calm_and_nothing_is_left_over(mail: Rendered, data: dict[str, object]) -> None:
    """No exclamation marks, no template syntax, no None, no blank before a full stop; a subject that is seen whole."""
    assert data is not None
    for part in (mail.subject, mail.text):
        assert not re.search(r"!|\{\{|\}\}|\{%|None| [.,]|  \w+ \w+  ", part)
    assert "None" not in mail.html
    assert len(mail.subject) <= 120


@pytest.mark.parametrize(("mail", "data"), [case for case in mails() if case.id and "-fr-" in case.id])
def test_french_keeps_its_double_signs_on_the_line(mail: Rendered, data: dict[str, object]) -> None:
    """The blank before : ; and ? does not break."""
    assert data is not None
    assert not re.search(r" [:;?»]|« ", mail.text)


@pytest.mark.parametrize("locale", LOCALES)
def test_security_mail_says_what_to_do_if_it_was_not_you(locale: str) -> None:
    """With support and without: somebody who asked for nothing is told that nothing is lost."""
    asked = {
        "en": "Was this not you?",
        "de": "Das waren nicht Sie?",
        "fr": "Ce n\u2019était pas vous",
        "es": "¿No fue usted?",
    }
    for catalogue in (CATALOGUE, BARE):
        for name in ("welcome", "verification", "password-reset"):
            template = catalogue.get(name)
            for _, data in template.manifest.trials():
                mail = template.render(locale, data)
                assert asked[locale] in mail.text
                assert asked[locale] in mail.html


@pytest.mark.parametrize("locale", LOCALES)
def test_payment_has_number_date_items_tax_and_total_in_both_parts(locale: str) -> None:
    """What an accountant looks for, as the language writes it."""
    template = CATALOGUE.get("payment-confirmation")
    mail = template.render(locale, dict(template.manifest.trials())["examples"])
    figures = {
        "en": ["2026-004711", "November 24, 2026", "€24.00", "€9.98", "19%", "€62.50"],
        "de": ["2026-004711", "24. November 2026", "24,00 €", "9,98 €", "19 %", "62,50 €"],
        "fr": ["2026-004711", "24 novembre 2026", "24,00 €", "9,98 €", "19 %", "62,50 €"],
        "es": ["2026-004711", "24 de noviembre de 2026", "24,00 €", "9,98 €", "19 %", "62,50 €"],
    }
    for part in (mail.text, mail.html):
        # CLDR writes amounts with blanks that do not break, and not the same ones everywhere.
        seen = re.sub("[\u00a0\u202f]", " ", part)
        assert [figure for figure in figures[locale] if figure not in seen] == []


@pytest.mark.parametrize("event", ["started", "renewed", "changed", "cancelled", "payment-failed"])
def test_each_event_of_a_subscription_has_a_subject_of_its_own(event: str) -> None:
    """In each language all five differ, and the heading says the same as the subject."""
    template = CATALOGUE.get("subscription-update")
    base = {"plan": "Plus", "manage_url": "https://www.example.org/s", "day": "2026-11-24"}
    for locale in LOCALES:
        subjects = {
            other: template.render(locale, {**base, "event": other}).subject
            for other in template.manifest.variables["event"].choices
        }
        assert len(set(subjects.values())) == 5
        assert f">{subjects[event]}</h1>" in template.render(locale, {**base, "event": event}).html
