"""The guard of pure tests lets none start a process or sleep."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.purity import PurityGuard

from sandbox.postfix import CHECKOUT


@pytest.mark.parametrize("event", ["subprocess.Popen", "os.fork", "os.posix_spawn"])
def test_a_process_is_refused_while_a_pure_test_runs(event: str) -> None:
    """And named in the failure with the marker that is missing; other events are nobody's business."""
    guard = PurityGuard()
    guard.audit(event, ())
    guard.is_armed = True
    guard.audit("open", ())
    with pytest.raises(pytest.fail.Exception, match=f"{event}.*pytest.mark.process"):
        guard.audit(event, ())
    assert guard.broken_by is not None


def test_a_test_with_a_marker_is_left_alone(request: pytest.FixtureRequest) -> None:
    """The marker says that it is no part of the everyday run; this test has none."""
    guard = PurityGuard()
    guard.arm(request.node)
    assert guard.is_armed
    request.node.add_marker("process")
    guard.arm(request.node)
    assert not guard.is_armed


BREAKERS = """
import contextlib, subprocess, time

def test_starts_a_process_and_hides_it():
    with contextlib.suppress(BaseException):
        subprocess.run(["true"])

def test_sleeps():
    time.sleep(0.01)
"""


@pytest.mark.process
def test_the_guard_is_there_when_tests_run(tmp_path: Path) -> None:
    """A pure test that starts a process and hides it, and one that sleeps, fail in a run of their own."""
    tests = tmp_path / "tests"
    tests.mkdir()
    shutil.copy(CHECKOUT / "tests" / "conftest.py", tests)
    (tests / "pytest.ini").write_text("[pytest]\nmarkers = process\n", encoding="utf-8")
    (tests / "test_breakers.py").write_text(BREAKERS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--rootdir={tmp_path}", f"--config-file={tests}/pytest.ini", tests],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT}/daemons:{CHECKOUT}/scripts"},
    )
    assert "2 failed" in done.stdout, done.stdout + done.stderr
    assert "pytest.mark.process" in done.stdout
