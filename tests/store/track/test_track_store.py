"""track.db: each batch once, what belongs to no mail of ours passed over, and what the witness may say."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.store.event_loop import Run
from tests.store.outbox.sample_messages import rows

import postroom
from postroom.mail.recipients import MaskedRecipient, masked_recipient
from postroom.mail.states import State
from postroom.mail.tokens import NAME_OCTETS, mint
from postroom.store.errors import StoreUnavailable
from postroom.store.sqlite.file import open_file
from postroom.store.track.evidence import Bounce, RecipientFault
from postroom.store.track.facts import (
    DeliveryTried,
    Fact,
    GaveUp,
    InstanceStarted,
    InstanceStopping,
    LeftQueue,
    LogGap,
    SeenInQueue,
    SessionEnded,
    SessionOpened,
)
from postroom.store.track.history import NO_HISTORY, LoggedDelivery
from postroom.store.track.log import PositionMoved
from postroom.store.track.reader import TrackReader
from postroom.store.track.schema import TRACK
from postroom.store.track.track_store import SESSION_KEPT_S, TrackStore
from postroom.store.track.witness import Absent, Queued, Unproven

SOURCES = Path(postroom.__file__).parent.parent
KEY = b"k" * 32
NOW = 1_800_000_000.0
DAY = 86_400.0
UNKNOWN = RecipientFault("invalid_recipient", "now", "recipient.unknown", 1)
FULL = RecipientFault("mailbox_full", "after", "mailbox.full", 2)
JANE = masked_recipient(KEY, "jane@example.net")
JOE = masked_recipient(KEY, "joe@example.com")


def token(number: int) -> str:
    return mint(KEY, number.to_bytes(NAME_OCTETS, "big"), NOW)


def sender(number: int) -> str:
    return f"{token(number)}@bounces.example.org"


def tried(
    queue_id: str,
    state: State,
    recipient: MaskedRecipient = JANE,
    at: float = NOW,
    fault: RecipientFault | None = None,
    original: str | None = None,
) -> DeliveryTried:
    return DeliveryTried(queue_id, recipient, original, state, "2.0.0", f"reply at {at:g}", "mx:25", at, fault)


class Bed:
    """A store with a source whose positions are numbers."""

    def __init__(self, path: Path, run: Run) -> None:
        self.path = path
        self.run = run
        self.store = TrackStore.open(path)
        self.reader = TrackReader(path)
        self._position: int | None = None

    def apply(self, *facts: Fact, now: float = NOW, proven: bool = True) -> list[Bounce]:
        """The next batch."""
        after = None if self._position is None else str(self._position)
        self._position = (self._position or 0) + 1
        return self.run(self.store.log.apply("log", after, str(self._position), facts, now, proven=proven))

    def history(self, number: int) -> list[LoggedDelivery]:
        return list(self.run(self.reader.history([token(number)])).facts.get(token(number), ()))

    def witness(self, number: int, started_at: float, ended_at: float) -> Queued | Absent | Unproven:
        return self.run(self.reader.witness(sender(number), started_at, ended_at))

    def checkpoint(
        self, began_at: float, open_since: float = 0.0, found: Mapping[str, str] | None = None
    ) -> float | None:
        return self.run(
            self.store.witness.add_checkpoint(began_at, began_at + 1, open_since, found or {}, began_at + 2)
        )

    def cover(self, since: float) -> None:
        _, gaps = self.run(self.store.witness.coverage())
        assert self.run(self.store.witness.set_covered(since, gaps))


@pytest.fixture
def track_db(tmp_path: Path) -> Path:
    path = tmp_path / "watcher" / "track.db"
    assert TrackStore.init(path)
    return path


@pytest.fixture
def bed(track_db: Path, run: Run) -> Iterator[Bed]:
    bed = Bed(track_db, run)
    yield bed
    run(bed.store.close())


# Batches


def test_a_batch_counts_once(bed: Bed, run: Run) -> None:
    """Given again it changes nothing; one that begins elsewhere is refused whole."""
    bed.apply(SeenInQueue(token(1), "A1B2C3", "postfix"))
    facts: list[Fact] = [tried("A1B2C3", State.DEFERRED), SessionOpened(5)]
    for _ in range(3):
        run(bed.store.log.apply("log", "1", "2", facts, NOW, proven=True))
    assert [fact.attempts for fact in bed.history(1)] == [1]
    with pytest.raises(PositionMoved):
        run(bed.store.log.apply("log", "1", "3", facts, NOW, proven=True))
    with pytest.raises(PositionMoved):
        run(bed.store.log.apply("log", None, "3", facts, NOW, proven=True))
    assert [fact.attempts for fact in bed.history(1)] == [1]
    assert run(bed.store.log.position("log")) == "2"
    assert run(bed.store.log.position("journal")) is None


def test_what_is_applied_is_there_after_a_restart(bed: Bed, track_db: Path, run: Run) -> None:
    """Position and facts alike; and only one process may have the file open."""
    bed.apply(SeenInQueue(token(1), "A1B2C3", "postfix"), tried("A1B2C3", State.DELIVERED))
    with pytest.raises(StoreUnavailable, match="stop the other postroom-watcher first"):
        TrackStore.open(track_db)
    run(bed.store.close())
    bed.store = TrackStore.open(track_db)
    assert run(bed.store.log.position("log")) == "1"
    assert [fact.state for fact in bed.history(1)] == [State.DELIVERED]


# Deliveries


def test_the_history_of_a_delivery_is_its_last_word(bed: Bed) -> None:
    """Deferred twice, then delivered: three tries, the last reply, its time."""
    bed.apply(SeenInQueue(token(1), "A1B2C3", "postfix"))
    bed.apply(*(tried("A1B2C3", State.DEFERRED, at=NOW + number) for number in range(2)))
    bed.apply(tried("A1B2C3", State.DELIVERED, at=NOW + 9, original="before"), LeftQueue("A1B2C3", NOW + 9))
    assert bed.history(1) == [
        LoggedDelivery("A1B2C3", JANE, "before", State.DELIVERED, "2.0.0", f"reply at {NOW + 9:g}", "mx:25", 3, NOW + 9)
    ]
    assert bed.history(2) == []


def test_two_recipients_of_one_mail_are_apart(bed: Bed) -> None:
    """One bounces, the other is delivered."""
    bed.apply(
        SeenInQueue(token(1), "A1B2C3", "postfix"),
        tried("A1B2C3", State.BOUNCED),
        tried("A1B2C3", State.DELIVERED, JOE),
    )
    assert {fact.recipient: fact.state for fact in bed.history(1)} == {JANE: State.BOUNCED, JOE: State.DELIVERED}


def test_mail_that_is_not_ours_leaves_nothing(bed: Bed, track_db: Path) -> None:
    """Its queue id was never seen with a token."""
    assert (
        bed.apply(tried("A1B2C3", State.BOUNCED, fault=UNKNOWN), GaveUp("A1B2C3", NOW), LeftQueue("A1B2C3", NOW)) == []
    )
    for table in ("queue", "delivery", "share"):
        assert rows(track_db, f"SELECT * FROM {table}") == []


def test_a_queue_id_that_is_used_again_is_another_mail(bed: Bed) -> None:
    """Short ids are: a life ends with "removed", or, if that was lost, when the next one begins."""
    bed.apply(SeenInQueue(token(1), "A1B2C3", "postfix"), tried("A1B2C3", State.DELIVERED), LeftQueue("A1B2C3", NOW))
    bed.apply(tried("A1B2C3", State.BOUNCED))
    bed.apply(SeenInQueue(token(2), "A1B2C3", "postfix"), tried("A1B2C3", State.DEFERRED))
    bed.apply(SeenInQueue(token(3), "A1B2C3", "postfix"), tried("A1B2C3", State.BOUNCED))
    assert [bed.history(number)[0].state for number in (1, 2, 3)] == [State.DELIVERED, State.UNTRACKED, State.BOUNCED]
    assert [bed.history(number)[0].attempts for number in (1, 2, 3)] == [1, 1, 1]


def test_a_mail_under_two_queue_ids_has_both(bed: Bed) -> None:
    """Requeued, it goes on under a new id, which stands last."""
    bed.apply(
        SeenInQueue(token(1), "A1B2C3", "postfix"), tried("A1B2C3", State.DEFERRED), LeftQueue("A1B2C3", NOW, None)
    )
    bed.apply(SeenInQueue(token(1), "D4E5F6", "postfix"), tried("D4E5F6", State.DELIVERED))
    assert [(fact.queue_id, fact.state) for fact in bed.history(1)] == [
        ("A1B2C3", State.DEFERRED),
        ("D4E5F6", State.DELIVERED),
    ]


def test_when_postfix_gives_up_those_that_waited_have_expired(bed: Bed) -> None:
    """With their last reply; one that was delivered before stays so."""
    bed.apply(
        SeenInQueue(token(1), "A1B2C3", "postfix"),
        tried("A1B2C3", State.DEFERRED),
        tried("A1B2C3", State.DELIVERED, JOE),
    )
    bed.apply(GaveUp("A1B2C3", NOW + 5))
    ends = {fact.recipient: (fact.state, fact.changed_at) for fact in bed.history(1)}
    assert ends == {JANE: (State.EXPIRED, NOW + 5), JOE: (State.DELIVERED, NOW)}
    assert bed.history(1)[0].reason == f"reply at {NOW:g}"


# Suppression


def test_a_fault_of_the_recipient_waits_to_be_shared_once(bed: Bed, run: Run) -> None:
    """With all that the list needs; what the source cannot prove waits apart."""
    bounced = bed.apply(
        SeenInQueue(token(1), "A1B2C3", "postfix"),
        tried("A1B2C3", State.BOUNCED, fault=UNKNOWN),
        tried("A1B2C3", State.BOUNCED, JOE),
    )
    assert bounced == [Bounce("A1B2C3", JANE, "2.0.0", "invalid_recipient"), Bounce("A1B2C3", JOE, "2.0.0", None)]
    bed.apply(
        SeenInQueue(token(2), "D4E5F6", "postfix"), tried("D4E5F6", State.BOUNCED, JOE, fault=UNKNOWN), proven=False
    )
    (fact,) = run(bed.store.sharing.waiting(9))
    assert (fact.recipient, fact.cause, fact.token, fact.queue_id) == (JANE, "invalid_recipient", token(1), "A1B2C3")
    assert (fact.at, fact.proof, fact.rule, fact.rule_version) == (NOW, "now", "recipient.unknown", 1)
    run(bed.store.sharing.mark_shared([fact.number], NOW))
    assert run(bed.store.sharing.waiting(9)) == []
    (unproven,) = run(bed.reader.unproven(0, 9))
    assert (unproven.recipient, unproven.token) == (JOE, token(2))
    assert run(bed.reader.unproven(unproven.number, 9)) == []
    assert run(bed.reader.unproven(unproven.number + 1, 9)) == [unproven], "a number of another file"


def test_a_delivery_waits_to_be_shared_and_is_gone_then(bed: Bed, track_db: Path, run: Run) -> None:
    """It speaks for its recipient; what a relayhost took, or was put off, says nothing."""
    bed.apply(
        SeenInQueue(token(1), "A1B2C3", "postfix"),
        tried("A1B2C3", State.DEFERRED),
        tried("A1B2C3", State.RELAYED, JOE),
        tried("A1B2C3", State.DELIVERED),
    )
    (fact,) = run(bed.store.sharing.waiting(9))
    assert (fact.recipient, fact.cause, fact.evidence, fact.at) == (JANE, "", "", NOW)
    run(bed.store.sharing.mark_shared([fact.number], NOW))
    assert rows(track_db, "SELECT * FROM share") == []


def test_what_put_mail_off_counts_when_postfix_gives_up(bed: Bed, run: Run) -> None:
    """The last reason, once, for those that are left: a server says "mailbox full" for days, then the mail expires."""
    bed.apply(
        SeenInQueue(token(1), "A1B2C3", "postfix"),
        tried("A1B2C3", State.DEFERRED, fault=FULL),
        tried("A1B2C3", State.DEFERRED, JOE, fault=FULL),
        tried("A1B2C3", State.DEFERRED, JOE),
    )
    assert run(bed.store.sharing.waiting(9)) == []
    bed.apply(GaveUp("A1B2C3", NOW + 9), GaveUp("A1B2C3", NOW + 9))
    (fact,) = run(bed.store.sharing.waiting(9))
    assert (fact.recipient, fact.cause, fact.at, fact.evidence) == (JANE, "mailbox_full", NOW + 9, f"reply at {NOW:g}")
    assert (fact.proof, fact.rule, fact.rule_version) == ("after", "mailbox.full", 2)


def test_an_unproven_delivery_is_forgotten_soon(bed: Bed, track_db: Path, run: Run) -> None:
    """Submission had a day to look into it; a fault waits as long as its mail is kept."""
    bed.apply(
        SeenInQueue(token(1), "A1B2C3", "postfix"),
        tried("A1B2C3", State.DELIVERED),
        tried("A1B2C3", State.BOUNCED, JOE, fault=UNKNOWN),
        proven=False,
    )
    run(bed.store.sweep(NOW - DAY, NOW + DAY, 9))
    assert rows(track_db, "SELECT count(*) FROM share") == [(2,)]
    run(bed.store.sweep(NOW - DAY, NOW + DAY + 1, 9))
    assert rows(track_db, "SELECT cause FROM share") == [("invalid_recipient",)]


def test_a_file_of_before_rules_were_kept_is_brought_up_to_date(tmp_path: Path, run: Run) -> None:
    """What waits to be shared goes on: it was proof at once; what is put off now can still be given up."""
    path = tmp_path / "track.db"
    path.touch()
    connection = open_file(path, TRACK[:2], synchronous="NORMAL")
    connection.execute(
        "INSERT INTO share VALUES (7, 'x', 't', 'A1', 'h', 'example.net', 'j…@example.net', 'invalid_recipient',"
        " '5.1.1', 'no', 'journal', 1.0, 2.0, 1, NULL); INSERT INTO queue VALUES (1, 'A1B2C3', 't', 1.0, NULL);"
        "INSERT INTO delivery VALUES (1, 'h', 'd', 'i', NULL, 'deferred', '4.2.2', 'full', 'mx', 1, 1.0)"
    )
    connection.close()
    TrackStore.init(path)
    bed = Bed(path, run)
    (fact,) = run(bed.store.sharing.waiting(9))
    assert (fact.number, fact.id, fact.recipient.hint, fact.at) == (7, "x", "j…@example.net", 1.0)
    assert (fact.proof, fact.rule, fact.rule_version) == ("now", "", 0)
    bed.apply(GaveUp("A1B2C3", NOW))
    assert len(run(bed.store.sharing.waiting(9))) == 1
    run(bed.store.close())


# The witness


def test_what_was_seen_was_queued(bed: Bed) -> None:
    """By qmgr's word, or by the queue itself; whenever."""
    bed.apply(SeenInQueue(token(1), "A1B2C3", "postfix"))
    bed.cover(NOW)
    bed.checkpoint(NOW + 10, found={token(2): "D4E5F6"})
    assert bed.witness(1, NOW + 100, NOW + 101) == Queued("A1B2C3")
    assert bed.witness(2, NOW + 1, NOW + 2) == Queued("D4E5F6")


def test_what_was_looked_for_and_not_seen_was_not_queued(bed: Bed) -> None:
    """Of an attempt that began after the log was whole, and ended before the look began."""
    bed.cover(NOW)
    assert bed.witness(1, NOW + 5, NOW + 6) == Unproven(
        "the watcher has not looked since, or a session with Postfix has not ended", is_final=False
    )
    assert bed.checkpoint(NOW + 10) == NOW
    assert bed.witness(1, NOW + 5, NOW + 6) == Absent()
    assert isinstance(bed.witness(1, NOW + 5, NOW + 10), Unproven), "it may have been queued after the look"
    assert isinstance(bed.witness(1, NOW + 0.1, NOW + 6), Unproven), "clocks differ by a little"


def test_without_the_whole_log_nothing_is_shown_absent(bed: Bed) -> None:
    """Before it was covered, and after a gap; what was shown before stays shown."""
    assert bed.checkpoint(NOW + 10) is None
    assert bed.witness(1, NOW + 5, NOW + 6) == Unproven(
        "the watcher has not seen yet that Postfix's log reaches it", is_final=False
    )
    bed.cover(NOW)
    bed.checkpoint(NOW + 10)
    bed.apply(LogGap("a line is missing"))
    assert bed.witness(1, NOW + 5, NOW + 6) == Absent()
    bed.cover(NOW + 30)
    bed.checkpoint(NOW + 40)
    assert bed.witness(2, NOW + 20, NOW + 21) == Unproven(
        "the watcher has only part of the log of that time", is_final=True
    )
    assert bed.witness(3, NOW + 35, NOW + 36) == Absent()


def test_a_gap_behind_which_nothing_was_written_yet_is_not_forgotten(bed: Bed, run: Run) -> None:
    """The position stays where it was (a journal that was emptied), and the log is no longer whole all the same."""
    bed.apply()
    bed.cover(NOW)
    bed.checkpoint(NOW + 10)
    run(bed.store.log.apply("log", "1", "1", [LogGap("the journal was emptied")], NOW + 20, proven=True))
    assert run(bed.store.witness.coverage())[0] is None
    assert bed.checkpoint(NOW + 30) is None


def test_a_gap_that_comes_while_the_log_is_probed_is_not_forgotten(bed: Bed, run: Run) -> None:
    """The probe was of before."""
    _, gaps = run(bed.store.witness.coverage())
    bed.apply(LogGap("a line is missing"))
    assert not run(bed.store.witness.set_covered(NOW, gaps))
    assert run(bed.store.witness.coverage()) == (None, gaps + 1)


def test_a_session_that_has_not_ended_leaves_its_attempts_unknown(bed: Bed, run: Run) -> None:
    """Those that may have been made in it: they began no later than it. Later ones cannot have been."""
    bed.cover(NOW)
    bed.apply(SessionOpened(5), now=NOW + 20)
    assert run(bed.store.witness.open_sessions()) == {5: NOW + 20}
    bed.checkpoint(NOW + 40, open_since=NOW + 20)
    assert isinstance(bed.witness(1, NOW + 19, NOW + 25), Unproven)
    assert bed.witness(2, NOW + 22, NOW + 25) == Absent()
    bed.apply(SessionEnded(5), now=NOW + 50)
    bed.checkpoint(NOW + 60)
    assert bed.witness(1, NOW + 19, NOW + 25) == Absent()


def test_sessions_end_in_one_of_three_ways(bed: Bed, run: Run) -> None:
    """Their end is logged; their process has another one; their Postfix was stopped in order and runs anew."""
    bed.apply(SeenInQueue(token(1), "A1B2C3", "postfix"), SessionOpened(1), SessionOpened(2), SessionOpened(3))
    bed.apply(SessionEnded(1), SessionEnded(9), SessionOpened(2), now=NOW + 5)
    assert run(bed.store.witness.open_sessions()) == {2: NOW + 5, 3: NOW}
    bed.apply(InstanceStarted("postfix"))
    assert len(run(bed.store.witness.open_sessions())) == 2, "it was not stopped in order: its processes may live on"
    bed.apply(InstanceStopping("postfix-out"), InstanceStarted("postfix-out"))
    assert len(run(bed.store.witness.open_sessions())) == 2, "that is another Postfix"
    bed.apply(InstanceStopping("postfix"), SessionOpened(4), InstanceStarted("postfix"), SessionOpened(5), now=NOW + 9)
    assert run(bed.store.witness.open_sessions()) == {5: NOW + 9}
    bed.apply(InstanceStarted("postfix"))
    assert run(bed.store.witness.open_sessions()) == {5: NOW + 9}, "that was another start"


def test_a_session_that_is_forgotten_leaves_its_attempts_unknown_for_ever(bed: Bed, run: Run) -> None:
    """Forgetting is no end."""
    bed.cover(NOW)
    bed.apply(SessionOpened(5), now=NOW + 20)
    run(bed.store.sweep(NOW, NOW + 20 + SESSION_KEPT_S + 1, 100))
    assert run(bed.store.witness.open_sessions()) == {}
    bed.checkpoint(NOW + 90_000)
    assert isinstance(bed.witness(1, NOW + 19, NOW + 25), Unproven)
    assert isinstance(bed.witness(2, NOW + 22, NOW + 25), Absent)


def test_another_boot_or_source_or_a_clock_set_back_is_a_gap(bed: Bed, run: Run) -> None:
    """What was shown before with other times means nothing any more; what was seen stays seen."""
    assert run(bed.store.log.begin("log", "boot1")) == (False, 0.0)
    bed.apply(SeenInQueue(token(9), "A1B2C3", "postfix"), SessionOpened(5), now=NOW + 3)
    for number, changed in enumerate((("log", "boot2"), ("journal", "boot2"), None)):
        bed.cover(NOW)
        bed.checkpoint(NOW + 10)
        assert isinstance(bed.witness(number, NOW + 5, NOW + 6), Absent)
        if changed is None:
            run(bed.store.witness.clock_went_back())
        else:
            assert run(bed.store.log.begin(*changed)) == (True, NOW + 3)
            assert run(bed.store.witness.open_sessions()) == {}
        assert isinstance(bed.witness(number, NOW + 5, NOW + 6), Unproven)
    assert run(bed.store.log.begin("journal", "boot2"))[0] is False
    assert bed.witness(9, NOW + 5, NOW + 6) == Queued("A1B2C3")


# The file


@pytest.mark.process
def test_a_member_of_the_group_reads_it_whether_a_watcher_runs_or_not(bed: Bed, track_db: Path, run: Run) -> None:
    """0640 in a folder 2750, with what SQLite puts beside it; and nobody else writes it."""
    bed.apply(SeenInQueue(token(1), "A1B2C3", "postfix"))
    assert stat.S_IMODE(track_db.parent.stat().st_mode) == 0o2750
    assert {stat.S_IMODE(path.stat().st_mode) for path in track_db.parent.glob("track.db*")} == {0o640}
    if os.geteuid() != 0:
        return
    for path in (track_db.parent, *track_db.parent.iterdir()):
        os.chown(path, -1, 60_000)
    for folder in track_db.parents:
        if folder.stat().st_uid == 0 and folder != track_db.parent and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    script = (
        "import asyncio, os; from pathlib import Path; from postroom.store.track.reader import TrackReader\n"
        "os.setgroups([60_000]); os.setresgid(*[60_001] * 3); os.setresuid(*[60_001] * 3)\n"
        f"print(asyncio.run(TrackReader(Path({str(track_db)!r})).witness({sender(1)!r}, 0, 0)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    for closing in (False, True):
        if closing:
            run(bed.store.close())
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
        )
        assert done.stdout == "Queued(queue_id='A1B2C3')\n", done.stderr
    bed.store = TrackStore.open(track_db)


def test_a_host_without_a_watcher_says_so(tmp_path: Path, run: Run) -> None:
    """There is no file; nothing is asked of an empty list."""
    reader = TrackReader(tmp_path / "track.db")
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        run(reader.witness(sender(1), NOW, NOW))
    assert run(reader.history([])) == NO_HISTORY


def test_old_mail_is_swept_in_steps(bed: Bed, track_db: Path, run: Run) -> None:
    """What has left Postfix and is old goes with its deliveries; what is still there, or not shared, stays."""
    for number in range(5):
        bed.apply(
            SeenInQueue(token(number), f"A{number}B2C3", "postfix"),
            tried(f"A{number}B2C3", State.BOUNCED, fault=UNKNOWN),
        )
        if number:
            bed.apply(LeftQueue(f"A{number}B2C3", NOW))
    bed.cover(NOW)
    bed.checkpoint(NOW + 1)
    assert run(bed.store.sweep(NOW + 100, NOW + 100, 3)) == 3
    assert run(bed.store.sweep(NOW + 100, NOW + 100, 3)) == 1
    assert rows(track_db, "SELECT queue_id FROM queue") == [("A0B2C3",)]
    assert rows(track_db, "SELECT count(*) FROM delivery") == [(1,)]
    assert rows(track_db, "SELECT count(*) FROM checkpoint") == [(0,)]
    assert len(run(bed.store.sharing.waiting(9))) == 5
