"""template.yaml from any text: a manifest, or problems with their lines."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.templating import TemplatesBroken
from postroom.templating.manifest import Manifest, read

LINES = st.lists(
    st.sampled_from(
        ["stream: transactional", "description: d", "default_locale: en", "variables:", "  name:", "    type: string",
         "    description: d", "    example: x", "    example: 2026-99-99", "    required: yes", "    required: true",
         "    default: 1", "samples:", "  one:", "    name: x", "  - x", "&a [*a]", "x: &a [1]", "y: *a", "? {a: b}",
         "!!python/name:os",
         "<<: {a: 1}", "\t", "%YAML 3.0", "---", "...", "'", "{", "[" * 50, "null: x", "1: 2", "name: !!binary x"]
    ),
    max_size=15,
)  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=300)
@given(text=st.text() | LINES.map("\n".join))
def test_any_text_is_a_manifest_or_problems(text: str) -> None:
    """No text of a template.yaml ends in a traceback, and every problem is within the file."""
    outcome: Manifest | TemplatesBroken
    try:
        outcome = read("template.yaml", text)
    except TemplatesBroken as broken:
        outcome = broken
    if isinstance(outcome, TemplatesBroken):
        assert outcome.problems
        assert all(0 <= problem.line <= len(text.splitlines()) + 1 for problem in outcome.problems)


def test_yaml_that_nests_without_end_is_a_problem() -> None:
    """The parser's recursion is an error of the file."""
    with pytest.raises(TemplatesBroken, match="this is not YAML"):
        read("template.yaml", "[" * 20_000)


def test_yaml_cannot_make_python_objects() -> None:
    """A tag that names code is refused, not called."""
    with pytest.raises(TemplatesBroken, match="could not determine a constructor"):
        read("template.yaml", "stream: !!python/object/apply:os.getcwd []")


HEAD = """stream: transactional
description: d
default_locale: en
variables:
  n: {type: integer, description: d, example: 3}
samples:
  a:
"""


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("    n: " + "9" * 6000, "a number or date cannot be read"),
        ("    n: 2026-99-99", "a number or date cannot be read"),
        ("    n: !!timestamp 2026-13-01", "a number or date cannot be read"),
        ("    <<: {n: 1}", "merge keys are not read"),
        ("    n: " + "[" * 40 + "]" * 40, "it is nested deeper than 32 levels"),
        ("    n: !!python/object/apply:os.system [id]", "could not determine a constructor"),
    ],
)
def test_a_value_that_cannot_be_read_is_named_by_its_line(line: str, what: str) -> None:
    """Python's own words for it name no place, and merges of merges would be read for ever."""
    with pytest.raises(TemplatesBroken) as broken:
        read("template.yaml", f"{HEAD}{line}\n")
    (problem,) = broken.value.problems
    assert problem.line == HEAD.count("\n") + 1
    assert what in problem.what
