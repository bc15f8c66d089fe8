"""What is written is written whole, and what was there before is known."""

import os
from pathlib import Path

import pytest

from postroom.setup.host import SetupFailed
from postroom.setup.record import SetupRecord, digest, read_octets, write_whole
from postroom.setup.steps import RunCommand, Step, WriteFile, diff, perform


def test_a_write_keeps_mode_and_follows_a_link(tmp_path: Path) -> None:
    """main.cf may be a link into a versioned folder."""
    real, link = tmp_path / "real", tmp_path / "main.cf"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_whole(link, b"new")
    assert link.is_symlink()
    assert (real.read_bytes(), real.stat().st_mode & 0o777) == (b"new", 0o640)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["main.cf", "real"]


def test_what_was_before_outlives_the_process(tmp_path: Path) -> None:
    """Read again by another run; a file that was not there is known as such."""
    record = SetupRecord(tmp_path / "setup")
    record.note(Path("/a"), b"before", b"after")
    record.note(Path("/b"), None, b"after")
    again = SetupRecord(tmp_path / "setup")
    assert again.before(Path("/a")) == b"before"
    assert (again.before(Path("/b")), again.changes[Path("/b")].written) == (None, digest(b"after"))
    again.forget(Path("/a"))
    assert list(SetupRecord(tmp_path / "setup").changes) == [Path("/b")]
    assert (tmp_path / "setup").stat().st_mode & 0o777 == 0o700


def test_a_second_write_remembers_what_was_before_the_first(tmp_path: Path) -> None:
    """An upgrade of a unit does not make the unit of before the site's own."""
    record, path = SetupRecord(tmp_path / "setup"), tmp_path / "unit"
    for octets in (b"one", b"two"):
        step = WriteFile(path, octets, record)
        assert step.is_needed()
        step.do()
        assert not step.is_needed()
    assert record.before(path) is None
    assert record.changes[path].written == digest(b"two")
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_write_that_fails_is_noted_before_and_says_where(tmp_path: Path) -> None:
    """Its folder is a file: nothing is left, and the step before it stays done."""
    (tmp_path / "file").write_bytes(b"")
    record = SetupRecord(tmp_path / "setup")
    steps: list[Step] = [
        WriteFile(tmp_path / "first", b"1", record),
        WriteFile(tmp_path / "file" / "second", b"2", record),
        WriteFile(tmp_path / "third", b"3", record),
    ]
    with pytest.raises(SetupFailed, match=r"(?s)second: File exists; mend: .*1 steps were done.*To go back: undo it"):
        perform(steps, dry_run=False, undo="undo it")
    assert read_octets(tmp_path / "first") == b"1"
    assert not (tmp_path / "third").exists()


def test_a_dry_run_shows_and_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Diffs of files, commands as they would be run; what is there already is not shown."""
    (tmp_path / "same").write_bytes(b"same")
    record = SetupRecord(tmp_path / "setup")
    steps: list[Step] = [
        WriteFile(tmp_path / "new", b"line\n", record),
        WriteFile(tmp_path / "same", b"same", record),
        RunCommand(["touch", tmp_path / "touched"]),
        RunCommand(["touch", "never"], unless=lambda: True),
    ]
    perform(steps, dry_run=True, undo="")
    shown = capsys.readouterr().out
    assert "+line" in shown
    assert f"$ touch {tmp_path}/touched" in shown
    assert "same" not in shown
    assert "never" not in shown
    assert os.listdir(tmp_path) == ["same"]


def test_a_diff_names_what_is_made_and_what_goes() -> None:
    """/dev/null on the side that is not there."""
    assert diff(Path("/x"), None, b"a\n").splitlines()[:2] == ["--- /dev/null", "+++ /x"]
    assert diff(Path("/x"), b"a\n", None).splitlines()[:2] == ["--- /x", "+++ /dev/null"]


@pytest.mark.process
def test_a_command_that_fails_says_its_last_words() -> None:
    """And how to mend."""
    with pytest.raises(SetupFailed, match=r"^sh -c echo no >&2; exit 3: no; mend: "):
        RunCommand(["sh", "-c", "echo no >&2; exit 3"]).do()
    with pytest.raises(SetupFailed, match=r"/nowhere/it: cannot be run \(FileNotFoundError\); mend: "):
        RunCommand(["/nowhere/it"]).do()
