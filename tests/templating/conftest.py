"""What the tests of this room share: the brand, the shipped folder, and templates made on the spot."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from postroom.templating import Brand, Catalogue, Template

SHIPPED = Path(__file__).parents[2] / "templates"
BRAND = Brand(
    name="Example Books",
    url="https://www.example.org/",
    address="1 High Street, Exampleton",
    support="support@example.org",
    colour="#1a5fb4",
)
MANIFEST = """\
stream: transactional
description: Made by a test.
default_locale: en
variables:
  name: {type: string, required: true, max_length: 2000, description: d, example: Ada}
  note: {type: string, description: d, example: a note}
  link: {type: url, description: d, example: "https://www.example.org/"}
  count: {type: integer, description: d, example: 3}
"""
PARTS = {
    "template.yaml": MANIFEST,
    "en/subject.txt": "Hello {{ name }}\n",
    "en/body.txt": "Hello {{ name }}\n",
    "en/body.html": "<p>Hello {{ name }}</p>\n",
}

MakeTemplate = Callable[[Mapping[str, str]], Template]


@pytest.fixture
def shipped() -> Path:
    return SHIPPED


@pytest.fixture(scope="session")
def basis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped layout and `welcome` alone: what a test can lay its own files over, quick to load."""
    folder = tmp_path_factory.mktemp("basis")
    for name in ("_layout", "welcome"):
        shutil.copytree(SHIPPED / name, folder / name)
    return folder


@pytest.fixture
def brand() -> Brand:
    return BRAND


@pytest.fixture(scope="session")
def welcome(basis: Path) -> Template:
    return Catalogue.load([basis], BRAND).get("welcome")


@pytest.fixture
def make(tmp_path: Path) -> MakeTemplate:
    """Loads a small template `trial` in which the given files replace the plain ones."""

    def load(files: Mapping[str, str]) -> Template:
        for place, text in {**PARTS, **files}.items():
            path = tmp_path / (place if place.startswith("_layout/") else f"trial/{place}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return Catalogue.load([tmp_path], BRAND).get("trial")

    return load
