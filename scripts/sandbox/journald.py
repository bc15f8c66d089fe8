"""A systemd-journald of its own, in a mount namespace where /run is empty and /dev/log leads to it.

Without root it runs in a user namespace too. It drops no lines, for set-up raises its limit for Postfix as well;
where a test wants it to, it drops those of a unit past `BURST` in `INTERVAL` (journald.conf(5), and more of them when
the file system is large).
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.process import BedError

SOURCES = Path(__file__).resolve().parents[2] / "daemons"
WHOEVER = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]


@dataclass(frozen=True)
class Limit:
    """Lines past `burst` of one unit in `interval_s` seconds are dropped, about: journald lets more pass where there
    is much room."""

    burst: int
    interval_s: int


JOURNALD = """
    mount -t tmpfs tmpfs /run
    mkdir -p /run/dev /run/systemd/journal
    for node in null urandom random; do : >/run/dev/$node; mount --bind /dev/$node /run/dev/$node; done
    ln -s null /run/dev/kmsg
    ln -s /run/systemd/journal/dev-log /run/dev/log
    mount --rbind /run/dev /dev
    mkdir -p /run/systemd/journald.conf.d
    printf '[Journal]\nRateLimitBurst=%s\nRateLimitIntervalSec=%s\n' "${BURST:-0}" "${INTERVAL:-30s}" \
        >/run/systemd/journald.conf.d/bed.conf
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


def in_a_namespace(script: str, *arguments: str, limit: Limit | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a shell script in a mount namespace of its own; `arguments` are its $1 and so on."""
    return subprocess.run(
        ["unshare", "--mount", "--fork", "--kill-child", *WHOEVER, "sh", "-euc", script, "sh", *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCES), **_environment(limit)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _environment(limit: Limit | None) -> dict[str, str]:
    return {} if limit is None else {"BURST": str(limit.burst), "INTERVAL": f"{limit.interval_s}s"}


UNIT = """
    mkdir /run/cgroup
    mount -t cgroup2 none /run/cgroup
    slice=/run/cgroup/bed-$$.slice
    mkdir -p "$slice/$1"
    ln -s "$slice/$1" /run/unit
    trap 'kill $journald; wait $journald || :; rmdir "$slice/$1" "$slice"' EXIT
"""
"""Shell commands that make a control group by the name of a unit, which is how journald knows one."""


class Journald:
    """One that runs until it is stopped; others come into its namespace one by one.

    `enter` are the words before the command of a process that is to log there, or to read, and `enter_unit` those of
    one that is to be of `unit` besides.
    """

    def __init__(self, limit: Limit | None = None, unit: str = "") -> None:
        self._limit = limit
        self._unit = unit
        self._child: subprocess.Popen[str] | None = None

    @property
    def enter(self) -> tuple[str, ...]:
        if self._child is None:
            raise BedError("journald was not started")
        return ("nsenter", f"--mount=/proc/{self._child.pid}/ns/mnt")

    @property
    def enter_unit(self) -> tuple[str, ...]:
        if not self._unit:
            return self.enter
        return (*self.enter, "sh", "-euc", 'echo $$ >/run/unit/cgroup.procs; exec "$@"', "sh")

    def command(self, *words: str) -> str:
        """Run journalctl there.

        Raises:
            CalledProcessError: it failed.
        """
        command = [*self.enter, "journalctl", "--quiet", "--no-pager", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    def lines(self) -> list[str]:
        """What it has stored, as a log file would have it."""
        return self.command("--all").splitlines()

    def __enter__(self) -> Self:
        namespace = ("unshare", "--mount", "--fork", "--kill-child")
        script = JOURNALD + (UNIT if self._unit else "")
        # It ends with its input: also when we are killed.
        self._child = subprocess.Popen(
            [*namespace, "sh", "-euc", f"{script}\necho ready\ncat >/dev/null", "sh", self._unit],
            env={**os.environ, **_environment(self._limit)},
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
