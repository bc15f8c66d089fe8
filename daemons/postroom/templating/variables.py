"""The variables of a template: what a caller may hand over, checked before anything is rendered.

    check(name, variables, data, one_line) -> values, or VariablesInvalid with every fault at once

A value is data and nothing else: it is never read as template syntax. What could not be
shown honestly is refused here: control characters, and the characters that turn the
direction of text so that `evil<U+202E>gpj.exe` reads as something else.

Source:  RFC 6901 (JSON Pointer); RFC 3986 section 2 (the characters of a URL);
         RFC 7493 section 2.2 (integers every JSON reader keeps exact); UAX #9 (bidirectional controls).
         RFC 3339 (dates and times); ISO 4217 (currencies, as CLDR has them).
Limits:  a list holds objects of scalar values; there is nothing deeper.
"""

import difflib
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from babel.numbers import get_currency_precision, list_currencies
from pydantic import BaseModel, ConfigDict, Field, model_validator

from postroom.templating.formats import Money

Code = Literal["missing", "wrong_type", "unknown", "control_character", "too_long"]

STRING_CHARS = 1_000
URL_CHARS = 2_048
LIST_ITEMS = 100
LARGEST_INTEGER = 2**53 - 1

# C0 without TAB, LF, CR; DEL and C1; embeddings and overrides; isolates; lone surrogates, which no UTF-8 can carry.
_REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BREAKS = re.compile("[\t\n\r\u2028\u2029]")
_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME = re.compile(
    rf"{_DATE.pattern}[Tt ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]{{1,6}})?)?([Zz]|[+-][0-9]{{2}}:[0-9]{{2}})"
)
_AMOUNT = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,4})?")
_CURRENCIES = frozenset(list_currencies())


class VariableProblem(NamedTuple):
    """One fault in the data: where (JSON Pointer relative to the data), a stable code, and a sentence.

    The sentence never repeats the value: it may be logged and shown.
    """

    pointer: str
    code: Code
    detail: str


class VariablesInvalid(Exception):
    """The data does not fit the template; `problems` has every fault. Nothing was rendered."""

    def __init__(self, template: str, problems: Sequence[VariableProblem]) -> None:
        self.template = template
        self.problems = tuple(problems)
        super().__init__(f"{template}: " + "; ".join(problem.detail for problem in self.problems))


class Variable(BaseModel):
    """One variable as template.yaml declares it.

    Attributes:
        type:        string; integer; number (integer or not); boolean; url (absolute, http or https);
                     date ("2026-11-24"); datetime ("2026-11-24T14:05:00+01:00", the offset is needed);
                     money ({"amount": "49.00", "currency": "EUR"}); list (of objects with `fields`).
        required:    without it the mail is refused. An empty string or list counts as absent.
        default:     the value when an optional variable is absent; None lets the template ask `{% if x %}`.
        description: for the programmer who fills it in.
        example:     what previews and the checks at load use.
        max_length:  characters, for string and url; items, for list.
        choices:     for string: the only values there are.
        fields:      for list: the variables of each item.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    type: Literal["string", "integer", "number", "boolean", "url", "date", "datetime", "money", "list"]
    required: bool = False
    default: Any = None
    description: str = Field(min_length=1)
    example: Any
    max_length: int | None = Field(default=None, ge=1, le=100_000)
    choices: list[str] = []
    fields: "dict[str, Variable]" = {}

    @model_validator(mode="after")
    def _fits_itself(self) -> "Variable":
        if self.required and self.default is not None:
            raise ValueError("a required variable cannot have a default: remove one of the two")
        if self.max_length is not None and self.type not in {"string", "url", "list"}:
            raise ValueError(f"max_length counts characters or items; {self.type} has none")
        if self.choices and self.type != "string":
            raise ValueError(f"only a string has choices; this is {self.type}")
        if bool(self.fields) != (self.type == "list"):
            raise ValueError("a list needs fields, and nothing else has them")
        if any(not _NAME.fullmatch(name) for name in self.fields):
            raise ValueError("a field is named with lower-case letters, digits and '_', a letter first")
        if any(field.type == "list" for field in self.fields.values()):
            raise ValueError("a list cannot contain a list")
        for field, value in (("example", self.example), ("default", self.default)):
            if field == "default" and value is None:
                continue
            if found := next(_faults(field, "", self, value, one_line=False), None):
                raise ValueError("the " + found.detail.replace("'", ""))
        return self

    def fault(self, value: object) -> tuple[Code, str] | None:
        """What is wrong with the value, as a code and the end of a sentence ("must be ..."); None if it fits.

        Of a list only that it is one and how long it is; its items are looked at by `check`.
        """
        match self.type:
            case "boolean":
                return None if isinstance(value, bool) else ("wrong_type", "must be true or false")
            case "integer" | "number":
                return self._number_fault(value)
            case "date" | "datetime":
                return None if self._moment(value) else ("wrong_type", f"must be {_MOMENTS[self.type]}")
            case "money":
                return _money_fault(value)
            case "list":
                return self._list_fault(value)
            case _:
                return self._string_fault(value)

    def read(self, value: Any) -> object:
        """The value as templates see it: dates, amounts and items as objects; of a value without fault."""
        match self.type:
            case "date" | "datetime":
                return self._moment(value)
            case "money":
                return Money(Decimal(str(value["amount"])), value["currency"])
            case "list":
                # Not the mapping itself: `item.items` would be its method.
                return [SimpleNamespace(**_read(self.fields, item)) for item in value]
            case _:
                return value

    def _moment(self, value: object) -> date | datetime | None:
        pattern, read = (_DATE, date.fromisoformat) if self.type == "date" else (_DATETIME, datetime.fromisoformat)
        try:
            return read(value.upper()) if isinstance(value, str) and pattern.fullmatch(value) else None
        except ValueError:
            return None

    def _number_fault(self, value: object) -> tuple[Code, str] | None:
        # A bool is an int to Python; nobody who writes `true` means 1.
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "wrong_type", f"must be {'an integer' if self.type == 'integer' else 'a number'}"
        if self.type == "integer" and not isinstance(value, int):
            return "wrong_type", "must be an integer"
        if isinstance(value, float) and not math.isfinite(value):
            return "wrong_type", "must be a finite number"
        if abs(value) > LARGEST_INTEGER:
            return "too_long", f"must lie between -{LARGEST_INTEGER} and {LARGEST_INTEGER}"
        return None

    def _list_fault(self, value: object) -> tuple[Code, str] | None:
        limit = self.max_length or LIST_ITEMS
        if not isinstance(value, list):
            return "wrong_type", "must be a list"
        return ("too_long", f"has {len(value)} items; {limit} are allowed") if len(value) > limit else None

    def _string_fault(self, value: object) -> tuple[Code, str] | None:
        if not isinstance(value, str):
            return "wrong_type", "must be a string"
        limit = self.max_length or (URL_CHARS if self.type == "url" else STRING_CHARS)
        if len(value) > limit:
            return "too_long", f"has {len(value)} characters; {limit} are allowed"
        if refused := _REFUSED.search(value):
            return "control_character", f"has the control character U+{ord(refused[0]):04X}"
        if self.type == "url" and not _is_web_address(value):
            return "wrong_type", "must be an absolute http or https URL, percent-encoded, its host in ASCII"
        if self.choices and value not in self.choices:
            return "wrong_type", f"must be one of {', '.join(self.choices)}"
        return None


_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MOMENTS = {
    "date": 'a date, written as text like "2026-11-24"',
    "datetime": 'a time with its offset, written as text like "2026-11-24T14:05:00+01:00" or ending in Z',
}


def check(
    template: str, variables: Mapping[str, Variable], data: Mapping[str, object], one_line: Collection[str] = ()
) -> dict[str, object]:
    """The values of all variables, defaults filled in.

    Args:
        template: its name, for the messages.
        data:     what the caller handed over; null is the same as absent.
        one_line: variables shown in the subject, where a line break would end the header.

    Raises:
        VariablesInvalid: every fault of every variable, and every name that is none.
    """
    problems = [*_object_faults(template, "", "", variables, data, one_line)]
    if problems:
        raise VariablesInvalid(template, problems)
    return _read(variables, data)


def _read(variables: Mapping[str, Variable], data: Mapping[str, object]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, variable in variables.items():
        value = data.get(name)
        value = variable.default if value is None else value
        values[name] = None if value is None else variable.read(value)
    return values


def _object_faults(
    owner: str,
    pointer: str,
    place: str,
    variables: Mapping[str, Variable],
    data: Mapping[Any, object],
    one_line: Collection[str],
) -> Iterator[VariableProblem]:
    yield from (_unknown(owner, pointer, name, variables) for name in data if name not in variables)
    for name, variable in variables.items():
        value = data.get(name)
        below = f"{pointer}/{_escaped(name)}"
        if value is None or (variable.required and (value == [] or (isinstance(value, str) and not value.strip()))):
            if variable.required:
                state = "" if value is None else ", which is empty"
                yield VariableProblem(below, "missing", f"{owner} needs '{place}{name}'{state}")
            continue
        yield from _faults(f"{place}{name}", below, variable, value, one_line=name in one_line)


def _faults(name: str, pointer: str, variable: Variable, value: object, *, one_line: bool) -> Iterator[VariableProblem]:
    found = variable.fault(value)
    if not found and one_line and isinstance(value, str) and _BREAKS.search(value):
        found = "control_character", "has a line break or tab, and it is shown in the subject"
    if found:
        yield VariableProblem(pointer, found[0], f"'{name}' {found[1]}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            at, below = f"{name}[{index}]", f"{pointer}/{index}"
            if isinstance(item, dict):
                inside = variable.fields if one_line else ()
                yield from _object_faults(f"'{at}'", below, f"{at}.", variable.fields, item, inside)
            else:
                yield VariableProblem(below, "wrong_type", f"'{at}' must be an object")


def _unknown(owner: str, pointer: str, name: object, variables: Mapping[str, Variable]) -> VariableProblem:
    close = difflib.get_close_matches(str(name), variables, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return VariableProblem(
        f"{pointer}/{_escaped(str(name))}", "unknown", f"{owner} has no variable {str(name)[:64]!r}{hint}"
    )


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _money_fault(value: object) -> tuple[Code, str] | None:
    shape = 'must be money, written like {"amount": "49.00", "currency": "EUR"}'
    if not isinstance(value, dict) or value.keys() != {"amount", "currency"}:
        return "wrong_type", shape
    amount, currency = value["amount"], value["currency"]
    # A float is never exactly an amount: 0.1 + 0.2 is not 0.3.
    if isinstance(amount, bool) or not isinstance(amount, str | int) or not _AMOUNT.fullmatch(str(amount)[:64]):
        return "wrong_type", f"{shape}, the amount as text"
    if not isinstance(currency, str) or currency not in _CURRENCIES:
        return "wrong_type", f"{shape}, the currency one of ISO 4217"
    digits = get_currency_precision(currency)
    if len(str(amount).partition(".")[2]) > digits:
        return "wrong_type", f"has more than {digits} decimals, which {currency} does not have"
    return None


def _is_web_address(value: str) -> bool:
    if not _URL.fullmatch(value) or any(sign in value for sign in '<>"\\'):
        return False
    try:
        # .port is parsed only when asked for; it raises for https://example.org:99999/.
        parts = urlsplit(value)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
