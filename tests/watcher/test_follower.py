"""follower.py: whoever waits for a session to show in the log is woken once its end is stored, and for no other."""

import asyncio
from pathlib import Path

from tests.store.event_loop import Run
from tests.store.outbox.sample_messages import rows
from tests.watcher.log_lines import KEY, LISTENER, NOW, line

from postroom.runtime.log import Log
from postroom.runtime.metrics import Metrics
from postroom.store.track.track_store import TrackStore
from postroom.watcher.correlate import Correlator
from postroom.watcher.follower import Follower
from postroom.watcher.source import Batch


class TwoSessions:
    """A source with the sessions of two processes at the hand-over listener, one of which has ended after 7 NOOPs."""

    name = "journal"
    proves = True

    def __init__(self) -> None:
        self._batches = [
            Batch(
                None,
                "1",
                (),
                (
                    line("smtpd", "connect from localhost[127.0.0.1]", LISTENER, 543),
                    line("smtpd", "connect from localhost[127.0.0.1]", LISTENER, 544),
                    line("smtpd", "disconnect from localhost[127.0.0.1] ehlo=1 noop=7 quit=1", LISTENER, 543),
                    line("smtpd", "disconnect from localhost[127.0.0.1] ehlo=1 noop=8 quit=1"),
                ),
                4,
                is_at_end=True,
            )
        ]

    def resume(self, position: str | None) -> None: ...

    def read(self) -> Batch | None:
        return self._batches.pop() if self._batches else None

    def close(self) -> None: ...


def test_a_session_is_known_by_its_noops_once_its_end_is_stored(tmp_path: Path, run: Run) -> None:
    """The session at port 25 with as many as another wakes nobody."""
    TrackStore.init(tmp_path / "track.db")

    async def follow() -> tuple[bool, bool]:
        store = TrackStore.open(tmp_path / "track.db")
        log, metrics = Log("critical", lambda *_: None), Metrics()
        correlator = Correlator(KEY, is_relayhosted=False)
        follower = Follower(TwoSessions(), store.log, correlator, log=log, metrics=metrics, now=lambda: NOW)
        await follower.start()
        shown, others = follower.expect(7), follower.expect(8)
        stopping = asyncio.Event()
        following = asyncio.create_task(follower.follow(stopping))
        async with asyncio.timeout(10):
            await shown.wait()
        stopping.set()
        await following
        await follower.close()
        await store.close()
        return shown.is_set(), others.is_set()

    assert run(follow()) == (True, False)
    assert rows(tmp_path / "track.db", "SELECT pid FROM session") == [(544,)]
