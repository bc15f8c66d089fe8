"""Processes we started: wait for them, stop them by id, and find those a killed run left behind.

A process id alone may have been given to somebody else meanwhile; id, start time and boot together
name one process for ever. `Recorded` keeps them in a file, so that the next run can clean up.

Waiting uses pidfd_open(2): it works for processes that are not our children, and the death of the
process is noticed at once.

Source: proc_pid_stat(5), fields 4 and 22; pidfd_open(2), Linux 5.3.
"""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TERM_S = 10.0
"""Seconds a process has to end after SIGTERM, before SIGKILL."""

POLL_S = 0.01
"""Seconds between two looks at a condition that nothing announces."""


class BedError(Exception):
    """Part of the test bed could not do what it was asked; the text says what, where and how to mend it."""


@dataclass(frozen=True)
class Identity:
    """One process, never mistaken for another: its id, its start in clock ticks since boot, and the boot."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """The identity of a living process; None when there is none (a zombie is dead)."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The command's name stands in brackets and may hold anything, brackets too: count from the last one.
        state, *fields = stat.rpartition(")")[2].split()
        if state in ("Z", "X"):
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return cls(pid, int(fields[18]), boot)

    @classmethod
    def parse(cls, text: str) -> "Identity | None":
        """What `str(identity)` wrote; None when the text is not that."""
        match text.split():
            case [pid, started, boot] if pid.isdecimal() and started.isdecimal():
                return cls(int(pid), int(started), boot)
        return None

    def __str__(self) -> str:
        return f"{self.pid} {self.started} {self.boot}"

    def alive(self) -> bool:
        return Identity.of(self.pid) == self

    def stop(self, term_s: float = TERM_S) -> None:
        """SIGTERM, and SIGKILL after `term_s` seconds; returns when the process is gone.

        Raises:
            BedError: it lives on (for example in an uninterruptible system call).
        """
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # Asked after the pidfd was opened: from here on it cannot become another process.
            if not self.alive():
                return
            for number, wait_s in ((signal.SIGTERM, term_s), (signal.SIGKILL, 5.0)):
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(fd, number)
                if select.select([fd], [], [], wait_s)[0]:
                    return
        finally:
            os.close(fd)
        raise BedError(
            f"process {self.pid} does not end on SIGKILL. Mend: look at it with `ps -o pid,stat,wchan,args`."
        )


class Recorded:
    """A child process whose identity is kept in `folder/NAME.pid`, its output in `folder/NAME.out`."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.record = folder / f"{name}.pid"
        self.output = folder / f"{name}.out"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._child is None:
            raise BedError(f"{self.name} was not started")
        return self._child.pid

    def start(self, argv: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        """Start it in a session of its own, so that a Ctrl-C at the terminal is ours to handle.

        A process that a killed run left behind is stopped first.
        """
        self.clear()
        with self.output.open("wb") as output:
            self._child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        identity = Identity.of(self._child.pid)
        if identity is not None:
            self.record.write_text(f"{identity}\n", encoding="ascii")

    def exit_status(self) -> int | None:
        """None while it runs; else its exit status, negative for a signal."""
        return None if self._child is None else self._child.poll()

    def last_words(self, lines: int = 5) -> str:
        """The end of its output, for a message to the person who has to mend it."""
        try:
            text = self.output.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def stop(self) -> None:
        """Stop it and forget the record. Does nothing when it is not running."""
        if self._child is not None:
            if self._child.poll() is None:
                self._child.terminate()
                try:
                    self._child.wait(TERM_S)
                except subprocess.TimeoutExpired:
                    self._child.kill()
                    self._child.wait(TERM_S)
            self._child = None
        self.record.unlink(missing_ok=True)

    def clear(self) -> bool:
        """Stop the process that an earlier, killed run recorded; true when there was one alive."""
        try:
            identity = Identity.parse(self.record.read_text(encoding="ascii", errors="replace"))
        except FileNotFoundError:
            return False
        found = identity is not None and identity.alive()
        if identity is not None:
            identity.stop()
        self.record.unlink(missing_ok=True)
        return found


def until(
    condition: Callable[[], bool],
    within_s: float,
    what: str,
    alive: Callable[[], bool] | None = None,
    every_s: float = POLL_S,
) -> None:
    """Wait until `condition` holds, looking again and again.

    Args:
        condition: what is looked at; cheap.
        within_s: seconds to wait at most.
        what: what is waited for, for the error.
        alive: when given and false, waiting ends at once: what could bring it about is gone.
        every_s: seconds between two looks.

    Raises:
        BedError: it did not come.
    """
    end = time.monotonic() + within_s
    while not condition():
        if alive is not None and not alive():
            raise BedError(f"{what}: the process ended before that")
        if time.monotonic() > end:
            raise BedError(f"{what}: not within {within_s:g} s")
        time.sleep(every_s)
