"""A bench that lacks something says so in one line, and ends with 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import prerequisites
from sandbox.postfix import CHECKOUT

pytestmark = pytest.mark.process

BENCHES = sorted(path.name for path in (CHECKOUT / "bench").glob("*.py") if "__main__" in path.read_text("utf-8"))


def test_missing_packages_are_named_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With the command that installs them; what is there is not named."""
    monkeypatch.setattr(sys, "argv", ["bench/end_to_end.py"])
    programs = {"postfwd": str(tmp_path / "postfwd2"), "opendkim": str(tmp_path / "opendkim"), "postfix": "/bin/sh"}
    monkeypatch.setattr(prerequisites, "PROGRAMS", programs)
    with pytest.raises(SystemExit) as ended:
        prerequisites.need(("postfix", "postfwd", "opendkim"))
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "end_to_end.py: needs postfwd, opendkim. Mend: apt-get install postfwd opendkim\n"
    )


def test_root_is_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever is not root is told to use sudo; root, with all programs there, is told nothing."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(SystemExit, match="2"):
        prerequisites.need(root=True)
    assert capsys.readouterr().err.endswith("Mend: run it with sudo\n")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    prerequisites.need(root=True)


@pytest.mark.parametrize("bench", BENCHES)
def test_another_python_is_told_which_one_to_use(bench: str, tmp_path: Path) -> None:
    """One without the libraries, as Debian's own is; no traceback, whatever the bench imports first."""
    bare = [sys.executable, "-I", "-S", str(CHECKOUT / "bench" / bench)]  # -S: nothing that is installed is found
    done = subprocess.run(bare, capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{bench}: this Python lacks ")
    assert done.stderr.endswith("Mend: run .venv/bin/python, which scripts/quickstart makes\n")
    assert done.stderr.count("\n") == 1
