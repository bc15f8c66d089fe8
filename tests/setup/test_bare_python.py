"""What looks at a booted host runs by the system's Python, before and after anything is installed there."""

import subprocess
import sys

import pytest

from sandbox.postfix import CHECKOUT

pytestmark = pytest.mark.process


@pytest.mark.parametrize("module", ["tests.systemd.asking", "tests.systemd.scenario", "tests.setup.rebooted"])
def test_it_needs_the_standard_library_alone(module: str) -> None:
    """Imported by a Python that sees no installed package."""
    paths = [str(CHECKOUT / "daemons"), str(CHECKOUT / "scripts"), str(CHECKOUT)]
    bare = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {paths}; import {module}"]
    done = subprocess.run(bare, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
