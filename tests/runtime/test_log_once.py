"""What is logged once: a trouble while it lasts, and each of several things."""

from postroom.runtime.log_once import LogOnce, LogOnceEach, LogRarely


def test_a_trouble_is_new_when_it_begins_when_it_changes_and_after_it_was_over() -> None:
    """Also when it changes back."""
    trouble = LogOnce()
    assert not trouble.clear(), "there was none"
    assert [trouble.is_new(text) for text in ("locked", "locked", "full", "locked")] == [True, False, True, True]
    assert trouble.clear()
    assert not trouble.clear()
    assert trouble.is_new("locked")


def test_a_trouble_without_a_text_is_one_until_it_is_over() -> None:
    """Whatever the error says each time."""
    trouble = LogOnce()
    assert [trouble.is_new(), trouble.is_new()] == [True, False]
    assert trouble.clear()
    assert trouble.is_new()


def test_each_thing_is_new_once_up_to_the_limit() -> None:
    """Those after it are never new, those before it stay known."""
    things = LogOnceEach(at_most=2)
    assert [things.is_new(thing) for thing in "abacba"] == [True, True, False, False, False, False]
    assert all(LogOnceEach().is_new(number) for number in range(1000))


def test_what_comes_again_and_again_is_logged_once_in_a_period() -> None:
    """Each thing for itself; of more things than there is room for none, until the first are old."""
    now = [100.0]
    rarely = LogRarely(10.0, 2, lambda: now[0])
    assert [rarely.is_new("a"), rarely.is_new("a"), rarely.is_new("b"), rarely.is_new("c")] == [
        True,
        False,
        True,
        False,
    ]
    now[0] += 9.9
    assert not rarely.is_new("a")
    now[0] += 0.1
    assert [rarely.is_new("a"), rarely.is_new("a"), rarely.is_new("c")] == [True, False, True]
