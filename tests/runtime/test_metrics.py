"""A daemon's beats: its figures reach the shared store, and a store that is away costs nothing else."""

import asyncio
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from postroom.runtime import metrics
from postroom.runtime.log import Field, Level, Log
from postroom.runtime.metrics import Metrics, beat_forever
from postroom.store.sqlite_store import init_sqlite_store, open_sqlite_store


def test_counters_add_up() -> None:
    """Each name for itself, by one or by more."""
    counted = Metrics()
    counted.count("postroom_policy_answers_total")
    counted.count("postroom_policy_answers_total", 2)
    counted.count("postroom_policy_refusals_total")
    assert counted.samples() == {"postroom_policy_answers_total": 3.0, "postroom_policy_refusals_total": 1.0}


def test_a_store_that_is_away_is_logged_once_and_beats_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One warning when it is away, however long; one line when it is there; then the last figures stand in it."""
    monkeypatch.setattr(metrics, "BEAT_S", 0.0)
    events: list[tuple[Level, str, dict[str, Field]]] = []
    counted, five_beats = Metrics(), asyncio.Event()

    async def samples() -> Mapping[str, float]:
        counted.count("postroom_policy_answers_total")
        match counted.samples()["postroom_policy_answers_total"]:
            case 4.0:
                init_sqlite_store(tmp_path / "shared")
            case 6.0:
                five_beats.set()
                await asyncio.Event().wait()
        return counted.samples()

    async def main() -> None:
        store = open_sqlite_store(tmp_path / "shared")
        log = Log("info", lambda level, event, fields: events.append((level, event, fields)))
        beating = asyncio.create_task(beat_forever("policy", store.beats, samples, log))
        await asyncio.wait_for(five_beats.wait(), 10)
        beating.cancel()
        (beat,) = await store.beats.recent(60)
        assert (beat.word, beat.host, beat.pid) == ("policy", socket.gethostname(), os.getpid())
        assert beat.samples == {"postroom_policy_answers_total": 5.0}
        await store.close()

    asyncio.run(main())
    assert [(level, event) for level, event, _ in events] == [
        ("warning", "store.unavailable"),
        ("info", "store.available"),
    ]
    assert "`postroom store init`" in str(events[0][2]["error"])
