"""docs/templates.md says what the code does."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from postroom.templating import Brand, Template, Variable
from postroom.templating.folders import FILE_BYTES
from postroom.templating.manifest import GIVEN, read
from postroom.templating.render import PART_CHARS
from postroom.templating.sandbox import CALL_UNITS, FILTERS, LOOP_UNITS, RANGE_STEPS, WORK_UNITS
from postroom.templating.variables import STRING_CHARS, URL_CHARS

DOCS = (Path(__file__).parents[2] / "docs/templates.md").read_text("utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", DOCS, re.DOTALL)
    assert found
    return found[1]


def test_every_filter_is_listed_and_no_other() -> None:
    """The list a template's author reads is the list the sandbox has."""
    listed = re.search(r"Filters: `([a-z0-9 ]+)`", DOCS)
    assert listed
    assert set(listed[1].split()) == FILTERS


def test_every_key_and_type_of_a_variable_and_every_given_name_is_told() -> None:
    """Nothing of template.yaml, of the brand or of what files are given is left to guess."""
    types = Variable.model_fields["type"].annotation
    names = [*Variable.model_fields, *getattr(types, "__args__", ()), *GIVEN - {"brand"}]
    names += [f"brand.{name}" for name in Brand.__dataclass_fields__]
    assert len(names) > 10
    assert [name for name in names if f"`{name}`" not in DOCS] == []


def test_every_bound_is_told() -> None:
    """The numbers are those of the code."""
    for bound in (STRING_CHARS, URL_CHARS, RANGE_STEPS, LOOP_UNITS, CALL_UNITS, FILE_BYTES // 1024):
        assert re.search(rf"\b{bound}\b", DOCS)
    assert f"{PART_CHARS:,} characters" in DOCS
    assert f"{WORK_UNITS:,} units" in DOCS


def test_examples_work(shipped: Path, make: Callable[[Mapping[str, str]], Template]) -> None:
    """The template.yaml shown is one, and the body shown renders on the shipped layout."""
    assert list(read("template.yaml", block("yaml")).variables) == ["first_name"]
    layout = {f"_layout/{file.name}": file.read_text("utf-8") for file in (shipped / "_layout").iterdir()}
    welcome = (shipped / "welcome/template.yaml").read_text("utf-8").split("samples:")[0]
    manifest = welcome.replace("    max_length: 254", "    default: ada")
    own = {"template.yaml": manifest, "en/subject.txt": "S", "en/body.txt": "T", "en/body.html": block("jinja")}
    mail = make({**layout, **own})
    html = mail.render("en", {"first_name": "Ada", "action_url": "https://www.example.org/"}).html
    assert "Welcome, Ada</h1>" in html
    assert "<strong>ada</strong>" in html
