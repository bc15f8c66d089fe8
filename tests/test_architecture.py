"""The map is the territory: ARCHITECTURE.md, the import linter's contracts and the sources name the same things."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ROOT / "daemons" / "postroom"
MAP = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PAGES = ("ARCHITECTURE.md", "docs/decisions.md")


def modules() -> Iterator[tuple[str, str]]:
    """Each module of the program: its dotted name and its docstring."""
    for path in sorted(ROOMS.rglob("*.py")):
        name = ".".join(path.relative_to(ROOMS.parent).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def contract(name: str) -> dict[str, list[str]]:
    """The contract of the import linter whose name begins so."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (found,) = [one for one in settings["tool"]["importlinter"]["contracts"] if one["name"].startswith(name)]
    return dict(found)


def test_the_map_shows_every_room_and_no_other() -> None:
    """Each folder of the program stands in the map of ARCHITECTURE.md, and each folder of the map exists."""
    section = MAP.split("## Rooms\n", 1)[1].split("```", 2)[1]
    drawn = set(re.findall(r"^ +([a-z_/]+)/ ", section, re.MULTILINE))
    there = {str(path.parent.relative_to(ROOMS)) for path in ROOMS.rglob("*.py") if path.parent != ROOMS}
    assert drawn == there


def test_every_file_the_pages_name_exists() -> None:
    """A path in the map or beside a decision leads to a file: from the checkout, or from the program's own folder."""
    missing = [
        f"{page}: {named}"
        for page in PAGES
        for named in re.findall(r"`([\w./-]+\.(?:py|md|sh|cf|toml|yaml))`", (ROOT / page).read_text(encoding="utf-8"))
        if not named.startswith("/") and "/" in named
        if not any((base / named).exists() for base in (ROOT, ROOMS, ROOT / "scripts"))
    ]
    assert missing == []


def test_what_calls_itself_pure_is_held_to_it() -> None:
    """A module whose docstring says "Pure." may reach no sockets, files, SQL or clocks: the import linter knows it."""
    held = contract("Pure rooms")["source_modules"]
    loose = [
        name
        for name, text in modules()
        if re.search(r"\bPure\b[.;:,]|\bValues only\b", text)
        and not any(f"{name}.".startswith(f"{one}.") for one in held)
    ]
    assert loose == []


def test_sources_lie_in_the_repository_or_in_the_library() -> None:
    """A document that a `Source:` names as a file exists here, with the heading it quotes; the rest are published."""
    wrong = []
    for path in sorted(ROOT.glob("daemons/**/*.py")) + sorted(ROOT.glob("scripts/**/*.py")):
        for source in re.findall(r"Source: *((?:.+\n?)(?: {9}.+\n?)*)", path.read_text(encoding="utf-8")):
            for document, heading in re.findall(r'([\w/-]+\.md)(?:, "([^"]+)")?', source):
                page = ROOT / document
                if not page.exists() or (heading and f"# {heading}\n" not in page.read_text(encoding="utf-8")):
                    wrong.append(f"{path.relative_to(ROOT)}: {document} {heading}")
            if re.search(r"\b(DESIGN|WIRING|STYLE|TESTBED)\b", source):
                wrong.append(f"{path.relative_to(ROOT)}: {source.strip()}")
    assert wrong == []
