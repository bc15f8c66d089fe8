"""What every engine of the shared store promises of mail that waits for a limit, or is held for one."""

from tests.store.event_loop import Run

from postroom.store.limits.interface import HELD_KEPT_S, WAIT_KEPT_S, Demand, HeldMail, Passage, WaitingCount
from postroom.store.shared_store import SharedStore

NOW = 1_800_000_000.0
KEY, OTHER = "uid:33", "uid:34"


def wait(store: SharedStore, run: Run, instance: str, key: str = KEY, at_most: int = 10, now: float = NOW) -> int:
    return run(store.waiting.wait(instance, "sendmail", "per-uid", key, "33", at_most, now))


def hold(store: SharedStore, run: Run, instance: str, queue_id: str, now: float = NOW) -> None:
    wait(store, run, instance, now=now)
    run(store.waiting.hold(instance, "sendmail", queue_id, now))


def test_those_who_wait_are_counted_by_key(shared_store: SharedStore, run: Run) -> None:
    """The others, not oneself, however often one asks; past `at_most` nobody looks."""
    assert [wait(shared_store, run, instance) for instance in ("a", "b", "b", "c", "a")] == [0, 1, 1, 2, 2]
    assert wait(shared_store, run, "d", OTHER) == 0
    assert wait(shared_store, run, "a", at_most=1) == 1


def test_who_passes_waits_no_more(shared_store: SharedStore, run: Run) -> None:
    """An allowed take is the end of the wait; a refused one is not."""
    wait(shared_store, run, "a")
    wait(shared_store, run, "b")
    run(shared_store.takes.take("a", "sendmail", [Demand("per-uid", KEY, 2, 1, 60)], now=NOW))
    assert run(shared_store.waiting.counts(NOW)) == [WaitingCount(KEY, "per-uid", 2, 0, NOW)]
    run(shared_store.takes.take("a", "sendmail", [Demand("per-uid", KEY, 1, 1, 60)], now=NOW))
    assert run(shared_store.waiting.counts(NOW)) == [WaitingCount(KEY, "per-uid", 1, 0, NOW)]


def test_what_is_held_does_not_wait(shared_store: SharedStore, run: Run) -> None:
    """It is listed by queue id until it is released, by key or all; the oldest first."""
    hold(shared_store, run, "a", "4Xa")
    hold(shared_store, run, "b", "4Xb", NOW + 1)
    wait(shared_store, run, "c", OTHER, now=NOW + 2)
    run(shared_store.waiting.hold("c", "sendmail", "4Xc", NOW + 2))
    assert wait(shared_store, run, "d") == 0
    assert run(shared_store.waiting.held(KEY)) == [
        HeldMail("4Xa", KEY, "per-uid", NOW),
        HeldMail("4Xb", KEY, "per-uid", NOW + 1),
    ]
    assert [mail.queue_id for mail in run(shared_store.waiting.held(None))] == ["4Xa", "4Xb", "4Xc"]
    assert run(shared_store.waiting.counts(NOW)) == [
        WaitingCount(KEY, "per-uid", 1, 2, NOW),
        WaitingCount(OTHER, "per-uid", 0, 1, NOW + 2),
    ]
    assert run(shared_store.waiting.released(["4Xa", "4Xc", "none"])) == 2
    assert [mail.queue_id for mail in run(shared_store.waiting.held(None))] == ["4Xb"]


def test_a_mail_held_again_has_its_last_queue_id(shared_store: SharedStore, run: Run) -> None:
    """The one before came to nothing: Postfix never had it, or requeued it."""
    hold(shared_store, run, "a", "4X1")
    hold(shared_store, run, "a", "4X2")
    assert [mail.queue_id for mail in run(shared_store.waiting.held(KEY))] == ["4X2"]


def test_a_queue_id_tells_how_its_mail_passed(shared_store: SharedStore, run: Run) -> None:
    """Taken, held, or unknown; of a mail that came again after a lost answer the last queue id counts."""
    hold(shared_store, run, "a", "4Xa")
    demand = Demand("per-uid", KEY, 1, 5, 60)
    run(shared_store.takes.take("b", "smtp", [demand], "4Xb", NOW))
    run(shared_store.takes.take("c", "sendmail", [demand], "4X1", NOW))
    run(shared_store.takes.take("c", "sendmail", [demand], "4X2", NOW))
    passages = [run(shared_store.waiting.passage(queue_id)) for queue_id in ("4Xa", "4Xb", "4X1", "4X2", "4Xc")]
    assert passages == [Passage("held", "a", "33"), Passage("taken"), None, Passage("taken"), None]


def test_who_comes_no_more_is_forgotten(shared_store: SharedStore, run: Run) -> None:
    """Waiting mail when Postfix has not brought it for hours, held mail after months; not before."""
    wait(shared_store, run, "a")
    hold(shared_store, run, "b", "4Xb")
    later = NOW + WAIT_KEPT_S
    assert run(shared_store.waiting.counts(later)) == [WaitingCount(KEY, "per-uid", 0, 1, NOW)]
    assert wait(shared_store, run, "c", now=later) == 0
    run(shared_store.sweep(later))
    assert [mail.queue_id for mail in run(shared_store.waiting.held(None))] == ["4Xb"]
    run(shared_store.sweep(NOW + HELD_KEPT_S))
    assert run(shared_store.waiting.held(None)) == []
