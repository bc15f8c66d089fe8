"""The store's clock: no step of the system's clock frees or freezes a limit."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.store.event_loop import Run

from postroom.store.clock import SYSTEM, Anchor, Clock, TimeSources, anchored
from postroom.store.limits.interface import Demand
from postroom.store.sqlite_store import open_sqlite_store

HOUR_MS = 3_600_000
START_MS = 1_800_000_000_000


@dataclass
class Machine:
    """A machine's clocks in the hand of the test."""

    realtime_ms: int = START_MS
    boottime_ms: int = 5_000_000
    boot_id: str = "first boot"

    def passes(self, seconds: float) -> None:
        self.realtime_ms += round(seconds * 1000)
        self.boottime_ms += round(seconds * 1000)

    def reboots(self, realtime_ms: int) -> None:
        self.realtime_ms, self.boottime_ms, self.boot_id = realtime_ms, 3_000, "second boot"

    def sources(self) -> TimeSources:
        return TimeSources(lambda: self.realtime_ms, lambda: self.boottime_ms, lambda: self.boot_id)


MINUTELY = [Demand("minutely", "client:192.0.2.1", 1, 1, 60)]


def test_a_kept_anchor_holds_for_its_boot_and_a_new_boot_takes_a_new_one() -> None:
    """In the same boot realtime is not even asked; in a new one it decides, unless it lies behind."""
    machine = Machine(realtime_ms=7)
    kept = Anchor("first boot", 42)
    assert anchored(kept, machine.sources(), lambda: 0) == kept
    machine.reboots(START_MS + 10_000)
    assert anchored(kept, machine.sources(), lambda: START_MS) == Anchor("second boot", START_MS + 7_000)
    assert anchored(kept, machine.sources(), lambda: START_MS + 20_000) == Anchor("second boot", START_MS + 17_000)
    assert anchored(None, machine.sources(), lambda: 0) == Anchor("second boot", START_MS + 7_000)


def test_the_system_sources_tell_this_boot_and_run_on() -> None:
    """The real ones: Unix time in milliseconds, a boottime that does not go back, a boot id."""
    anchor = anchored(None, SYSTEM, lambda: 0)
    clock = Clock(anchor, SYSTEM)
    earlier = clock.now_ms()
    assert abs(earlier - SYSTEM.realtime_ms()) < 1_000
    assert clock.now_ms() >= earlier
    assert len(anchor.boot_id) == 36


@pytest.mark.parametrize("step_ms", [-HOUR_MS, HOUR_MS])
def test_a_step_of_an_hour_neither_frees_nor_freezes_a_limit(folder: Path, run: Run, step_ms: int) -> None:
    """1/60s is free after 61 s of real time, whether the clock was set back or forward meanwhile.

    True for the process that was there before the step and for one that starts after it.
    """
    machine = Machine()
    before = open_sqlite_store(folder, machine.sources())
    assert run(before.takes.take("1", "smtp", MINUTELY)).allowed
    machine.realtime_ms += step_ms
    after = open_sqlite_store(folder, machine.sources())
    machine.passes(59)
    assert not run(before.takes.take("2", "smtp", MINUTELY)).allowed
    assert not run(after.takes.take("3", "smtp", MINUTELY)).allowed
    machine.passes(2)
    assert run(after.takes.take("4", "smtp", MINUTELY)).allowed
    assert not run(before.takes.take("5", "smtp", MINUTELY)).allowed
    run(before.close())
    run(after.close())


def test_a_boot_with_the_clock_in_1970_goes_on_where_the_store_stopped(folder: Path, run: Run) -> None:
    """Nothing is frozen for fifty years: the window runs on from the last take."""
    machine = Machine()
    store = open_sqlite_store(folder, machine.sources())
    assert run(store.takes.take("1", "smtp", MINUTELY)).allowed
    run(store.beats.beat("policy", "mx1", 7, {}))
    run(store.close())
    machine.reboots(realtime_ms=0)
    store = open_sqlite_store(folder, machine.sources())
    assert not run(store.takes.take("2", "smtp", MINUTELY)).allowed
    assert [beat.at for beat in run(store.beats.recent(0))] == [START_MS / 1000]
    machine.passes(61)
    assert run(store.takes.take("3", "smtp", MINUTELY)).allowed
    run(store.close())


def test_a_boot_with_the_right_time_counts_the_time_it_was_off(folder: Path, run: Run) -> None:
    """Two hours later the window of a minute is over."""
    machine = Machine()
    store = open_sqlite_store(folder, machine.sources())
    assert run(store.takes.take("1", "smtp", MINUTELY)).allowed
    run(store.close())
    machine.reboots(START_MS + 2 * HOUR_MS)
    store = open_sqlite_store(folder, machine.sources())
    assert run(store.takes.take("2", "smtp", MINUTELY)).allowed
    run(store.close())
