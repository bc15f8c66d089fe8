"""What a pure test must not do, and who sees to it: no process is started, and nothing sleeps.

A test that no marker names is pure. While one runs, the first start of a process or sleep fails it with the marker it
lacks, so that the everyday run stays an everyday run whoever adds to it.

Source:  PEP 578; the table of audit events in Python's documentation
Limits:  a wait on an event loop, a lock or a socket is not seen.
"""

import sys
import time
from typing import SupportsIndex

import pytest

MARKERS = ("process", "postfix", "fresh", "browser")
"""A test with one of these is not pure."""

PROCESS_EVENTS = frozenset(("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec"))
"""What the interpreter announces before a process starts."""


class PurityGuard:
    """While it is armed, starting a process and sleeping fail the running test."""

    def __init__(self) -> None:
        self.is_armed = False
        self.broken_by: str | None = None
        """What the running test did first, for the case that a thread or an `except` hid its failure."""

    def arm(self, item: pytest.Item) -> None:
        """Watch this test if it is pure."""
        self.broken_by = None
        self.is_armed = not any(item.get_closest_marker(marker) for marker in MARKERS)

    def disarm(self) -> None:
        self.is_armed = False

    def audit(self, event: str, _arguments: object) -> None:
        if self.is_armed and event in PROCESS_EVENTS:
            self.refuse(event)

    def refuse(self, what: str) -> None:
        self.broken_by = self.broken_by or (
            f"a pure test must not call {what}. Mend: mark the test or its module `process` (pytest.mark.process)"
        )
        pytest.fail(self.broken_by)

    def install(self) -> None:
        """Hear of every process and sleep from now on; an audit hook cannot be taken away again."""
        sys.addaudithook(self.audit)
        sleep = time.sleep

        def guarded_sleep(seconds: float | SupportsIndex, /) -> None:
            if self.is_armed and seconds:
                self.refuse("time.sleep")
            sleep(seconds)

        # Not by its audit event, which is new in Python 3.13.
        time.sleep = guarded_sleep
