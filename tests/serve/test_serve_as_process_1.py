"""`postroom serve` as process 1 of a PID namespace, as in a container."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from postroom.config.daemons import DAEMONS
from sandbox.process import until
from sandbox.serve import ServeDaemon

pytestmark = pytest.mark.postfix  # needs root, for the namespace


def state_of(pid: int) -> dict[str, str]:
    """The children of this process: R, S, Z and so on, by pid."""
    states = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
        # It may be reaped between the two looks.
        with suppress(FileNotFoundError, ProcessLookupError):
            states[child] = Path(f"/proc/{child}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    return states


def test_it_reaps_orphans_and_ends_when_asked(bed: Path) -> None:
    """Process 1 inherits what others leave behind, and gets SIGTERM only if it asked for it."""
    daemon = ServeDaemon(bed / "s")
    daemon.init()
    daemon.start(prefix=("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"))
    (init,) = map(int, state_of(daemon.pid))
    assert len(state_of(init)) == len(DAEMONS)
    # The shell ends before what it started: ten orphans for process 1.
    entering = ["nsenter", f"--target={init}", "--pid", "--mount", "sh", "-c"]
    left = "for n in 1 2 3 4 5 6 7 8 9 0; do sleep 0.$n & done"
    subprocess.run([*entering, left], check=True, timeout=30)
    until(lambda: len(state_of(init)) == len(DAEMONS), 20, "the orphans reaped", daemon.alive)
    assert "Z" not in state_of(init).values()
    os.kill(init, signal.SIGTERM)
    assert daemon.wait(30) == 0
    assert "postroom-serve[1] info: daemon.stopped pid=1" in daemon.log()
