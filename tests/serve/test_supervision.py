"""When a child is started, killed and started again: the decisions, without a process."""

import os
from collections.abc import Sequence
from signal import Signals

from hypothesis import given
from hypothesis import strategies as st

from postroom.serve.supervision import (
    FIRST_PAUSE_S,
    LIVED_S,
    START_S,
    Action,
    AllReady,
    ChildLost,
    SendSignal,
    StartChild,
    Supervision,
)

WORDS = ("watcher", "milter", "submission")
WATCHDOG_S, DRAIN_S = 30.0, 60.0
TERM, KILL, HUP = Signals.SIGTERM, Signals.SIGKILL, Signals.SIGHUP


def serving(words: Sequence[str] = WORDS) -> Supervision:
    """All children serve."""
    supervision = Supervision(words, WATCHDOG_S, DRAIN_S, os.EX_CONFIG)
    assert supervision.begin(0.0) == [StartChild(word) for word in words]
    told = [supervision.said(word, ["READY=1", "STATUS=x"], 0.0) for word in words]
    assert told == [[]] * (len(words) - 1) + [[AllReady()]]
    return supervision


def restarted(supervision: Supervision, word: str, now: float) -> None:
    """A dead child's pause is over, and it serves again."""
    assert supervision.passed(now) == [StartChild(word)]
    assert supervision.said(word, ["READY=1"], now) == [AllReady()]


def test_a_child_that_dies_again_and_again_is_started_after_longer_pauses() -> None:
    """1 s, doubled each time, 30 s at most; however it died."""
    supervision, now, pauses = serving(["milter"]), 0.0, []
    for exit_code in (1, -9, 0, 70, -11, 1, 1, 1):
        (lost,) = supervision.died("milter", exit_code, now)
        assert isinstance(lost, ChildLost)
        assert lost.exit_code == exit_code
        pauses.append(lost.restart_in_s)
        assert supervision.passed(now + lost.restart_in_s - 0.01) == []
        now += lost.restart_in_s
        assert supervision.next_moment <= now
        restarted(supervision, "milter", now)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_a_child_that_lived_long_comes_back_at_once() -> None:
    """Its last deaths are forgotten."""
    supervision = serving(["milter"])
    assert supervision.died("milter", 1, 0.0) == [ChildLost("milter", 1, FIRST_PAUSE_S)]
    restarted(supervision, "milter", FIRST_PAUSE_S)
    assert supervision.died("milter", 1, 3.0) == [ChildLost("milter", 1, 2 * FIRST_PAUSE_S)]
    restarted(supervision, "milter", 5.0)
    assert supervision.died("milter", 1, 5.0 + LIVED_S) == [ChildLost("milter", 1, FIRST_PAUSE_S)]


def test_a_child_without_a_sign_of_life_is_killed_and_started_again() -> None:
    """Each WATCHDOG=1 gives it the whole time anew; the others are left alone."""
    supervision = serving()
    for word in WORDS:
        supervision.said(word, ["WATCHDOG=1"], 20.0)
    supervision.said("watcher", ["WATCHDOG=1"], 40.0)
    supervision.said("submission", ["WATCHDOG=1"], 40.0)
    assert supervision.passed(49.9) == []
    assert supervision.next_moment == 50.0
    assert supervision.passed(50.0) == [SendSignal("milter", KILL, "no sign of life for 30 s")]
    assert supervision.passed(60.0) == [], "it is killed once"
    assert supervision.died("milter", -9, 60.0) == [ChildLost("milter", -9, FIRST_PAUSE_S)]


def test_a_child_that_is_never_ready_is_killed() -> None:
    """It may have no watchdog yet, but not for ever."""
    supervision = Supervision(WORDS, WATCHDOG_S, DRAIN_S, os.EX_CONFIG)
    supervision.begin(0.0)
    assert supervision.passed(START_S - 1) == []
    assert supervision.passed(START_S) == [SendSignal(word, KILL, "not ready within 90 s") for word in WORDS]


def test_asked_to_end_they_end_one_after_the_other_the_last_first() -> None:
    """Each is asked when the one behind it has ended; then it is over."""
    supervision = serving()
    assert supervision.stop(1.0) == [SendSignal("submission", TERM)]
    assert supervision.said("submission", ["STOPPING=1"], 1.0) == []
    assert supervision.passed(20.0) == []
    assert supervision.died("submission", 0, 20.0) == [SendSignal("milter", TERM)]
    assert supervision.died("milter", 0, 21.0) == [SendSignal("watcher", TERM)]
    assert not supervision.has_ended
    assert supervision.died("watcher", 0, 22.0) == []
    assert supervision.has_ended
    assert supervision.refused is None


def test_all_of_them_together_have_so_long_to_end() -> None:
    """Then those that are left are killed, also those that were not asked yet."""
    supervision = serving()
    supervision.stop(0.0)
    for now in range(10, 60, 10):
        for word in WORDS:
            supervision.said(word, ["WATCHDOG=1"], float(now))
        assert supervision.passed(float(now)) == []
    assert supervision.next_moment == DRAIN_S
    assert supervision.passed(DRAIN_S) == [SendSignal(word, KILL, "not all ended within 60 s") for word in WORDS]
    for word in WORDS:
        assert supervision.died(word, -9, DRAIN_S) == []
    assert supervision.has_ended


def test_asked_a_second_time_they_are_killed() -> None:
    """Who asks twice does not want to wait."""
    supervision = serving()
    supervision.stop(0.0)
    assert supervision.stop(1.0) == [SendSignal(word, KILL, "asked a second time") for word in WORDS]
    assert supervision.stop(2.0) == []


def test_a_dead_child_is_not_started_when_all_are_to_end() -> None:
    """Whether it died before, or while the others end."""
    supervision = serving()
    supervision.died("submission", 1, 0.0)
    assert supervision.stop(0.5) == [SendSignal("milter", TERM)]
    assert supervision.died("watcher", 1, 0.6) == []
    assert supervision.passed(5.0) == []
    assert supervision.died("milter", 0, 6.0) == []
    assert supervision.has_ended


def test_a_child_that_cannot_start_as_it_is_configured_ends_all() -> None:
    """Exit 78 would only come again; whoever reads why finds its name."""
    supervision = serving()
    assert supervision.died("milter", 78, 1.0) == [SendSignal("submission", TERM)]
    assert supervision.died("submission", 0, 2.0) == [SendSignal("watcher", TERM)]
    assert supervision.died("watcher", 78, 3.0) == []
    assert supervision.has_ended
    assert supervision.refused == "milter"


def test_sighup_waits_for_a_child_that_is_starting() -> None:
    """Before it is ready the signal would end it; and it may have read the old files already."""
    supervision = serving()
    supervision.died("milter", 1, 0.0)
    supervision.passed(FIRST_PAUSE_S)
    assert supervision.hang_up() == [SendSignal("watcher", HUP), SendSignal("submission", HUP)]
    assert supervision.said("milter", ["READY=1"], 2.0) == [SendSignal("milter", HUP), AllReady()]
    assert supervision.said("milter", ["RELOADING=1", "READY=1"], 2.0) == []


def test_a_child_that_somebody_else_asked_to_end_may_drain_and_comes_back() -> None:
    """Its drain is no hanging; but it has its time too."""
    supervision = serving()
    supervision.said("submission", ["STOPPING=1"], 1.0)
    for word in WORDS[:2]:
        supervision.said(word, ["WATCHDOG=1"], 50.0)
    assert supervision.passed(60.9) == []
    assert supervision.passed(61.0) == [SendSignal("submission", KILL, "did not end within 60 s")]
    assert supervision.died("submission", 0, 61.5) == [ChildLost("submission", 0, FIRST_PAUSE_S)]


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["READY=1", "WATCHDOG=1", "STOPPING=1", "nonsense", "died", "stop", "hang up", "wait"]),
        st.sampled_from(WORDS),
        st.sampled_from([0, 1, -9, 78]),
        st.floats(0.0, 100.0),
    ),
    max_size=60,
)


@given(EVENTS)
def test_whatever_happens_no_child_runs_twice_and_the_end_comes(
    events: list[tuple[str, str, int, float]],
) -> None:
    """A child is started only when it is not running, never after the end began; and asked, all end."""
    supervision, now = Supervision(WORDS, WATCHDOG_S, DRAIN_S, os.EX_CONFIG), 0.0
    alive: set[str] = set()
    is_stopping = False

    def check(actions: list[Action]) -> None:
        for action in actions:
            match action:
                case StartChild(word):
                    assert word not in alive
                    assert not is_stopping
                    alive.add(word)
                case SendSignal(word):
                    assert word in alive
                case _:
                    pass

    check(supervision.begin(now))
    for event, word, exit_code, later_s in events:
        now += later_s
        match event:
            case "died" if word in alive:
                alive.discard(word)
                is_stopping |= exit_code == 78
                check(supervision.died(word, exit_code, now))
            case "stop":
                is_stopping = True
                check(supervision.stop(now))
            case "hang up":
                check(supervision.hang_up())
            case "died" | "wait":
                pass
            case _ if word in alive:
                check(supervision.said(word, [event], now))
        check(supervision.passed(now))
    is_stopping = True
    for _ in range(2):
        check(supervision.stop(now))
    for word in list(alive):
        alive.discard(word)
        check(supervision.died(word, -9, now))
    assert supervision.has_ended
