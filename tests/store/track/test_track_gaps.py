"""track.db after a gap: whose end nobody told of, and who is alive all the same."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.store.event_loop import Run
from tests.store.outbox.sample_messages import rows
from tests.store.track.test_track_store import JANE, JOE, NOW, Bed, token, tried

from postroom.mail.states import State
from postroom.store.sqlite.file import open_file
from postroom.store.track.facts import GaveUp, LeftQueue, LogGap, SeenInQueue
from postroom.store.track.history import LogHistory
from postroom.store.track.schema import TRACK
from postroom.store.track.track_store import TrackStore


@pytest.fixture
def bed(tmp_path: Path, run: Run) -> Iterator[Bed]:
    path = tmp_path / "watcher" / "track.db"
    TrackStore.init(path)
    bed = Bed(path, run)
    yield bed
    run(bed.store.close())


def reconcile(bed: Bed, began_at: float, found: Mapping[str, str] | None = None, gaps: int = 0) -> int | None:
    return bed.run(bed.store.reconciliation.reconcile(began_at, gaps, found or {}, began_at + 2))


def states(bed: Bed, number: int) -> list[State]:
    return [fact.state for fact in bed.history(number)]


def test_what_has_left_the_queue_without_a_line_is_untracked(bed: Bed) -> None:
    """Deferred, or never tried as far as is known; what was delivered, and only its removal is missing, stays so."""
    bed.apply(SeenInQueue(token(1), "A1", "postfix"), tried("A1", State.DEFERRED))
    bed.apply(SeenInQueue(token(2), "A2", "postfix"))
    bed.apply(SeenInQueue(token(3), "A3", "postfix"), tried("A3", State.DELIVERED))
    assert reconcile(bed, NOW + 5) == 3
    assert [states(bed, number) for number in (1, 2, 3)] == [[State.UNTRACKED], [State.UNTRACKED], [State.DELIVERED]]
    (fact,) = bed.history(1)
    assert (fact.recipient, fact.enhanced_status, fact.attempts, fact.changed_at) == (JANE, "", 1, NOW + 7)
    assert fact.reason == "lines that are missing from Postfix's log hide its end"
    assert reconcile(bed, NOW + 9) == 0


def test_what_is_in_the_queue_goes_on(bed: Bed) -> None:
    """Also what only the queue knows; its next line counts as ever."""
    bed.apply(SeenInQueue(token(1), "A1", "postfix"), tried("A1", State.DEFERRED))
    assert reconcile(bed, NOW + 5, {token(1): "A1", token(2): "A2"}) == 0
    assert states(bed, 1) == [State.DEFERRED]
    bed.apply(tried("A1", State.DELIVERED), tried("A2", State.DELIVERED))
    assert [states(bed, number) for number in (1, 2)] == [[State.DELIVERED], [State.DELIVERED]]


def test_what_was_seen_since_the_question_is_left_alone(bed: Bed) -> None:
    """A mail that moved between two queues while Postfix answered was taken up again, which the log says."""
    bed.apply(SeenInQueue(token(1), "A1", "postfix"), now=NOW)
    bed.apply(SeenInQueue(token(1), "A1", "postfix"), SeenInQueue(token(2), "A2", "postfix"), now=NOW + 6)
    assert reconcile(bed, NOW + 5) == 0
    assert rows(bed.path, "SELECT count(*) FROM queue WHERE ended_at IS NULL") == [(2,)]


def test_a_gap_that_comes_while_the_queue_is_asked_leaves_all_as_it_is(bed: Bed, run: Run) -> None:
    """The log was not read past the answer then; the queue is asked again."""
    bed.apply(SeenInQueue(token(1), "A1", "postfix"))
    bed.apply(LogGap("a line is missing"))
    assert reconcile(bed, NOW + 5, gaps=0) is None
    assert run(bed.store.reconciliation.reconciled_gaps()) is None
    assert states(bed, 1) == []
    assert reconcile(bed, NOW + 5, gaps=1) == 1
    assert run(bed.store.reconciliation.reconciled_gaps()) == 1


def test_a_mail_that_goes_on_under_another_id_or_in_another_postfix_is_not_lost(bed: Bed) -> None:
    """Its last word is of where it went; the queue of another Postfix was not asked."""
    bed.apply(SeenInQueue(token(1), "A1", "postfix"), tried("A1", State.DEFERRED))
    bed.apply(SeenInQueue(token(1), "B1", "postfix"), tried("B1", State.DELIVERED), LeftQueue("B1", NOW))
    bed.apply(SeenInQueue(token(2), "A2", "postfix"), tried("A2", State.DELIVERED), LeftQueue("A2", NOW))
    bed.apply(SeenInQueue(token(2), "B2", "postfix-out"), tried("B2", State.DEFERRED))
    assert reconcile(bed, NOW + 5) == 0
    assert states(bed, 1) == [State.DEFERRED, State.DELIVERED]
    assert states(bed, 2) == [State.DELIVERED, State.DEFERRED]


@pytest.mark.parametrize(
    ("rest", "expected"),
    [(State.UNTRACKED, State.UNTRACKED), (State.DISCARDED, State.DISCARDED), (None, State.DEFERRED)],
)
def test_a_mail_that_is_removed_before_its_end_was_told(bed: Bed, rest: State | None, expected: State) -> None:
    """The line of its delivery is missing, or an operator deleted it, or it was requeued."""
    bed.apply(SeenInQueue(token(1), "A1", "postfix"), tried("A1", State.DEFERRED), LeftQueue("A1", NOW + 1, rest))
    assert states(bed, 1) == [expected]
    bed.apply(SeenInQueue(token(2), "A2", "postfix"), LeftQueue("A2", NOW + 1, rest))
    assert states(bed, 2) == ([] if rest is None else [expected])


def test_recipients_that_no_line_names_are_told_of_as_one_without_a_name(bed: Bed) -> None:
    """An alias for three: one delivered, one given up, one never heard of."""
    bed.apply(SeenInQueue(token(1), "A1", "postfix", 3), tried("A1", State.DELIVERED), tried("A1", State.DEFERRED, JOE))
    bed.apply(GaveUp("A1", NOW), SeenInQueue(token(1), "A1", "postfix", 1), LeftQueue("A1", NOW + 1))
    states = {fact.recipient.hint: fact.state for fact in bed.history(1)}
    assert states == {JANE.hint: State.DELIVERED, JOE.hint: State.EXPIRED, "": State.UNTRACKED}


def test_the_history_says_what_the_log_has_named_and_since_when_the_queue_was_asked(bed: Bed, run: Run) -> None:
    """So that others know what is hidden altogether."""
    bed.apply(SeenInQueue(token(1), "A1", "postfix"))
    before = run(bed.reader.history([token(1), token(2)]))
    assert before == LogHistory({}, frozenset({token(1)}), 0.0)
    reconcile(bed, NOW + 5, {token(1): "A1"})
    assert NOW + 4 < run(bed.reader.history([token(2)])).reconciled_at < NOW + 5


def test_a_mail_that_is_taken_up_again_had_not_left(bed: Bed) -> None:
    """Whatever ended it, Postfix's own word of it counts from then on: it is one mail with one history."""
    bed.apply(SeenInQueue(token(1), "A1", "postfix"), tried("A1", State.DEFERRED))
    bed.apply(tried("A1", State.BOUNCED), LeftQueue("A1", NOW))
    bed.apply(SeenInQueue(token(1), "A1", "postfix"), tried("A1", State.DEFERRED))
    assert states(bed, 1) == [State.DEFERRED]
    bed.apply(SeenInQueue(token(2), "A2", "postfix"), LeftQueue("A2", NOW), SeenInQueue(token(2), "A2", "postfix"))
    assert states(bed, 2) == []


def test_a_file_of_before_is_brought_up_to_date(tmp_path: Path, run: Run) -> None:
    """`postroom store init` keeps what stands in it; a mail of then is reconciled as one of now."""
    path = tmp_path / "track.db"
    path.touch()
    old = open_file(path, TRACK[:2], synchronous="NORMAL")
    old.execute("INSERT INTO queue (queue_id, token, seen_at) VALUES (?, ?, ?)", ("A1", token(1), NOW))
    old.close()
    assert not TrackStore.init(path)
    bed = Bed(path, run)
    assert reconcile(bed, NOW + 5) == 1
    assert states(bed, 1) == [State.UNTRACKED]
    run(bed.store.close())
