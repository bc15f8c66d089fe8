"""What this room's tests share: no daemon's log holds an address, and every line is an event."""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.store.event_loop import Run

from sandbox.watcher import WatcherDaemon


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


def assert_private(log: str) -> None:
    """No line quotes an address."""
    for line in log.splitlines():
        assert re.search(r"[\w.+-]+@[\w-]+\.\w", line) is None, f"an address is logged: {line}"
        assert re.match(r"\S+Z postroom-watcher\[\d+\] \w+: [a-z_.]+( |$)", line), f"no event of ours: {line}"


MakeWatcher = Callable[..., WatcherDaemon]


@pytest.fixture
def make_watcher(bed: Path) -> Iterator[MakeWatcher]:
    """Makes a watcher, with WatcherDaemon's arguments; at the end it is stopped and its log read."""
    made: list[WatcherDaemon] = []

    def make(handover: Path, watcher: str, **arguments: Any) -> WatcherDaemon:
        daemon = WatcherDaemon(bed / f"w{len(made)}", handover, watcher, **arguments)
        made.append(daemon)
        daemon.init()
        return daemon

    yield make
    for daemon in made:
        daemon.stop()
        assert_private(daemon.log())
