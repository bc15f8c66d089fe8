"""Starts the other processes of these tests and sees that they end."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import postroom

HERE = Path(__file__).parent
SOURCES = Path(postroom.__file__).parent.parent


@contextmanager
def process(script: str, *arguments: str, prefix: tuple[str, ...] = ()) -> Iterator["subprocess.Popen[str]"]:
    """Run a script of this folder; it has said its first line when the block begins, and is gone when it ends."""
    with subprocess.Popen(
        [*prefix, sys.executable, str(HERE / script), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline().strip() in ("ready", "held")
            yield child
        finally:
            child.kill()


def tell(child: "subprocess.Popen[str]") -> None:
    """Let it go on."""
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()
