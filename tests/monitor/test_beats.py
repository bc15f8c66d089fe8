"""beats.py: the beats of this host out of the real store, and their age by clocks that never go back."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from tests.store.event_loop import Run

from postroom.monitor.beats import HostBeats
from postroom.monitor.samples import Series
from postroom.store.sqlite_store import init_sqlite_store, open_sqlite_store

CONNECTIONS = "postroom_policy_connections"
FAULTS = "postroom_monitor_faults_total"
OWN = {FAULTS: 2.0}


class Bed:
    """A store, the beats of the host mx1 in it, and a clock that is moved by hand."""

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder = folder
        self.run = run
        self.store = open_sqlite_store(folder)
        self.now = 500.0
        self.beats = HostBeats(self.store.beats, "mx1", "monitor", lambda: OWN, lambda: self.now)

    def beat(self, word: str, pid: int = 1, host: str = "mx1", connections: float = 1.0) -> None:
        self.run(self.store.beats.beat(word, host, pid, {CONNECTIONS: connections}))

    def read(self) -> None:
        self.run(self.beats.read())


@pytest.fixture
def bed(tmp_path: Path, run: Run) -> Iterator[Bed]:
    init_sqlite_store(tmp_path / "shared")
    bed = Bed(tmp_path / "shared", run)
    yield bed
    run(bed.store.close())


def test_the_age_of_a_beat_goes_on_between_two_looks(bed: Bed) -> None:
    """Whatever comes of the store: the monitor's own clock tells how long ago it snapshot."""
    bed.beat("policy")
    bed.beat("policy", 2)
    bed.beat("milter", host="mx2")
    bed.read()
    assert bed.beats.trouble is None
    assert set(bed.beats.ages()) == {"monitor", "policy"}, "mx2 has a monitor of its own"
    first, second = bed.beats.ages()["policy"]
    assert 0 <= first <= second < 5
    bed.now += 30
    assert bed.beats.ages()["policy"] == [first + 30, second + 30]


def test_only_the_living_say_what_is_now(bed: Bed) -> None:
    """Gauges are summed over the processes that beat; those of a dead one are of the past."""
    bed.beat("policy", 1, connections=4)
    bed.beat("policy", 2, connections=5)
    bed.read()
    assert bed.beats.gauges() == {Series(CONNECTIONS): 9}
    with closing(apsw.Connection(str(bed.folder / "shared.db"))) as store:
        store.execute("UPDATE beats SET at_ms = at_ms - 16000 WHERE pid = 1")
    bed.read()
    assert bed.beats.gauges() == {Series(CONNECTIONS): 5}
    bed.now += 16
    assert bed.beats.gauges() == {}


def test_a_writer_holds_nobody_up_who_reads(bed: Bed) -> None:
    """Beats are read beside others' writes; a sweep or a suppression under way delays no health check."""
    bed.beat("policy")
    with closing(apsw.Connection(str(bed.folder / "shared.db"))) as writer:
        writer.execute("BEGIN IMMEDIATE; DELETE FROM beats")
        bed.read()
        writer.execute("ROLLBACK")
    assert bed.beats.trouble is None
    assert set(bed.beats.ages()) == {"monitor", "policy"}


def test_the_monitors_own_figures_come_from_itself(bed: Bed) -> None:
    """It writes no beat; one that a monitor of before this version left is not taken for it."""
    bed.run(bed.store.beats.beat("monitor", "mx1", 1, {FAULTS: 50.0}))
    bed.read()
    assert bed.beats.totals.totals() == {Series(FAULTS): 2.0}
    assert len(bed.beats.ages()["monitor"]) == 1


def test_a_store_that_is_lost_is_a_trouble_until_it_is_back(bed: Bed) -> None:
    """What was heard before goes on ageing."""
    nowhere = open_sqlite_store(bed.folder.parent / "nowhere")
    beats = HostBeats(nowhere.beats, "mx1", "monitor", lambda: OWN, lambda: bed.now)
    assert beats.trouble is not None
    bed.run(beats.read())
    assert beats.trouble is not None
    assert "nowhere/shared.db: cannot be opened" in beats.trouble.reason
    init_sqlite_store(bed.folder.parent / "nowhere")
    bed.run(beats.read())
    assert beats.trouble is None
    bed.run(nowhere.close())
