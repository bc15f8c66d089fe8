"""The scripts say how they are used, and refuse what they do not know."""

import subprocess

import pytest

from sandbox.postfix import CHECKOUT

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    "script", ["quickstart", "test", "fresh", "score-log", "setup-postfix.sh", "uninstall.sh", "wheelhouse", "isolated"]
)
def test_help_is_the_scripts_own_head(script: str) -> None:
    """--help exits 0 and names the script."""
    done = subprocess.run([CHECKOUT / "scripts" / script, "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"scripts/{script} ")


@pytest.mark.parametrize(
    "line",
    [
        ["quickstart", "--twice"],
        ["quickstart", "--once", "more"],
        ["fresh"],
        ["score-log"],
        ["wheelhouse"],
        ["isolated"],
    ],
)
def test_unknown_words_are_a_usage_error(line: list[str]) -> None:
    """Exit 2, before anything is installed or started."""
    done = subprocess.run([CHECKOUT / "scripts" / line[0], *line[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"scripts/{line[0]} ")


def test_every_listed_package_has_its_reason() -> None:
    """Word, name and why, on each line of scripts/debian-packages."""
    lines = (CHECKOUT / "scripts" / "debian-packages").read_text().splitlines()
    entries = [line.split(None, 2) for line in lines if line and not line.startswith("#")]
    assert all(len(entry) == 3 for entry in entries)
    assert {entry[0] for entry in entries} == {
        "venv",
        "host",
        "build",
        "run",
        "test",
        "bench",
        "browser",
        "npm",
        "fresh",
    }


def test_the_checkouts_command_is_postroom() -> None:
    """scripts/postroom runs this checkout's command from anywhere."""
    done = subprocess.run(
        [CHECKOUT / "scripts" / "postroom", "--version"], cwd="/", capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("postroom, version ")
