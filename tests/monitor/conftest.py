"""What this room's tests share: snapshots with one thing changed, beats in a store, and the daemon as a process."""

import asyncio
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.store.event_loop import Run

from postroom.mail.states import State
from postroom.monitor.health import Expected
from postroom.monitor.samples import Series
from postroom.monitor.snapshot import Snapshot
from postroom.postfix.queue import QUEUES, QueueCount
from postroom.store.sqlite_store import init_sqlite_store, open_sqlite_store
from postroom.store.track.history import OutcomeCount
from postroom.store.track.track_store import TrackStore
from sandbox.monitor import MonitorDaemon

NOW = 1_800_000_000.0
HOST = socket.gethostname()
DAEMONS = ("submission", "policy", "milter", "watcher")
EXPECTED = Expected(DAEMONS, 3_600.0, "/var/spool/postfix/public/showq")


def make_snapshot(**changed: Any) -> Snapshot:
    """A snapshot of a host that is well, with these parts changed; `gauges` by name are added to its own."""
    gauges: Mapping[str, float] = changed.pop("gauges", {})
    parts: dict[str, Any] = {
        "at": NOW,
        "since": NOW - 3_600,
        "shared": None,
        "limits": None,
        "outcomes": [OutcomeCount(0, State.DELIVERED, "2.0.0", 3)],
        "waves": 0,
        "queue": QueueCount(dict.fromkeys(QUEUES, 0), None, is_whole=True),
        "ages": {word: [2.0] for word in DAEMONS},
        "gauges": {
            Series(name): value for name, value in {"postroom_submission_handover_available": 1.0, **gauges}.items()
        },
        "totals": {},
        "grown": {},
        "watched_s": 3_600.0,
        **changed,
    }
    return Snapshot(**parts)


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


class Beating:
    """Sends beats into a store, as the daemons of a host do."""

    def __init__(self, state_dir: Path, run: Run) -> None:
        self._store = open_sqlite_store(state_dir / "shared")
        self._run = run

    def beat(self, word: str, pid: int = 1, host: str = HOST, **samples: float) -> None:
        self.beat_named(word, {f"postroom_{word}_{name}": value for name, value in samples.items()}, pid, host)

    def beat_named(self, word: str, samples: Mapping[str, float], pid: int = 1, host: str = HOST) -> None:
        self._run(self._store.beats.beat(word, host, pid, samples))

    def all_beat(self) -> None:
        for word in DAEMONS:
            self.beat(word)

    def close(self) -> None:
        self._run(self._store.close())


@pytest.fixture
def beating(bed: Path, run: Run) -> Iterator[Beating]:
    """The beats of the store below `bed`/state; a monitor made by `make_monitor` must have made it."""
    beating = Beating(bed / "state", run)
    yield beating
    beating.close()


MakeMonitor = Callable[..., MonitorDaemon]


@pytest.fixture
def make_monitor(bed: Path) -> Iterator[MakeMonitor]:
    """Makes a monitor with its store, with MonitorDaemon's arguments; at the end it is stopped and its log read."""
    made: list[MonitorDaemon] = []

    def make(showq: Path | None = None, **arguments: Any) -> MonitorDaemon:
        daemon = MonitorDaemon(bed / f"o{len(made)}", showq or bed / "showq", state_dir=bed / "state", **arguments)
        made.append(daemon)
        daemon.write()
        # What `postroom store init` makes for it, without a process of its own each time.
        (bed / "state").mkdir(exist_ok=True)
        init_sqlite_store(bed / "state" / "shared")
        TrackStore.init(bed / "state" / "watcher" / "track.db")
        return daemon

    yield make
    for daemon in made:
        assert daemon.stop() in {0, None}
        for line in daemon.log().splitlines():
            assert re.match(r"\S+Z postroom-monitor\[\d+\] \w+: [a-z_.]+( |$)", line), f"no event of ours: {line}"
            assert "monitor.fault" not in line
