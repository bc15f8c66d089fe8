"""counters.py: counters of processes that come and go only grow, and the last hour is the last hour."""

from hypothesis import given
from hypothesis import strategies as st

from postroom.monitor.counters import HOUR_S, CounterTotals
from postroom.monitor.samples import Series
from postroom.store.shared.interface import Beat

NAME = "postroom_milter_signed_total"
NOW = 1_000_000.0


def beat(value: float, pid: int = 1, name: str = NAME) -> Beat:
    return Beat("milter", "mx1", pid, NOW, {name: value}, 0.0)


def total(totals: CounterTotals) -> float:
    return totals.totals().get(Series(NAME), 0.0)


def test_the_processes_of_a_daemon_are_summed() -> None:
    """At the first look the total is what all of them say, and none of it is of the last hour."""
    totals = CounterTotals()
    totals.observe([beat(10, 1), beat(5, 2)], NOW)
    assert total(totals) == 15
    assert totals.last_hour(NOW) == {}


def test_a_process_that_ends_takes_nothing_with_it() -> None:
    """A total that fell would be a restart to Prometheus, and all that is left would count once more."""
    totals = CounterTotals()
    totals.observe([beat(10, 1), beat(5, 2)], NOW)
    totals.observe([beat(12, 1)], NOW + 5)
    assert total(totals) == 17
    totals.observe([beat(12, 1), beat(3, 3)], NOW + 10)
    assert total(totals) == 20, "a new process begins at 0"
    assert totals.last_hour(NOW + 10) == {NAME: 5}


def test_a_counter_that_fell_began_anew() -> None:
    """Another process has got the same id."""
    totals = CounterTotals()
    totals.observe([beat(10)], NOW)
    totals.observe([beat(4)], NOW + 5)
    assert (total(totals), totals.last_hour(NOW + 5)) == (14, {NAME: 4})


def test_labels_stay_apart_in_totals_and_are_one_in_the_last_hour() -> None:
    """The page has one number for a name."""
    totals = CounterTotals()
    totals.observe([], NOW)
    totals.observe([beat(1, 1, NAME + '{door="smtp"}'), beat(2, 2, NAME + '{door="socket"}')], NOW)
    assert sorted(totals.totals().values()) == [1, 2]
    assert totals.last_hour(NOW) == {NAME: 3}


def test_gauges_and_rubbish_are_no_counters() -> None:
    """Nor is a counter below 0."""
    totals = CounterTotals()
    totals.observe([], NOW)
    totals.observe([beat(1, 1, "postroom_policy_connections"), beat(-5), beat(float("nan"), 2)], NOW)
    assert dict(totals.totals()) == {}


def test_the_last_hour_slides() -> None:
    """What came 59 minutes ago is in it, what came 60 minutes ago is not."""
    totals = CounterTotals()
    totals.observe([], NOW)
    totals.observe([beat(1)], NOW)
    totals.observe([beat(3)], NOW + 60)
    assert totals.last_hour(NOW + HOUR_S - 61) == {NAME: 3}
    assert totals.last_hour(NOW + HOUR_S) == {NAME: 2}
    assert totals.last_hour(NOW + HOUR_S + 60) == {}
    totals.observe([beat(4)], NOW + 3 * HOUR_S)
    assert totals.last_hour(NOW + 3 * HOUR_S) == {NAME: 1}


def test_it_tells_since_when_it_watches() -> None:
    """An hour at most."""
    totals = CounterTotals()
    assert totals.watched_s(NOW) == 0
    totals.observe([], NOW)
    assert totals.watched_s(NOW + 90) == 90
    assert totals.watched_s(NOW + 2 * HOUR_S) == HOUR_S


@given(st.lists(st.tuples(st.sampled_from("cde"), st.integers(1, 3), st.integers(0, 9)), max_size=40))
def test_totals_are_the_sum_of_all_that_was_ever_counted(events: list[tuple[str, int, int]]) -> None:
    """A model with processes that count, die and begin anew agrees to the unit, and no total ever falls."""
    totals, living, sure = CounterTotals(), dict[int, int](), 0
    totals.observe([], NOW)
    for number, (kind, pid, count) in enumerate(events):
        before = total(totals)
        if kind == "d":
            living.pop(pid, None)
        elif kind == "e" and pid in living:  # ends and begins anew between two looks, with less on its counter
            again = min(count, max(0, living[pid] - 1))
            living[pid], sure = again, sure + again
        elif kind == "c":
            living[pid] = living.get(pid, 0) + count
            sure += count
        totals.observe([beat(value, pid) for pid, value in living.items()], NOW + number)
        assert total(totals) >= before
        assert total(totals) == sure
    assert totals.last_hour(NOW + len(events)).get(NAME, 0) == sure
