"""Dates, money, numbers and plurals as a language writes them, and text of strangers made harmless.

    locale("de-AT")                     the rules of Austria; of German for a region nobody knows
    date_text(value, locale, "long")    24. November 2026
    money_text(value, locale)           49,00 €
    plural_form(3, locale, forms)       the form of the word that goes with the number
    defuse("see http://evil.example")   see http[:]//evil[.]example

Times are shown in the offset they come with, which is named: a mail is read anywhere.

Source:  Unicode CLDR, by Babel; UTS #35 (plural rules); UTS #46 section 2.3 (what counts as a dot in a domain).
Limits:  Babel reads the tables of a locale from its own package when it is first used.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal, format_percent

STYLES = frozenset({"short", "medium", "long", "full"})
PLURALS = frozenset({"zero", "one", "two", "few", "many", "other"})

_TAG = re.compile(r"[a-z]{2,3}(-[a-z]{4})?(-([a-z]{2}|[0-9]{3}))?")
# Format characters that show nothing: directions, joiners, tags, soft hyphens; TAB, LF and the like are blanks.
_UNSEEN = frozenset({"Cf", "Cc", "Cs", "Co", "Cn"})
_DOT = re.compile(r"(?<=\w)[.\u3002\uff0e\uff61](?=\w{2})")
_SCHEME = re.compile(r"(?<=[^\W\d]):(?=\S)")


@dataclass(frozen=True)
class Money:
    """An amount of a currency (ISO 4217)."""

    amount: Decimal
    currency: str


@lru_cache(maxsize=512)
def locale(tag: str) -> Locale:
    """The rules for a tag such as `de` or `de-AT`; a region CLDR does not know has those of its language.

    Raises:
        UnknownLocaleError: CLDR does not know the language, or this is not a tag.
    """
    # Checked before Babel makes the name of a file of it.
    if not _TAG.fullmatch(tag.lower()):
        raise UnknownLocaleError(tag[:64])
    subtags = tag.split("-")
    while True:
        try:
            return Locale.parse("-".join(subtags), sep="-")
        except (UnknownLocaleError, ValueError):
            if len(subtags) == 1:
                raise UnknownLocaleError(tag) from None
            subtags.pop()


def spoken(template: str, wanted: str | None) -> Locale:
    """The rules for a template's locale: those of the region that was wanted, if it is the same language.

    `de` answers for `de-AT`, and the amounts look as they do in Austria.
    """
    tag = (wanted or "").replace("_", "-").lower()
    if tag.startswith(f"{template.lower()}-") and _TAG.fullmatch(tag):
        return locale(tag)
    return locale(template)


def date_text(value: date, rules: Locale, style: str = "long") -> str:
    """A date; styles are CLDR's: short, medium, long, full."""
    return format_date(value, style, locale=rules)


def time_text(value: datetime, rules: Locale) -> str:
    """A time of day, hours and minutes, and its offset from UTC."""
    return f"{format_time(value, 'short', tzinfo=value.tzinfo, locale=rules)} {_offset(value)}"


def datetime_text(value: datetime, rules: Locale, style: str = "long") -> str:
    """A date with the time of day."""
    return f"{format_date(value, style, locale=rules)}, {time_text(value, rules)}"


def money_text(value: Money, rules: Locale) -> str:
    """An amount with its currency, to the smallest unit the currency has."""
    return format_currency(value.amount, value.currency, locale=rules)


def number_text(value: float, rules: Locale) -> str:
    """A number with the language's marks for thousands and decimals; at most six decimals."""
    return format_decimal(Decimal(str(value)).normalize(), locale=rules, decimal_quantization=False)


def percent_text(value: float, rules: Locale) -> str:
    """19 is written 19%, as the language sets the sign."""
    return format_percent(Decimal(str(value)) / 100, locale=rules, decimal_quantization=False)


def plural_form(count: float, rules: Locale, forms: Mapping[str, str]) -> str:
    """The one of `forms` (one, few, many, ... and always `other`) that goes with the number."""
    return forms.get(rules.plural_form(abs(count)), forms["other"])


def defuse(text: str) -> str:
    """Text of a stranger as one plain line: unseen and turning characters removed, nothing a client makes a link of.

    Mail programs make links of whatever looks like an address, so the dots and colons that make it
    one stand in brackets: a name cannot be used to send advertising through somebody's welcome mail.
    """
    if text.isalpha() and text.isascii():
        return text
    visible = "".join(" " if sign.isspace() else sign for sign in text if sign.isspace() or _is_seen(sign))
    return _SCHEME.sub("[:]", _DOT.sub("[.]", " ".join(visible.split())))


def _is_seen(sign: str) -> bool:
    return unicodedata.category(sign) not in _UNSEEN


def _offset(value: datetime) -> str:
    # Not Babel's: of an offset such as -03:30 its get_timezone_gmt makes -04:30.
    seconds = int((value.utcoffset() or timedelta()).total_seconds())
    hours, minutes = divmod(abs(seconds) // 60, 60)
    sign = "-" if seconds < 0 else "+"
    return f"UTC{sign}{hours}" + (f":{minutes:02}" if minutes else "") if seconds else "UTC"
