"""figures.py, chart.py: the last hour out of a real track.db, each delivery once and where it belongs."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.monitor.conftest import DAEMONS, NOW, make_snapshot
from tests.store.event_loop import Run
from tests.store.outbox.sample_messages import rows
from tests.watcher.log_lines import KEY, token

from postroom.mail.recipients import masked_recipient
from postroom.mail.states import State
from postroom.monitor import figures
from postroom.monitor.chart import HEIGHT, LEAST, ceiling, chart
from postroom.monitor.figures import Bar, FigureRow
from postroom.monitor.snapshot import SLOT_S, SLOTS, Unanswered
from postroom.postfix.queue import QUEUES, QueueCount
from postroom.store.errors import StoreUnavailable
from postroom.store.sqlite.file import open_file
from postroom.store.track.facts import DeliveryTried, Fact, GaveUp, SeenInQueue
from postroom.store.track.history import OutcomeCount
from postroom.store.track.reader import TrackReader
from postroom.store.track.schema import TRACK
from postroom.store.track.track_store import TrackStore

SINCE = NOW - SLOT_S * SLOTS


class Bed:
    """A track.db, written as the watcher writes it."""

    def __init__(self, path: Path, run: Run) -> None:
        self._run = run
        TrackStore.init(path)
        self.store = TrackStore.open(path)
        self._reader = TrackReader(path)
        self._number = 0

    def tried(self, state: State, status: str, at: float, queue_id: str | None = None) -> str:
        """A try of a mail of ours; of a new one unless `queue_id` names one. Returns its queue id."""
        self._number += 1
        mail = queue_id or f"A{self._number}"
        facts: list[Fact] = [] if queue_id else [SeenInQueue(token(self._number), mail, "postfix")]
        self.apply(*facts, DeliveryTried(mail, masked_recipient(KEY, "a@example.net"), None, state, status, "", "", at))
        return mail

    def apply(self, *facts: Fact) -> None:
        position = rows(self.path, "SELECT position FROM position")
        after = position[0][0] if position else None
        self._run(self.store.log.apply("log", after, str(int(after or 0) + 1), facts, NOW, proven=True))

    @property
    def path(self) -> Path:
        return self._reader._path

    def outcomes(self) -> list[OutcomeCount]:
        return self._run(self._reader.outcomes(SINCE, SLOT_S, SLOTS))


@pytest.fixture
def bed(tmp_path: Path, run: Run) -> Iterator[Bed]:
    bed = Bed(tmp_path / "watcher" / "track.db", run)
    yield bed
    run(bed.store.close())


def test_each_delivery_counts_once_in_its_present_state(bed: Bed) -> None:
    """Deferred twice and then delivered is one delivered, at the time of that."""
    mail = bed.tried(State.DEFERRED, "4.3.0", SINCE + 1)
    bed.tried(State.DEFERRED, "4.3.0", SINCE + SLOT_S, mail)
    assert bed.outcomes() == [OutcomeCount(1, State.DEFERRED, "4.3.0", 1)]
    bed.tried(State.DELIVERED, "2.0.0", SINCE + 2 * SLOT_S, mail)
    assert bed.outcomes() == [OutcomeCount(2, State.DELIVERED, "2.0.0", 1)]


def test_what_postfix_gave_up_is_expired(bed: Bed) -> None:
    """It counts with the bounces in the bars, for its sender gets one."""
    mail = bed.tried(State.DEFERRED, "4.4.1", SINCE)
    bed.apply(GaveUp(mail, SINCE + 10))
    assert bed.outcomes() == [OutcomeCount(0, State.EXPIRED, "4.4.1", 1)]
    assert figures.bars(bed.outcomes(), SINCE)[0].counts[State.BOUNCED] == 1
    assert FigureRow("expired", 1, "given up by Postfix") in figures.became(bed.outcomes())
    assert figures.bounces(bed.outcomes()) == []


def test_the_hour_has_sharp_edges(bed: Bed) -> None:
    """The first moment is in it, the one before and the one past its end are not."""
    for at in (SINCE - 0.001, SINCE, SINCE + SLOT_S - 0.001, NOW - 0.001, NOW):
        bed.tried(State.DELIVERED, "2.0.0", at)
    assert bed.outcomes() == [
        OutcomeCount(0, State.DELIVERED, "2.0.0", 2),
        OutcomeCount(11, State.DELIVERED, "2.0.0", 1),
    ]
    bars = figures.bars(bed.outcomes(), SINCE)
    assert [bar.counts[State.DELIVERED] for bar in bars] == [2, *[0] * 10, 1]
    assert [bar.began_at for bar in bars] == [SINCE + number * SLOT_S for number in range(SLOTS)]


def test_bounces_are_told_apart_by_what_they_concern(bed: Bed) -> None:
    """The most frequent first; a status that says nothing is `not stated`."""
    for status in ("5.1.1", "5.1.10", "5.7.26", "5.0.0", ""):
        bed.tried(State.BOUNCED, status, NOW - 60)
    bed.tried(State.DEFERRED, "4.2.2", NOW - 60)
    assert figures.bounces(bed.outcomes()) == [
        FigureRow("the address", 2, "5.1.x"),
        FigureRow("not stated", 2),
        FigureRow("policy or security", 1, "5.7.x"),
    ]


def test_mail_that_is_not_ours_is_in_no_figure(bed: Bed) -> None:
    """A try of a queue id nobody handed over is passed over, as the table says: mail of the API."""
    bed.apply(
        DeliveryTried("FFFF", masked_recipient(KEY, "a@example.net"), None, State.DELIVERED, "2.0.0", "", "", NOW - 5)
    )
    assert bed.outcomes() == []
    assert [row.number for row in figures.became(bed.outcomes())] == [0, 0, 0]


def test_the_figures_are_read_from_their_index_alone(bed: Bed) -> None:
    """With a month of deliveries the page must not read them all."""
    plan = rows(
        bed.path,
        "EXPLAIN QUERY PLAN SELECT CAST((changed_at - 1.0) / 300 AS INTEGER), state, enhanced_status, count(*)"
        " FROM delivery WHERE changed_at >= 1.0 AND changed_at < 2.0 GROUP BY 1, 2, 3",
    )
    assert any("COVERING INDEX delivery_changed_at" in row[-1] for row in plan), plan


def test_a_file_of_the_release_before_is_read_and_brought_up_to_date(tmp_path: Path, run: Run) -> None:
    """The monitor may be newer than the watcher that runs; the watcher's next start adds the index."""
    path = tmp_path / "track.db"
    path.touch()
    open_file(path, TRACK[:1], synchronous="NORMAL").close()
    assert run(TrackReader(path).outcomes(SINCE, SLOT_S, SLOTS)) == []
    run(TrackStore.open(path).close())
    assert rows(path, "SELECT 1 FROM sqlite_schema WHERE name = 'delivery_changed_at'") == [(1,)]


def test_a_host_without_a_watcher_says_so(tmp_path: Path, run: Run) -> None:
    """Not an hour without mail."""
    with pytest.raises(StoreUnavailable, match=r"track\.db"):
        run(TrackReader(tmp_path / "track.db").outcomes(SINCE, SLOT_S, SLOTS))
    (tmp_path / "track.db").write_bytes(b"no database at all, " * 100)
    with pytest.raises(StoreUnavailable, match="restore it from a backup"):
        run(TrackReader(tmp_path / "track.db").outcomes(SINCE, SLOT_S, SLOTS))


def test_a_writer_holds_no_reader_up(bed: Bed) -> None:
    """The watcher may be in the middle of a batch."""
    bed.tried(State.DELIVERED, "2.0.0", NOW - 5)
    with closing(apsw.Connection(str(bed.path))) as writer:
        writer.execute("BEGIN IMMEDIATE; DELETE FROM delivery")
        assert len(bed.outcomes()) == 1
        writer.execute("ROLLBACK")


# The tables made of beats


def numbers(table: Sequence[FigureRow]) -> dict[str, float | None]:
    return {row.name: row.number for row in table}


def test_the_tables_say_what_the_daemons_counted() -> None:
    """Each number is the growth of its counter; the door of the API counts messages as the others do."""
    grown = {
        "postroom_submission_accepted_total": 5.0,
        "postroom_submission_queued_total": 7.0,
        "postroom_submission_held_deferred_total": 2.0,
        "postroom_policy_messages_smtp_total": 11.0,
        "postroom_policy_refused_total": 3.0,
        "postroom_milter_signed_total": 13.0,
        "postroom_milter_unsigned_inbound_total": 1.0,
        "postroom_milter_unsigned_no_key_total": 1.0,
        "postroom_watcher_bounced_total": 4.0,
    }
    snapshot = make_snapshot(grown=grown)
    assert numbers(figures.came_in(snapshot)) == {"API": 5, "SMTP": 11, "sendmail": 0, "refused": 3}
    way = numbers(figures.on_the_way(snapshot))
    assert (way["handed over"], way["held by a limit"], way["signed"], way["not signed"]) == (7, 2, 13, 2)
    assert numbers(figures.tries(snapshot)) == {"delivered": 0, "relayed": 0, "deferred": 0, "bounced": 4}


def test_what_a_silent_daemon_would_know_is_not_shown_as_nothing() -> None:
    """None, which the page shows as a dash."""
    snapshot = make_snapshot(ages={word: [1.0] for word in DAEMONS if word != "policy"})
    assert numbers(figures.came_in(snapshot)) == {"API": 0, "SMTP": None, "sendmail": None, "refused": None}
    snapshot = make_snapshot(ages={}, queue=Unanswered("gone"))
    for table in (figures.came_in, figures.on_the_way, figures.tries, figures.waiting):
        assert set(numbers(table(snapshot)).values()) == {None}


def test_what_waits_is_shown_with_its_age() -> None:
    """Accepted and deferred deliveries of the outbox; Postfix's queue by its parts."""
    gauges = {
        "postroom_submission_deliveries_accepted": 2.0,
        "postroom_submission_deliveries_deferred": 3.0,
        "postroom_submission_deliveries_queued": 900.0,
        "postroom_submission_oldest_waiting_seconds": 300.0,
    }
    queue = QueueCount({**dict.fromkeys(QUEUES, 0), "active": 1, "deferred": 8}, int(NOW) - 7_200, is_whole=True)
    outbox, _, postfix = figures.waiting(make_snapshot(gauges=gauges, queue=queue))
    assert (outbox.number, outbox.note) == (5, "deliveries; the oldest for 5 min")
    assert (postfix.number, postfix.note) == (9, "1 active, 8 deferred, the oldest for 2 h")


# The bars


@given(st.lists(st.lists(st.integers(0, 10**6), min_size=3, max_size=3), min_size=1, max_size=12))
def test_bars_are_true_to_their_counts(counts: list[list[int]]) -> None:
    """Heights are in proportion from the ground up, nothing leaves the drawing by more than its least pieces."""
    states = tuple(figures.BARS)
    drawn = chart([Bar(0, dict(zip(states, of_bar, strict=True))) for of_bar in counts])
    assert len(drawn.pieces) == sum(count > 0 for of_bar in counts for count in of_bar)
    assert drawn.counts[0] >= max(map(sum, counts))
    pieces = iter(drawn.pieces)
    for number, of_bar in enumerate(counts):
        ground = float(HEIGHT)
        for state, count in zip(states, of_bar, strict=True):
            if count:
                piece = next(pieces)
                assert piece.state is state
                assert number * 100 <= piece.x <= piece.x + piece.width <= (number + 1) * 100
                assert piece.height == pytest.approx(max(LEAST, count / drawn.counts[0] * HEIGHT), abs=0.01)
                assert piece.y + piece.height == pytest.approx(ground, abs=0.03)
                ground = piece.y
        assert ground >= -3 * LEAST


@given(st.integers(0, 10**12))
def test_the_top_is_a_round_number_not_far_above(count: int) -> None:
    """Even, so that the middle line has a whole count; at most two thirds are left empty, from 4 on a half."""
    top = ceiling(count)
    assert top >= max(count, 4)
    assert top % 2 == 0
    assert top <= max(4, count * 1.6 + 1)
