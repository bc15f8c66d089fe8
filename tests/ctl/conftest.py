"""The command of this checkout, in this process or as one of its own, on a configuration of its own."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner

from postroom.ctl import main

CHECKOUT = Path(__file__).parents[2]
OBEYS_MODES = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""Root passes by the modes of files; a process started so does not."""

Done = subprocess.CompletedProcess[str]


class Postroom(Protocol):
    """Runs `postroom --config CONFIG ARGUMENTS` to its end; it never shows a traceback."""

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Done: ...


@pytest.fixture
def state(bed: Path) -> Path:
    """The state directory; not made yet."""
    return bed / "state"


@pytest.fixture
def config(bed: Path, state: Path) -> Path:
    """A good configuration with all it makes below the bed."""
    path = bed / "postroom.yaml"
    path.write_text(
        f"hostname: mail.example.org\ndomains:\n  example.org: {{}}\nstate_dir: {state}\nrun_dir: {bed}\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def postroom_process(config: Path) -> Postroom:
    """The command as an operator runs it: a real process, for what depends on rights, signals and the start itself."""

    def run(*arguments: str, stdin: bytes = b"") -> Done:
        done = subprocess.run(
            [*OBEYS_MODES, str(CHECKOUT / "scripts" / "postroom"), "--config", str(config), *arguments],
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
        output, errors = done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
        assert "Traceback" not in errors, errors
        return Done(done.args, done.returncode, output, errors)

    return run


@pytest.fixture
def postroom(config: Path) -> Postroom:
    """The same in this process, without a second's start of Python; what it raises fails the test."""

    def run(*arguments: str, stdin: bytes = b"") -> Done:
        called = ["--config", str(config), *arguments]
        done = CliRunner().invoke(main.postroom, called, input=stdin, prog_name="postroom", catch_exceptions=False)
        return Done(called, done.exit_code, done.stdout, done.stderr)

    return run


Write = Callable[[str], None]


@pytest.fixture
def also(config: Path) -> Write:
    """Adds lines to the configuration."""

    def write(text: str) -> None:
        config.write_text(config.read_text(encoding="utf-8") + text, encoding="utf-8")

    return write
