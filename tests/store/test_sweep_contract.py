"""What every engine promises of sweeping: what no longer counts goes, in steps, and nothing else."""

from tests.store.event_loop import Run

from postroom.store.limits.interface import NOTE_KEPT_S, TAKE_KEPT_S, Demand
from postroom.store.shared.interface import BEAT_KEPT_S
from postroom.store.shared_store import SharedStore

NOW = 1_800_000_000.0
HOUR = 3600


def hourly(limit: int, cost: int = 1, key: str = "client:192.0.2.1", burst: int | None = None) -> Demand:
    return Demand("per_client", key, cost, limit, HOUR, burst)


def test_sweep_removes_notes_that_have_lapsed(shared_store: SharedStore, run: Run) -> None:
    """Before, nothing goes; afterwards all of them, counted."""
    for recipient in ("a", "b", "c"):
        run(shared_store.notes.note("1.2", "smtp", recipient, "example.org", now=NOW))
    assert run(shared_store.sweep(now=NOW + NOTE_KEPT_S - 1)) == 0
    assert run(shared_store.sweep(now=NOW + NOTE_KEPT_S)) == 3


def test_sweep_removes_only_what_no_longer_counts(shared_store: SharedStore, run: Run) -> None:
    """Before its time nothing goes; afterwards every counter, take and beat, and the count of rows says so."""
    run(shared_store.takes.take("1", "smtp", [hourly(1), Demand("daily", "client:192.0.2.1", 1, 5, 86_400)], now=NOW))
    run(shared_store.beats.beat("policy", "mx1", 7, {}, now=NOW))
    soon = NOW + min(HOUR, BEAT_KEPT_S) - 1
    assert run(shared_store.sweep(now=soon)) == 0
    assert not run(shared_store.takes.take("2", "smtp", [hourly(1)], now=soon)).allowed
    assert run(shared_store.takes.take("1", "smtp", [hourly(1)], now=soon)).allowed
    assert run(shared_store.sweep(now=NOW + TAKE_KEPT_S + HOUR)) == 4
    assert run(shared_store.sweep(now=NOW + TAKE_KEPT_S + HOUR)) == 0
    assert run(shared_store.beats.recent(TAKE_KEPT_S * 2, now=NOW + TAKE_KEPT_S + HOUR)) == []
    # Its take is forgotten too: the instance is a new message now.
    assert run(shared_store.takes.take("1", "smtp", [hourly(7)], now=NOW + TAKE_KEPT_S + HOUR)).usages[0].limit == 7


def test_sweep_keeps_to_its_budget(shared_store: SharedStore, run: Run) -> None:
    """1,000 old counters and takes go in calls of at most 300 rows, until less than 300 is left."""
    for number in range(500):
        run(shared_store.takes.take(f"{number}", "smtp", [hourly(1, key=f"client:{number}")], now=NOW))
    later = NOW + 2 * TAKE_KEPT_S
    assert [run(shared_store.sweep(now=later, budget=300)) for _ in range(5)] == [300, 300, 300, 100, 0]
