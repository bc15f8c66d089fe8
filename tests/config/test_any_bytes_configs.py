"""Hostile files: whatever the bytes, a Config or ConfigInvalid."""

from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postroom.config import schema
from postroom.config.load import parse
from postroom.config.model import Config
from postroom.config.problems import ConfigInvalid, ConfigProblem

_LINES = (Path(__file__).parent / "good" / "full.yaml").read_bytes().splitlines()
_NAMES = sorted({step for setting in schema.settings(Config) for step in setting.path if step.isidentifier()})
_REPEATABLE = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])

_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | st.binary(max_size=4) | st.text(max_size=8)
    | st.sampled_from(["100/1h", "10MB", "30s", "example.org", "verp b.example.org", "none", "client", "/x", "0660"])
)  # fmt: skip
_trees = st.dictionaries(
    st.sampled_from(_NAMES),
    st.recursive(
        _scalars,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES) | st.text(), inner, max_size=4)
        ),
        max_leaves=12,
    ),
)


def read(data: bytes) -> None:
    problems: list[ConfigProblem] = []
    try:
        parse(data, "postroom.yaml", lambda: "mail.example.org")
    except ConfigInvalid as invalid:
        problems = list(invalid.problems)
        assert problems, "refused without a reason"
    last_line = len(data.decode(errors="replace").splitlines()) + 1
    for problem in problems:
        assert str(problem).isprintable(), "not one line, or unsafe on a terminal"
        assert 0 <= problem.line <= last_line


@_REPEATABLE
@given(data=st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Bytes that are no text, or no YAML, raise nothing but ConfigInvalid."""
    read(data)


@_REPEATABLE
@given(text=st.text(alphabet="abc:- \n\t[]{},&*!|>'\"#%@`?~\\xuU0123456789<=\x85\u2028\r\x00"))
def test_any_punctuation_is_read_or_refused(text: str) -> None:
    """YAML's own characters in any order raise nothing but ConfigInvalid."""
    read(text.encode())


@_REPEATABLE
@given(tree=_trees)
def test_any_value_at_any_setting_is_read_or_refused(tree: dict[str, Any]) -> None:
    """Settings with values of every type raise nothing but ConfigInvalid."""
    read(yaml.dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))


@_REPEATABLE
@given(data=st.data())
def test_any_edit_of_a_good_file_is_read_or_refused(data: st.DataObject) -> None:
    """A good file with a line lost, moved, doubled or overwritten raises nothing but ConfigInvalid."""
    lines = list(_LINES)
    for _ in range(data.draw(st.integers(1, 3))):
        at, other = data.draw(st.integers(0, len(lines) - 1)), data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["lose", "move", "double", "indent", "overwrite"])):
            case "lose":
                lines[at] = b""
            case "move":
                lines[at], lines[other] = lines[other], lines[at]
            case "double":
                lines.insert(at, lines[other])
            case "indent":
                lines[at] = b"  " + lines[at]
            case "overwrite":
                lines[at] = lines[at].split(b":")[0] + b": " + data.draw(st.binary(max_size=12))
    read(b"\n".join(lines))
