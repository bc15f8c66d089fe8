"""Dates, money, numbers and plurals by language and region; text of strangers made harmless."""

import unicodedata
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from babel import UnknownLocaleError
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.templating import formats
from postroom.templating.formats import Money, defuse, locale, spoken

DAY = datetime(2026, 11, 24, 14, 5, tzinfo=timezone(timedelta(hours=1)))


def plain(text: str) -> str:
    """With every kind of blank as a blank: CLDR chooses ones that do not break."""
    return text.replace("\u00a0", " ").replace("\u202f", " ")


@pytest.mark.parametrize(
    ("tag", "day", "amount", "share"),
    [
        ("en", "November 24, 2026, 2:05 PM UTC+1", "€1,249.50", "5.5%"),
        ("en-GB", "24 November 2026, 14:05 UTC+1", "€1,249.50", "5.5%"),
        ("de", "24. November 2026, 14:05 UTC+1", "1.249,50 €", "5,5 %"),
        ("de-AT", "24. November 2026, 14:05 UTC+1", "€ 1.249,50", "5,5 %"),
        ("fr", "24 novembre 2026, 14:05 UTC+1", "1 249,50 €", "5,5 %"),
        ("es", "24 de noviembre de 2026, 14:05 UTC+1", "1.249,50 €", "5,5 %"),
    ],
)
def test_each_region_writes_dates_amounts_and_shares_its_own_way(tag: str, day: str, amount: str, share: str) -> None:
    """As CLDR has them; the offset of a time is named."""
    rules = locale(tag)
    assert plain(formats.datetime_text(DAY, rules)) == day
    assert plain(formats.money_text(Money(Decimal("1249.50"), "EUR"), rules)) == amount
    assert plain(formats.percent_text(5.5, rules)) == share


def test_amount_has_the_decimals_of_its_currency() -> None:
    """Yen have none, dinars three; nothing is rounded away, for variables refuses what would be."""
    assert formats.money_text(Money(Decimal(1200), "JPY"), locale("en")) == "¥1,200"
    assert plain(formats.money_text(Money(Decimal("1.5"), "KWD"), locale("de"))) == "1,500 KWD"


@pytest.mark.parametrize(
    ("hours", "said"), [(0, "UTC"), (1, "UTC+1"), (5.5, "UTC+5:30"), (-3.5, "UTC-3:30"), (-10, "UTC-10")]
)
def test_time_names_its_offset(hours: float, said: str) -> None:
    """Whoever reads it elsewhere can reckon."""
    at = datetime(2026, 11, 24, 14, 5, tzinfo=timezone(timedelta(hours=hours)))
    assert formats.time_text(at, locale("de")) == f"14:05 {said}"


def test_plural_follows_the_language() -> None:
    """Zero is plural in English and singular in French; a form that is not given is `other`."""
    forms = {"one": "jour", "other": "jours"}
    assert [formats.plural_form(n, locale("fr"), forms) for n in (0, 1, 2, 1_000_000)] == [
        "jour",
        "jour",
        "jours",
        "jours",
    ]
    assert [formats.plural_form(n, locale("en"), forms) for n in (0, 1, 2)] == ["jours", "jour", "jours"]


@pytest.mark.parametrize(
    ("template", "wanted", "answers"),
    [("de", "de-AT", "de_AT"), ("de", "DE_at", "de_AT"), ("de", "fr-CH", "de"), ("de", None, "de"),
     ("en", "de-AT", "en"),
     ("de", "de-XX", "de"), ("de", "de-../../etc/passwd", "de"), ("zh-Hant", "zh-Hant-TW", "zh_Hant_TW")],
)  # fmt: skip
def test_region_that_was_asked_for_rules_the_figures_of_its_language(
    template: str, wanted: str | None, answers: str
) -> None:
    """German words with Austrian amounts, never German words with French ones; no file is named by what was asked."""
    assert str(spoken(template, wanted)) == answers


@pytest.mark.parametrize("tag", ["xx", "", "..", "de/../en", "root", "e" * 10_000])
def test_language_nobody_knows_is_refused(tag: str) -> None:
    """A folder of such a name is a slip."""
    with pytest.raises(UnknownLocaleError):
        locale(tag)


@pytest.mark.parametrize(
    ("value", "harmless"),
    [
        ("Ada Lovelace", "Ada Lovelace"), ("J.R.R. Tolkien", "J.R.R. Tolkien"),
        ("Dr. O'Neill-Ó Súilleabháin", "Dr. O'Neill-Ó Súilleabháin"),
        ("at 12:30: tea", "at 12:30: tea"),
        ("http://evil.example/x", "http[:]//evil[.]example/x"), ("www.evil.example", "www[.]evil[.]example"),
        ("eve@evil.example", "eve@evil[.]example"), ("mailto:eve@localhost", "mailto[:]eve@localhost"),
        ("tel:+491234", "tel[:]+491234"), ("javascript:alert(1)", "javascript[:]alert(1)"),
        ("evil。example", "evil[.]example"), ("ev\u00adil.exa\u200bmple", "evil[.]example"),
        ("x\u202egpj.exe", "xgpj[.]exe"), ("\u2067abc\u200f", "abc"), ("a\r\nb\tc\u2028d", "a b c d"),
        ("\U000e0041hid\ue000den", "hidden"), ("משה", "משה"),
    ],
)  # fmt: skip
def test_text_of_a_stranger_is_shown_and_leads_nowhere(value: str, harmless: str) -> None:
    """What a mail program would make a link of, or what turns or hides text, is taken apart; names are left alone."""
    assert defuse(value) == harmless


@settings(derandomize=True, deadline=None)
@given(value=st.text() | st.from_regex(r"[a-z]{1,8}[:.@/\u200b]{1,3}[a-z]{2,8}"))
def test_defused_text_is_one_line_seen_as_it_is_and_stays_so(value: str) -> None:
    """No control or format character, no scheme, no host is left; doing it twice changes nothing."""
    text = defuse(value)
    assert not any(unicodedata.category(sign)[0] == "C" for sign in text)
    assert "://" not in text
    assert text == " ".join(text.split())
    assert defuse(text) == text


def test_date_needs_no_time() -> None:
    """A day is a day wherever it is read."""
    assert formats.date_text(date(2026, 11, 24), locale("es"), "short") == "24/11/26"
