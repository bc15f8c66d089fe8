"""Configurations that must not load: broken/NN-name/postroom.yaml, and every line of complaint in expected.txt."""

from functools import cache
from pathlib import Path

import pytest

from postroom.config.load import load
from postroom.config.model import Config
from postroom.config.problems import ConfigInvalid, ConfigProblem
from postroom.config.schema import EACH_ITEM, EACH_KEY, Setting, settings
from postroom.config.section import Loc

_FOLDERS = sorted((Path(__file__).parent / "broken").iterdir())


def problems_of(folder: Path) -> list[ConfigProblem]:
    with pytest.raises(ConfigInvalid) as invalid:
        load(folder / "postroom.yaml", hostname=lambda: "machine.example.org")
    return list(invalid.value.problems)


@cache
def broken_paths() -> set[Loc]:
    return {problem.path for folder in _FOLDERS for problem in problems_of(folder)}


def lies_at(setting: Setting, path: Loc) -> bool:
    """Whether `path` is that of `setting`, or of one entry when its value is a list."""
    entry = path[:-1] if path and isinstance(path[-1], int) else path
    names = [EACH_ITEM if isinstance(step, int) else step for step in entry]
    return len(names) == len(setting.path) and all(map(fits, setting.path, names))


def fits(general: str, name: str) -> bool:
    return general in {name, EACH_KEY}


@pytest.mark.parametrize("folder", _FOLDERS, ids=lambda folder: folder.name)
def test_broken_config_is_explained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All problems at once, each with file, line, path and what to write, in the order of the file."""
    monkeypatch.chdir(folder)
    told = "".join(f"{problem}\n" for problem in problems_of(Path()))
    assert told == (folder / "expected.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("setting", list(settings(Config)), ids=str)
def test_every_setting_has_a_broken_case(setting: Setting) -> None:
    """A setting without a case here was never seen to refuse anything."""
    assert any(lies_at(setting, path) for path in broken_paths())


def test_addresses_are_not_repeated() -> None:
    """Problems go to the log, and addresses never do."""
    folder = next(folder for folder in _FOLDERS if folder.name.endswith("bounce-mailbox"))
    written = (folder / "postroom.yaml").read_text(encoding="utf-8")
    told = "".join(map(str, problems_of(folder)))
    for address in ("postmaster@example.net", "bounces@example.com"):
        assert address in written
        assert address not in told
