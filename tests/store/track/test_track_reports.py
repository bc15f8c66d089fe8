"""track.db: what a mail to the return path may change, and that it changes it once."""

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.store.event_loop import Run
from tests.store.outbox.sample_messages import rows

from postroom.mail.recipients import MaskedRecipient, masked_recipient
from postroom.mail.states import State
from postroom.mail.tokens import NAME_OCTETS, mint
from postroom.store.errors import StoreUnavailable
from postroom.store.track.bounce_report import BounceReport, Effect, ReportOrigin
from postroom.store.track.evidence import Bounce, RecipientFault
from postroom.store.track.facts import (
    DeliveryTried,
    Fact,
    ForeignMail,
    LeftQueue,
    MailForwarded,
    NoticeQueued,
    SeenInQueue,
)
from postroom.store.track.reports import MAX_LOCAL, NOTICE_WAIT_S
from postroom.store.track.schema import TRACK
from postroom.store.track.track_store import TrackStore

KEY = b"k" * 32
NOW = 1_800_000_000.0
JANE = masked_recipient(KEY, "jane@example.net")
JOE = masked_recipient(KEY, "joe@example.com")
TOKEN = mint(KEY, bytes(NAME_OCTETS), NOW)
DEAD = RecipientFault("invalid_recipient", "now", "recipient.unknown", 1)
SPAM = RecipientFault("complaint", "now", "", 0)


def tried(state: State, recipient: MaskedRecipient = JANE, original: str | None = None) -> DeliveryTried:
    fault = DEAD if state is State.BOUNCED else None
    return DeliveryTried("A1B2C3", recipient, original, state, "2.0.0", "the log's reply", "mx:25", NOW, fault)


def bounce(
    number: str = "1", *recipients: str, token: str = TOKEN, fault: RecipientFault | None = DEAD
) -> BounceReport:
    return BounceReport(
        number, token, "bounce", recipients or (JANE.hash,), "5.1.1", "the report's words", NOW + 9, fault
    )


def complaint(number: str = "c", *recipients: str, fault: RecipientFault | None = SPAM) -> BounceReport:
    return BounceReport(number, TOKEN, "complaint", recipients, "", "", NOW + 9, fault)


class Bed:
    """A store whose log is read fact by fact."""

    def __init__(self, path: Path, run: Run) -> None:
        self.path = path
        self.run = run
        self.store = TrackStore.open(path)
        self._position = 0

    def log(self, *facts: Fact) -> list[Bounce]:
        after = str(self._position) if self._position else None
        self._position += 1
        return self.run(self.store.log.apply("log", after, str(self._position), facts, NOW, proven=True))

    def report(self, *reports: BounceReport) -> list[Effect]:
        return [one.effect for one in self.run(self.store.reports.take(reports, "log", proven=True))]

    def states(self) -> list[Any]:
        return rows(self.path, "SELECT state, reason FROM delivery ORDER BY recipient_hash")

    def causes(self) -> list[str]:
        """Of what speaks against a recipient; deliveries go to the shared store too, without a cause."""
        return [fact.cause for fact in self.run(self.store.sharing.waiting(9)) if fact.cause]


@pytest.fixture
def bed(tmp_path: Path, run: Run) -> Iterator[Bed]:
    path = tmp_path / "watcher" / "track.db"
    TrackStore.init(path)
    bed = Bed(path, run)
    yield bed
    run(bed.store.close())


def test_mail_that_was_delivered_may_bounce_later(bed: Bed) -> None:
    """The state changes, with the words of the report; the recipient goes to the suppression list, once."""
    bed.log(SeenInQueue(TOKEN, "A1B2C3", "postfix"), tried(State.DELIVERED), LeftQueue("A1B2C3", NOW))
    (reported,) = bed.run(bed.store.reports.take([bounce()], "log", proven=True))
    assert reported.effect is Effect.COUNTED
    assert reported.bounce == Bounce("A1B2C3", JANE, "5.1.1", "invalid_recipient", "report")
    assert bed.states() == [("bounced", "the report's words")]
    assert bed.report(bounce(), bounce("2")) == [Effect.REPEATED, Effect.REPEATED], "the same mail, and another"
    assert bed.causes() == ["invalid_recipient"]


def test_a_bounce_that_proves_nothing_against_the_recipient_suppresses_nobody(bed: Bed) -> None:
    """Its state alone changes."""
    bed.log(SeenInQueue(TOKEN, "A1B2C3", "postfix"), tried(State.RELAYED))
    assert bed.report(bounce(fault=None)) == [Effect.COUNTED]
    assert (bed.states(), bed.causes()) == ([("bounced", "the report's words")], [])


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_log_and_report_of_one_bounce_count_once_in_any_order(bed: Bed, order: tuple[int, ...]) -> None:
    """Our own Postfix reports what it logs, and its mail may be quicker than the log: the log's words stay."""
    bounces: list[Bounce] = []
    bed.log(SeenInQueue(TOKEN, "A1B2C3", "postfix"))
    steps = (
        lambda: bounces.extend(bed.log(tried(State.BOUNCED))),
        lambda: bed.report(bounce("1")),
        lambda: bed.report(bounce("2")),
    )
    for number in order:
        steps[number]()
    assert bounces == [Bounce("A1B2C3", JANE, "2.0.0", "invalid_recipient", "log")]
    assert bed.states() == [("bounced", "the log's reply")]
    assert bed.causes() == ["invalid_recipient"]
    assert rows(bed.path, "SELECT id FROM report WHERE waits = 1") == []


def test_a_report_that_is_ahead_of_the_log_waits_for_it(bed: Bed) -> None:
    """Nothing is known of its mail yet, then that it is tried again, then that it was taken: now it counts, once."""
    assert bed.report(bounce()) == [Effect.WAITS]
    assert bed.log(SeenInQueue(TOKEN, "A1B2C3", "postfix"), tried(State.DEFERRED)) == []
    assert bed.states() == [("deferred", "the log's reply")]
    assert bed.log(tried(State.DELIVERED)) == [Bounce("A1B2C3", JANE, "5.1.1", "invalid_recipient", "report")]
    assert bed.states() == [("bounced", "the report's words")]
    assert bed.log(LeftQueue("A1B2C3", NOW)) == []
    assert bed.report(bounce()) == [Effect.REPEATED]
    assert bed.causes() == ["invalid_recipient"]


def test_a_report_on_somebody_else_has_no_effect(bed: Bed) -> None:
    """A token is known to its recipient, who may write whatever he likes of others."""
    bed.log(SeenInQueue(TOKEN, "A1B2C3", "postfix"), tried(State.DELIVERED), LeftQueue("A1B2C3", NOW))
    assert bed.report(bounce("1", JOE.hash), complaint("2", JOE.hash)) == [Effect.UNKNOWN] * 2
    assert (bed.states(), bed.causes()) == ([("delivered", "the log's reply")], [])


def test_a_report_of_a_mail_nobody_knows_has_no_effect(bed: Bed) -> None:
    """Signed by us, but of no mail in this log."""
    bed.log(SeenInQueue(TOKEN, "A1B2C3", "postfix"), tried(State.DELIVERED))
    assert bed.report(bounce("1", token=mint(KEY, b"12345678", NOW))) == [Effect.WAITS]
    assert (bed.states(), bed.causes()) == ([("delivered", "the log's reply")], [])


def test_a_recipient_that_postfix_rewrote_is_known_by_either_name(bed: Bed) -> None:
    """As the report has it: the alias it was sent to, or what it became; several it became are not told apart."""
    bed.log(SeenInQueue(TOKEN, "A1B2C3", "postfix"), tried(State.DELIVERED, JOE, JANE.hash))
    assert bed.report(bounce("1", JANE.hash)) == [Effect.COUNTED]
    bed.log(tried(State.DELIVERED, JANE, "team"), tried(State.DELIVERED, JOE, "team"))
    assert bed.report(bounce("2", "team"), bounce("3", JOE.hash)) == [Effect.UNKNOWN, Effect.COUNTED]


def test_a_complaint_suppresses_and_the_mail_stays_delivered(bed: Bed) -> None:
    """Whoever complains has got it. Providers hide who it was; the token tells. A second complaint changes nothing."""
    bed.log(SeenInQueue(TOKEN, "A1B2C3", "postfix"), tried(State.DELIVERED))
    assert bed.report(complaint("1"), complaint("2", JANE.hash)) == [Effect.COUNTED, Effect.REPEATED]
    assert (bed.states(), bed.causes()) == ([("delivered", "the log's reply")], ["complaint"])


def test_nobody_complains_of_mail_that_never_came(bed: Bed) -> None:
    """It bounced."""
    bed.log(SeenInQueue(TOKEN, "A1B2C3", "postfix"), tried(State.BOUNCED))
    assert bed.report(complaint()) == [Effect.REPEATED]
    assert bed.causes() == ["invalid_recipient"]


def test_what_a_log_file_tells_is_proven_no_better_by_a_report(bed: Bed, run: Run) -> None:
    """The deliveries in it may be made up, so submission confirms the mail first."""
    bed.log(SeenInQueue(TOKEN, "A1B2C3", "postfix"), tried(State.DELIVERED))
    run(bed.store.reports.take([bounce()], "log", proven=False))
    assert bed.causes() == []
    assert rows(bed.path, "SELECT token, queue_id, proven FROM share WHERE cause <> ''") == [(TOKEN, "A1B2C3", 0)]


def test_a_report_is_on_the_disk_when_it_is_taken(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mail does not come again, as a line of the log would: the commit is synced before anybody is told."""
    synced, fsync = list[str](), os.fsync

    def recorded(fd: int) -> None:
        fsync(fd)
        size = os.fstat(fd).st_size
        synced.append(f"{Path(os.readlink(f'/proc/self/fd/{fd}')).name} {size}")

    monkeypatch.setattr(os, "fsync", recorded)
    bed.log(SeenInQueue(TOKEN, "A1B2C3", "postfix"), tried(State.DELIVERED))
    assert synced == []
    bed.report(bounce())
    wal = bed.path.with_name("track.db-wal")
    assert synced == [f"track.db-wal {wal.stat().st_size}"]

    def broken(_fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StoreUnavailable, match=r"track\.db-wal: Input/output error"):
        bed.report(bounce("2"))


def test_old_reports_are_swept(bed: Bed, run: Run) -> None:
    """Also those that wait."""
    bed.report(bounce("old"))
    run(bed.store.sweep(NOW + 10, NOW + 10, 9))
    assert rows(bed.path, "SELECT * FROM report") == []


def test_a_file_of_before_reports_is_brought_up_to_date(tmp_path: Path, run: Run) -> None:
    """`postroom store init`, or the watcher's start: what stands in it stays, and reports have their table."""
    path = tmp_path / "track.db"
    connection = apsw.Connection(str(path))
    for statements in TRACK[:2]:
        connection.execute(statements).fetchall()
    connection.pragma("user_version", 2)
    connection.execute("INSERT INTO queue (queue_id, token, seen_at) VALUES ('A1B2C3', ?, ?)", (TOKEN, NOW))
    connection.close()
    assert not TrackStore.init(path)
    bed = Bed(path, run)
    bed.log(tried(State.DELIVERED))
    assert bed.report(bounce()) == [Effect.COUNTED]
    run(bed.store.close())


def notice(number: str = "n") -> BounceReport:
    return replace(bounce(number), origin=ReportOrigin.NOTICE, notice="B2C3D4")


QUEUED = SeenInQueue(TOKEN, "A1B2C3", "postfix")
SHOWN = NoticeQueued("A1B2C3", "B2C3D4")


@pytest.mark.parametrize("is_first", [True, False])
def test_a_notice_counts_once_the_log_shows_it_to_be_of_that_mail(bed: Bed, is_first: bool) -> None:
    """Whichever of the two is read first."""
    bed.log(QUEUED, tried(State.DELIVERED))
    if is_first:
        assert bed.report(notice()) == [Effect.WAITS]
        assert [made.by for made in bed.log(SHOWN)] == ["report"]
    else:
        assert bed.log(SHOWN) == []
        assert bed.report(notice()) == [Effect.COUNTED]
    assert bed.states() == [("bounced", "the report's words")]
    assert bed.causes() == ["invalid_recipient"]


@pytest.mark.parametrize(
    "facts",
    [
        (NoticeQueued("A1B2C3", "F00000"),),
        (NoticeQueued("E00000", "B2C3D4"),),
        (SeenInQueue(mint(KEY, b"8 others", NOW), "E00000", "postfix"), NoticeQueued("E00000", "B2C3D4")),
        (ForeignMail(TOKEN, "E00000"), SeenInQueue(TOKEN, "E00000", "postfix"), NoticeQueued("E00000", "B2C3D4")),
    ],
)
def test_a_notice_of_other_mail_never_counts(bed: Bed, facts: tuple[Fact, ...]) -> None:
    """Another notice, or one on somebody's own mail; it is local evidence in the end."""
    bed.log(QUEUED, tried(State.DELIVERED))
    assert bed.report(notice()) == [Effect.WAITS]
    assert bed.log(*facts) == []
    bed.run(bed.store.sweep(NOW - 1e6, NOW + 9 + NOTICE_WAIT_S, 9))
    assert rows(bed.path, "SELECT origin, waits FROM report") == [("notice", 1)]
    bed.run(bed.store.sweep(NOW - 1e6, NOW + 10 + NOTICE_WAIT_S, 9))
    assert rows(bed.path, "SELECT origin, waits FROM report") == [("local", 0)]
    assert bed.states() == [("delivered", "the log's reply")]
    assert bed.causes() == ["local"]


def test_mail_of_others_under_our_token_changes_nothing(bed: Bed) -> None:
    """Also when it is taken up again later, and when it comes back under another queue id; a requeued mail of ours is
    ours."""
    bed.log(QUEUED, tried(State.DELIVERED), LeftQueue("A1B2C3", NOW))
    theirs = replace(tried(State.BOUNCED), queue_id="E00000")
    bed.log(ForeignMail(TOKEN, "E00000"), SeenInQueue(TOKEN, "E00000", "postfix"), theirs)
    bed.log(SeenInQueue(TOKEN, "E00000", "postfix"), theirs)
    again = replace(theirs, queue_id="E00001")
    bed.log(ForeignMail(TOKEN, "E00001", "E00000"), SeenInQueue(TOKEN, "E00001", "postfix"), again)
    assert bed.states() == [("delivered", "the log's reply")]
    ours = replace(tried(State.BOUNCED), queue_id="A00001")
    bed.log(ForeignMail(TOKEN, "A00001", "A1B2C3"), SeenInQueue(TOKEN, "A00001", "postfix"), ours)
    assert [state for state, _ in bed.states()] == ["delivered", "bounced"]


@pytest.mark.parametrize("is_named_first", [True, False])
def test_what_a_forward_makes_of_mail_of_others_changes_nothing(bed: Bed, is_named_first: bool) -> None:
    """Whether the queue manager or local(8) speaks first; what is made of mail of ours is ours."""
    bed.log(QUEUED, tried(State.DELIVERED), LeftQueue("A1B2C3", NOW))
    bed.log(ForeignMail(TOKEN, "E00000"), SeenInQueue(TOKEN, "E00000", "postfix"))
    both = [SeenInQueue(TOKEN, "E00001", "postfix"), MailForwarded("E00000", "E00001")]
    bed.log(*(both if is_named_first else reversed(both)))
    refused = replace(tried(State.BOUNCED), queue_id="E00001")
    bed.log(SeenInQueue(TOKEN, "E00001", "postfix"), refused, NoticeQueued("E00001", "B2C3D4"))
    bed.log(MailForwarded("E00001", "E00002"), SeenInQueue(TOKEN, "E00002", "postfix"))
    bed.log(replace(refused, queue_id="E00002"))
    assert bed.states() == [("delivered", "the log's reply")]
    assert rows(bed.path, "SELECT count(*) FROM notice") == [(0,)]
    bed.log(SeenInQueue(TOKEN, "A00001", "postfix"), MailForwarded("A1B2C3", "A00001"))
    bed.log(replace(refused, queue_id="A00001"))
    assert [state for state, _ in bed.states()] == ["delivered", "bounced"]


def test_local_reports_change_nothing_and_are_few(bed: Bed) -> None:
    """Nothing of the delivery; as evidence of no weight they go on, but for one that the log has said already."""
    bed.log(QUEUED, tried(State.DELIVERED))
    local = [replace(bounce(str(number)), origin=ReportOrigin.LOCAL) for number in range(MAX_LOCAL + 2)]
    assert set(bed.report(*local)) == {Effect.LOCAL}
    assert bed.report(replace(complaint(), origin=ReportOrigin.LOCAL)) == [Effect.LOCAL]
    assert bed.states() == [("delivered", "the log's reply")]
    assert rows(bed.path, "SELECT count(*) FROM report") == [(MAX_LOCAL,)]
    assert set(rows(bed.path, "SELECT cause, proof FROM share WHERE cause <> ''")) == {("local", "after")}


def test_a_complaint_for_review_does_not_hide_one_that_counts(bed: Bed) -> None:
    """Held once; then one that is signed counts."""
    bed.log(QUEUED, tried(State.DELIVERED))
    unsigned = replace(SPAM, proof="review")
    assert bed.report(complaint("c1", fault=unsigned)) == [Effect.HELD]
    assert bed.report(complaint("c2", fault=unsigned)) == [Effect.REPEATED]
    assert bed.report(complaint("c3")) == [Effect.COUNTED]
    assert bed.report(complaint("c4")) == [Effect.REPEATED]
