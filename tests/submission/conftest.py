"""What this room's tests share: coroutine functions are run, and no daemon's log holds what is private."""

import asyncio
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.daemon import SubmissionDaemon

PRIVATE = ("Zaphod", "pr1vate-token", "Quokka")
"""Words the tests put into template values, subjects and bodies, and nowhere else."""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def test_…` to its end on a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}))
    return True


def assert_private(log: str) -> None:
    """No line quotes an address, a template value or a body; every line is an event."""
    for line in log.splitlines():
        assert re.search(r"[\w.+-]+@[\w-]+\.\w", line) is None, f"an address is logged: {line}"
        assert not any(word in line for word in PRIVATE), f"a value is logged: {line}"
        assert re.match(r"\S+Z postroom-submission\[\d+\] \w+: [a-z_.]+( |$)", line), f"no event of ours: {line}"


MakeDaemon = Callable[..., SubmissionDaemon]


@pytest.fixture
def make_daemon(bed: Path) -> Iterator[MakeDaemon]:
    """Makes and starts a daemon, with SubmissionDaemon's arguments; at the end it is stopped and its log read."""
    made: list[SubmissionDaemon] = []

    def make(handover: Path | None = None, *, started: bool = True, **arguments: Any) -> SubmissionDaemon:
        daemon = SubmissionDaemon(bed / f"d{len(made)}", handover or bed, **arguments)
        made.append(daemon)
        daemon.init()
        if started:
            daemon.start()
        return daemon

    yield make
    for daemon in made:
        daemon.stop()
        assert_private(daemon.log())
