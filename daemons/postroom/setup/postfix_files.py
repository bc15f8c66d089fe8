"""main.cf and master.cf, read as Postfix reads them: parameters, services and their options, with the lines they take.

Pure; nothing is changed here.

Source:  postconf(5) and master(5), "SYNTAX": a line that begins with white space goes on with the one before; empty
         lines and comments may stand in between.
Limits:  `$name` is not expanded. Of a parameter or option that is written several times the last counts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_PARAMETER = re.compile(r"([A-Za-z0-9_.-]+)[ \t]*=(.*)", re.DOTALL)
_WORD = re.compile(r"\{(?:[^{}]|\{[^{}]*\})*\}|\S+")
_LISTED = re.compile(r"(?:[^\s,{}]|\{(?:[^{}]|\{[^{}]*\})*\})+")
_FIELDS = 8


@dataclass(frozen=True)
class Parameter:
    """A parameter of main.cf: its value on one line, and which physical lines it takes (`first` to before `end`)."""

    name: str
    value: str
    first: int
    end: int


@dataclass(frozen=True)
class Service:
    """A service of master.cf.

    Attributes:
        name, kind, command: `submission`, `inet`, `smtpd`.
        options:             of its -o.
        end:                 the physical line after its last one.
    """

    name: str
    kind: str
    command: str
    options: dict[str, str]
    end: int

    @property
    def port(self) -> str:
        """The name without its host: `10025` of `127.0.0.1:10025`."""
        return self.name.rpartition(":")[2]


def logical_lines(lines: Sequence[str]) -> list[tuple[int, int, str]]:
    """First physical line, the one after the last, and the text without comments."""
    found: list[tuple[int, int, str]] = []
    for number, line in enumerate(lines):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if line[0] in " \t\r\v\f" and found:
            first, _, before = found[-1]
            found[-1] = (first, number + 1, f"{before} {text}")
        else:
            found.append((number, number + 1, text))
    return found


def parameters(lines: Sequence[str]) -> dict[str, Parameter]:
    """The parameters of a main.cf."""
    found = {}
    for first, end, text in logical_lines(lines):
        match = _PARAMETER.fullmatch(text)
        if match is not None:
            found[match[1]] = Parameter(match[1], match[2].strip(), first, end)
    return found


def services(lines: Sequence[str]) -> list[Service]:
    """The services of a master.cf, in order."""
    found = []
    for _, end, text in logical_lines(lines):
        fields = text.split(None, _FIELDS)
        if len(fields) >= _FIELDS:
            found.append(Service(fields[0], fields[1], fields[7], _options("".join(fields[_FIELDS:])), end))
    return found


def words(value: str) -> list[str]:
    """The words of a list: names, tables, tables written in place (`inline:{ { a = b } }`)."""
    return _LISTED.findall(value)


def _options(arguments: str) -> dict[str, str]:
    options = {}
    words = _WORD.findall(arguments)
    for number, word in enumerate(words):
        if word == "-o":
            setting = words[number + 1] if number + 1 < len(words) else ""
        elif word.startswith("-o"):
            setting = word[2:]
        else:
            continue
        name, _, value = (
            setting.removeprefix("{").removesuffix("}").partition("=")
            if setting[:1] == "{"
            else (setting.partition("="))
        )
        options[name.strip()] = value.strip()
    return options
