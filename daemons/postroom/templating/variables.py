"""The variables of a template: what a caller may hand over, checked before anything is rendered.

    check(name, variables, data, one_line) -> values, or VariablesInvalid with every fault at once

A value is data and nothing else: it is never read as template syntax. What could not be
shown honestly is refused here: control characters, and the characters that turn the
direction of text so that `evil<U+202E>gpj.exe` reads as something else.

Source:  RFC 6901 (JSON Pointer); RFC 3986 section 2 (the characters of a URL);
         RFC 7493 section 2.2 (integers every JSON reader keeps exact); UAX #9 (bidirectional controls).
Limits:  scalars only. Lists, objects and dates have no type yet: a date shown to people needs a locale.
"""

import difflib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

Code = Literal["missing", "wrong_type", "unknown", "control_character", "too_long"]

STRING_CHARS = 1_000
URL_CHARS = 2_048
LARGEST_INTEGER = 2**53 - 1

# C0 without TAB, LF, CR; DEL and C1; embeddings and overrides; isolates; lone surrogates, which no UTF-8 can carry.
_REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BREAKS = re.compile("[\t\n\r\u2028\u2029]")
_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)


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
        type:        string; integer; number (integer or not); boolean; url (absolute, http or https).
        required:    without it the mail is refused. An empty string counts as absent.
        default:     the value when an optional variable is absent; None lets the template ask `{% if x %}`.
        description: for the programmer who fills it in.
        example:     what previews and the checks at load use.
        max_length:  characters, for string and url.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    type: Literal["string", "integer", "number", "boolean", "url"]
    required: bool = False
    default: Any = None
    description: str = Field(min_length=1)
    example: Any
    max_length: int | None = Field(default=None, ge=1, le=100_000)

    @model_validator(mode="after")
    def _fits_itself(self) -> "Variable":
        if self.required and self.default is not None:
            raise ValueError("a required variable has no use for a default: remove one of the two")
        if self.max_length is not None and self.type not in {"string", "url"}:
            raise ValueError(f"max_length counts characters; {self.type} has none")
        for field, value in (("example", self.example), ("default", self.default)):
            if field == "default" and value is None:
                continue
            if found := self.fault(value):
                raise ValueError(f"the {field} {found[1]}")
        return self

    def fault(self, value: object) -> tuple[Code, str] | None:
        """What is wrong with the value, as a code and the end of a sentence ("must be ..."); None if it fits."""
        match self.type:
            case "boolean":
                return None if isinstance(value, bool) else ("wrong_type", "must be true or false")
            case "integer" | "number":
                return self._number_fault(value)
            case _:
                return self._string_fault(value)

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
        return None


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
    problems = [_unknown(template, name, variables) for name in data if name not in variables]
    values: dict[str, object] = {}
    for name, variable in variables.items():
        value = data.get(name)
        if value is None or (variable.required and isinstance(value, str) and not value.strip()):
            values[name] = variable.default
            if variable.required:
                state = "" if value is None else ", which is empty"
                problems.append(VariableProblem(_pointer(name), "missing", f"{template} needs '{name}'{state}"))
            continue
        found = variable.fault(value)
        if not found and name in one_line and isinstance(value, str) and _BREAKS.search(value):
            found = "control_character", "has a line break or tab, and it is shown in the subject"
        if found:
            problems.append(VariableProblem(_pointer(name), found[0], f"'{name}' {found[1]}"))
        values[name] = value
    if problems:
        raise VariablesInvalid(template, problems)
    return values


def _unknown(template: str, name: str, variables: Mapping[str, Variable]) -> VariableProblem:
    close = difflib.get_close_matches(name, variables, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return VariableProblem(_pointer(name), "unknown", f"{template} has no variable {name[:64]!r}{hint}")


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _is_web_address(value: str) -> bool:
    if not _URL.fullmatch(value) or any(sign in value for sign in '<>"\\'):
        return False
    try:
        # .port is parsed only when asked for; it raises for https://example.org:99999/.
        parts = urlsplit(value)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
