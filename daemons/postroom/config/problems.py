"""What is wrong with a configuration, in words an operator can act on.

    postroom.yaml:12: limits[0].rate: '100/hr' is not a rate; write for example 100/1h

Our own validators bring their text along; here is the text for what pydantic
finds by itself. An unknown setting is compared with the known ones beside it.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

from postroom.config.section import Loc
from postroom.config.units import quoted
from postroom.config.values import as_written
from postroom.mail.logsafe import redacted

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_KEY_MARK = "[key]"  # pydantic's last step to the key of a mapping itself
_SHAPES = {
    "tuple_type": "a list; write each item on a line of its own, after a -",
    "dict_type": "a mapping; write name: value below it, indented",
    "model_type": "a mapping; write setting: value below it, indented",
}


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing to mend.

    Attributes:
        file: as the operator named it.
        line: counted from 1; 0 when it is about the whole file.
        path: of the setting; empty when it is about the file.
        text: what is wrong, and what to write instead.
    """

    file: str
    line: int
    path: Loc
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, spelt(self.path), self.text) if part)


class ConfigInvalid(Exception):
    """The configuration cannot be used; `problems` has every reason, by line."""

    def __init__(self, problems: Iterable[ConfigProblem]) -> None:
        self.problems: Sequence[ConfigProblem] = sorted(
            problems, key=lambda problem: (problem.line, spelt(problem.path))
        )
        super().__init__("\n".join(map(str, self.problems)))


def spelt(path: Loc) -> str:
    """Write the path of a setting: `limits[0].rate`, `domains."example.org".return_path`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (step if _PLAIN_KEY.fullmatch(step) else _quoted_key(step))
    return text


def _quoted_key(key: str) -> str:
    # JSON's escapes keep what a key may hold (controls, writing from right to left) out of the terminal.
    return json.dumps(redacted(key), ensure_ascii=not key.isprintable())


def where(error: ErrorDetails) -> Loc:
    """Give the path of the setting that an error is about."""
    return tuple(step for step in error["loc"] if step != _KEY_MARK)


def explain(error: ErrorDetails, known: Sequence[str]) -> str:
    """Say what is wrong with a value and what to write.

    Args:
        known: the settings that may stand where the error is.
    """
    context: dict[str, Any] = error.get("ctx", {})
    match error["type"]:
        case "value_error":
            return str(context["error"])
        case "extra_forbidden":
            return _unknown(str(error["loc"][-1]), known)
        case "literal_error":
            return f"{quoted(as_written(error['input']))} is not one of {context['expected']}"
        case "missing":
            return "is missing, and has no default; write it"
        case expected if expected in _SHAPES:
            return f"{quoted(as_written(error['input']))} is not {_SHAPES[expected]}"
        case _:  # nothing the model can raise today; a new pydantic may find new words
            return error["msg"]


def _unknown(name: str, known: Sequence[str]) -> str:
    nearest = get_close_matches(name, known, n=1, cutoff=0.6)
    if nearest:
        return f"is not a setting; did you mean {quoted(nearest[0])}?"
    return f"is not a setting; known here: {', '.join(known)}"
