"""clock.py: time goes on, or stands still."""

from postroom.watcher.clock import ForwardClock


def test_a_clock_that_is_set_back_stands_still_and_says_so_once() -> None:
    """Until the wall clock has caught up; small corrections are no step."""
    wall = [1000.0]
    clock = ForwardClock(lambda: wall[0], 0.0)
    assert (clock.now(), clock.went_back()) == (1000.0, False)
    wall[0] = 999.95
    assert (clock.now(), clock.went_back()) == (1000.0, False)
    wall[0] = 400.0
    assert clock.now() == 1000.0
    assert clock.went_back()
    assert not clock.went_back()
    wall[0] = 1001.0
    assert (clock.now(), clock.went_back()) == (1001.0, False)


def test_a_clock_that_was_set_back_between_two_starts_says_so() -> None:
    """The last time an earlier process has seen counts."""
    clock = ForwardClock(lambda: 400.0, 1000.0)
    assert clock.went_back()
    assert clock.now() == 1000.0
