"""A host that an older Postroom set up: this one reads what it finds on the disk, and gives Postfix's files back.

tests/data/upgrade/ has that disk, and README.md there how it was made. tests/setup/upgraded.py does the same by our
scripts, on a booted Debian.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.setup.older_state import DATA, DATABASES, REQUESTED_AT, OlderState

from postroom.config import paths
from postroom.config.load import load
from postroom.postfix import commands
from postroom.setup import removal
from postroom.setup.main_cf_edits import wired_return_domains
from postroom.setup.postfix_edits import PIECES, EditOptions, edited_files, restored
from postroom.setup.record import SetupRecord
from postroom.store.witness_request import requested_at

FILES = ("main.cf", "master.cf")
SITES = ("plain", "busy")
SAID: Any = json.loads((DATA / "answers.json").read_text(encoding="utf-8"))
PIECE_TEXTS = {name: (Path(__file__).parents[2] / "postfix-conf" / name).read_text(encoding="ascii") for name in PIECES}


@pytest.fixture
def older(bed: Path) -> OlderState:
    """The state as the older Postroom left it."""
    state = OlderState(bed)
    state.load()
    return state


def of_site(site: str) -> dict[str, str]:
    """Postfix's files of a site: main.cf and master.cf as set-up left them, and each as it was `.before`."""
    return {path.name: path.read_bytes().decode("latin-1") for path in (DATA / "postfix" / site).iterdir()}


def test_the_sample_has_rows_in_every_table() -> None:
    """Or it would show nothing of one."""
    for name in DATABASES:
        text = (DATA / "state" / f"{Path(name).stem}.sql").read_text()
        tables = set(re.findall(r"(?m)^CREATE TABLE \"?(\w+)", text))
        assert tables
        assert tables <= set(re.findall(r"(?m)^INSERT INTO (\w+) VALUES", text)), name


@pytest.mark.process
def test_the_store_is_opened_as_it_is(older: OlderState) -> None:
    """Every row stays: `store init`, which set-up runs at an upgrade, adds tables and columns at most."""
    done = older.submission.command("store", "init")
    assert done.returncode == 0, done.stderr
    assert older.changed() == []
    keys = {path.name: path.read_bytes() for path in (older.state / "keys").iterdir()}
    assert keys == {path.name: path.read_bytes() for path in (DATA / "state" / "keys").iterdir()}


@pytest.mark.process
def test_the_program_says_of_it_what_the_older_one_said(older: OlderState) -> None:
    """Suppressions, waves, limits, mail that waits or is held; by the API histories, and idempotency keys."""
    said = older.say(SAID["messages"], SAID["states_after_a_kill"])
    assert said == SAID


def test_the_configuration_is_read_as_it_is(older: OlderState) -> None:
    """Every section has a setting in it; no name has gone, none has another meaning."""
    text = older.submission.config.read_text()
    config = load(older.submission.config, hostname=lambda: "not asked")
    assert set(re.findall(r"(?m)^(\w+):", text)) == set(type(config).model_fields) - {"recipients"}  # it came later
    assert config.return_domains() == {"bounces.example.org", "returns.example.com"}
    assert requested_at(paths.witness_request(config)) == REQUESTED_AT


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("name", FILES)
def test_its_marks_alone_give_the_bytes_of_before(site: str, name: str) -> None:
    """Without a record, as after a lost disk."""
    files = of_site(site)
    taken_out = restored(files[name])
    assert (taken_out.text, taken_out.edited) == (files[f"{name}.before"], ())


@pytest.mark.parametrize("site", SITES)
def test_an_upgrade_edits_what_was_there_before(site: str) -> None:
    """Set-up, run again by the new program, starts from the site's own lines, and they come back from its edits too."""
    files = of_site(site)
    domains = wired_return_domains(files["main.cf"])
    assert domains == {"bounces.example.org"}
    main, master = (restored(files[name]).text for name in FILES)
    made = edited_files(main, master, PIECE_TEXTS, EditOptions("192.0.2.0/24", return_domains=tuple(domains)))
    assert restored(made.main).text == files["main.cf.before"]
    assert restored(made.master).text == files["master.cf.before"]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's files below a folder: Postfix's as set-up left them, a unit, and the record of it all."""
    etc = tmp_path / "etc"
    (etc / "postfix").mkdir(parents=True)
    for name in FILES:
        (etc / "postfix" / name).write_bytes((DATA / "postfix" / "busy" / name).read_bytes())
        monkeypatch.setattr(removal, name.upper().replace(".", "_"), etc / "postfix" / name)
    monkeypatch.setattr(removal, "CONFIG", etc / "postroom" / "postroom.yaml")
    monkeypatch.setattr(removal, "SPOOL", tmp_path / "spool")
    monkeypatch.setattr(commands, "run", lambda *_command: None)
    shutil.copytree(DATA / "setup", tmp_path / "setup")
    record = tmp_path / "setup" / "changes.json"
    record.write_text(record.read_text().replace('"/etc/', f'"{etc}/'))
    return tmp_path


def test_its_record_gives_the_bytes_of_before(host: Path) -> None:
    """Uninstallation of a host that the older one set up; what it wrote that was not there before is removed."""
    record = SetupRecord(host / "setup")
    unit = host / "etc/systemd/system/postroom-policy.service"
    assert set(record.changes) == {
        *(host / "etc/postfix" / name for name in FILES),
        host / "etc/postroom/postroom.yaml",
        unit,
    }
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\n")
    reported: list[str] = []
    uninstallation = removal.Removal(record, 0.0, reported.append)
    uninstallation._restore_postfix_files()
    for path in uninstallation._other_files():
        uninstallation._remove(path)
    for name in FILES:
        path = host / "etc/postfix" / name
        assert path.read_bytes() == (DATA / "postfix" / "busy" / f"{name}.before").read_bytes()
        assert f"{path}: as it was before set-up" in reported
    assert not unit.exists()
    assert set(SetupRecord(host / "setup").changes) == {host / "etc/postroom/postroom.yaml"}


def test_the_record_is_written_as_the_older_one_wrote_it(tmp_path: Path) -> None:
    """So that a host can go back to the older one."""
    shutil.copytree(DATA / "setup", tmp_path / "setup")
    record = SetupRecord(tmp_path / "setup")
    for name in FILES:
        before, after = ((DATA / "postfix" / "busy" / each).read_bytes() for each in (f"{name}.before", name))
        record.note(Path("/etc/postfix") / name, before, after)
    kept = {path.relative_to(tmp_path / "setup"): path for path in (tmp_path / "setup").rglob("*") if path.is_file()}
    expected = {path.relative_to(DATA / "setup"): path for path in (DATA / "setup").rglob("*") if path.is_file()}
    assert kept.keys() == expected.keys()
    assert all(kept[name].read_bytes() == expected[name].read_bytes() for name in expected)
