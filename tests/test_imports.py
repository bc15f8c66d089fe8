"""Modules import each other one way: whoever reads one never has to read its importers first."""

import ast
from collections.abc import Set
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import postroom

ROOT = Path(postroom.__file__).parent.parent


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Also counted is what is imported inside a function, or for the type checker alone."""
    modules = {module_name(path): path for path in (ROOT / "postroom").rglob("*.py")}
    graph = {module: imported(path, modules.keys()) - {module} for module, path in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from None


def module_name(path: Path) -> str:
    """`postroom.mail` of postroom/mail/__init__.py, `postroom.mail.ids` of postroom/mail/ids.py."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path, modules: Set[str]) -> set[str]:
    """The modules of ours that a file names in its import statements, wherever those stand."""
    named = set[str]()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names):
                named |= {name.name for name in names}
            case ast.ImportFrom(module=str(module), names=names, level=0):
                # `from package import x`: x is a module, or something that the package's own file has.
                named |= {inner if (inner := f"{module}.{name.name}") in modules else module for name in names}
    return named & set(modules)
