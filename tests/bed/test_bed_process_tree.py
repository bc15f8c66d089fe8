"""The processor time of a process is that of all it has started."""

import subprocess
import sys

import pytest

from sandbox.process_tree import cpu_s, process_tree

pytestmark = pytest.mark.process

BURN = """
import os, sys, time
while time.process_time() < 0.2: pass
if os.fork() == 0:
    while time.process_time() < 0.3: pass
    os._exit(0)
os.wait()
if os.fork() == 0:
    while time.process_time() < 0.3: pass
    print(os.getpid(), flush=True)
    sys.stdin.read()
    os._exit(0)
os.wait()
"""


def test_children_that_live_and_children_that_ended_are_counted() -> None:
    """0.2 s of its own, 0.3 s of a child it has waited for and 0.3 s of one that still runs."""
    with subprocess.Popen(
        [sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert list(process_tree(process.pid)) == [process.pid, child]
        assert 0.75 <= cpu_s(process.pid) < 2
        assert 0.25 <= cpu_s(child) < 1
        process.stdin.close()


def test_a_process_that_is_gone_used_nothing() -> None:
    """So a sum over daemons does not fail for one that died."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        assert cpu_s(process.pid) == 0
