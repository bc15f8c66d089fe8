"""A systemd-journald of its own, in a mount namespace where /run is empty and /dev/log leads to it.

Without root it runs in a user namespace too. It drops no lines: set-up raises its limit for Postfix as well.
"""

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.process import BedError

SOURCES = Path(__file__).resolve().parents[2] / "daemons"
WHOEVER = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]

JOURNALD = """
    mount -t tmpfs tmpfs /run
    mkdir -p /run/dev /run/systemd/journal
    for node in null urandom random; do : >/run/dev/$node; mount --bind /dev/$node /run/dev/$node; done
    ln -s null /run/dev/kmsg
    ln -s /run/systemd/journal/dev-log /run/dev/log
    mount --rbind /run/dev /dev
    mkdir -p /run/systemd/journald.conf.d
    printf '[Journal]\nRateLimitBurst=0\n' >/run/systemd/journald.conf.d/bed.conf
    /lib/systemd/systemd-journald 2>/run/journald.err &
    journald=$!
    trap 'kill $journald; wait $journald || :' EXIT
    tries=0
    until [ -S /run/systemd/journal/socket ] && [ -S /run/systemd/journal/stdout ] && journalctl --sync 2>/dev/null
    do
        tries=$((tries + 1)); [ $tries -lt 500 ] || { cat /run/journald.err >&2; exit 1; }
        sleep 0.01
    done
"""
"""Shell commands that start it; it ends with the shell."""


def in_a_namespace(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell script in a mount namespace of its own; `arguments` are its $1 and so on."""
    return subprocess.run(
        ["unshare", "--mount", "--fork", "--kill-child", *WHOEVER, "sh", "-euc", script, "sh", *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Journald:
    """One that runs until it is stopped; others come into its namespace one by one.

    `enter` are the words before the command of a process that is to log there, or to read.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None

    @property
    def enter(self) -> tuple[str, ...]:
        if self._child is None:
            raise BedError("journald was not started")
        return ("nsenter", f"--mount=/proc/{self._child.pid}/ns/mnt")

    def lines(self) -> list[str]:
        """What it has stored, as a log file would have it."""
        command = [*self.enter, "journalctl", "--quiet", "--no-pager", "--all"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()

    def __enter__(self) -> Self:
        # It ends with its input: also when we are killed.
        self._child = subprocess.Popen(
            ["unshare", "--mount", "--fork", "--kill-child", "sh", "-euc", f"{JOURNALD}\necho ready\ncat >/dev/null"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._child.stdout is not None
        if self._child.stdout.readline() != "ready\n":
            raise BedError(f"journald did not start: {self._child.communicate(timeout=10)[1].strip()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.communicate(timeout=20)
            self._child = None
