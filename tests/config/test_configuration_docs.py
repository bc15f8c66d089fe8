"""docs/configuration.md tells the truth."""

import re
from pathlib import Path

import pytest

from postroom.config.load import parse
from postroom.config.model import Config
from postroom.config.reference import BEGIN, END, reference
from postroom.config.schema import Setting, settings

_PAGE = (Path(__file__).resolve().parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
_EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", _PAGE, re.DOTALL | re.MULTILINE)


def test_reference_in_the_docs_is_the_models() -> None:
    """The page holds what `python -m postroom.config.reference` prints."""
    assert _PAGE.split(BEGIN)[1].split(END)[0].strip() == reference().strip()


@pytest.mark.parametrize("setting", list(settings(Config)), ids=str)
def test_every_setting_is_documented(setting: Setting) -> None:
    """Each has a meaning, a sentence of its own, and a row."""
    assert setting.meaning.endswith((".", "`."))
    assert f"| `{setting}` |" in _PAGE


@pytest.mark.parametrize("example", _EXAMPLES)
def test_every_example_loads(example: str) -> None:
    """An operator may copy any block of the page and start with it."""
    assert parse(example.encode(), "docs", lambda: "mail.example.org").domains


def test_the_page_has_examples() -> None:
    """A page whose blocks were not found would pass the test above."""
    assert len(_EXAMPLES) >= 2
