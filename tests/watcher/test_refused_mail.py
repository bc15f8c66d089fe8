"""refused.py and what the correlator makes of it: which lines say that a mail was refused whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.event_loop import Run
from tests.watcher.log_lines import KEY, LISTENER, NOW, line

from postroom.store.track.facts import Fact, MailBegan, MailRefused
from postroom.store.track.refusals import PATIENCE_S, PendingRefusal
from postroom.store.track.track_store import TrackStore
from postroom.watcher.correlate import MAX_BEGUN, UNSEEN_BEGAN_S, Correlator

ID = "913AA2144D6"
OTHER = "4jYR8z75TxzJrGq"
FROM = "from localhost[127.0.0.1]: 5.7.1 no; from=<a@b.c> to=<d@e.f> proto=ESMTP helo=<mail>"


def facts(correlator: Correlator, daemon: str, text: str, at: float = NOW, name: str = "postfix") -> list[Fact]:
    return list(correlator.facts(line(daemon, text, name, at=at)))


@pytest.fixture
def correlator() -> Correlator:
    """One that has seen the mail begin."""
    correlator = Correlator(KEY, is_relayhosted=False)
    assert facts(correlator, "smtpd", f"{ID}: client=localhost[127.0.0.1]", NOW - 9) == [MailBegan(ID, NOW - 9)]
    return correlator


@pytest.mark.parametrize(
    ("daemon", "text", "is_over"),
    [
        ("smtpd", f"{ID}: reject: END-OF-MESSAGE {FROM}", True),
        ("cleanup", f"{ID}: milter-reject: END-OF-MESSAGE {FROM}", True),
        (
            "cleanup",
            f"{ID}: milter-header-reject: header DKIM-Signature: x from localhost[127.0.0.1]; from=<a@b.c>",
            True,
        ),
        ("cleanup", f"{ID}: reject: header Subject: bad from localhost[127.0.0.1]; from=<a@b.c>: 5.7.1 no", False),
        ("cleanup", f"{ID}: reject: body bad from localhost[127.0.0.1]; from=<a@b.c>: 5.7.1 no", False),
        ("cleanup", f"{ID}: reject: mime-error improper use of 8-bit data from x; from=<a@b.c> to=<d@e.f>", False),
        ("cleanup", f"warning: {ID}: write queue file: No space left on device", False),
        ("cleanup", f"warning: {ID}: queue file size limit exceeded", False),
    ],
)
def test_a_mail_is_refused_whole(correlator: Correlator, daemon: str, text: str, is_over: bool) -> None:
    """At its end it is over; while it is read the question to policy may still come."""
    assert facts(correlator, daemon, text, name="postfix/submission") == [MailRefused(ID, NOW - 9, NOW, is_over)]


@pytest.mark.parametrize(
    ("daemon", "text"),
    [
        ("smtpd", f"{ID}: reject: RCPT {FROM}"),
        ("smtpd", f"{ID}: reject: DATA {FROM}"),
        ("smtpd", f"{ID}: milter-reject: RCPT {FROM}"),
        ("smtpd", f"{ID}: reject_warning: END-OF-MESSAGE {FROM}"),
        ("smtpd", f"{ID}: warn: END-OF-MESSAGE {FROM}"),
        ("smtpd", f"NOQUEUE: reject: END-OF-MESSAGE {FROM}"),
        ("smtpd", f"warning: {ID}: write queue file: No space left on device"),
        ("smtpd", f"x {ID}: reject: END-OF-MESSAGE {FROM}"),
        ("cleanup", f"{ID}: milter-hold: END-OF-MESSAGE {FROM}"),
        ("cleanup", f"{ID}: milter-discard: END-OF-MESSAGE {FROM}"),
        ("cleanup", f"{ID}: warning: header Subject: {ID}: reject: header x {FROM}"),
        ("cleanup", f"{ID}: message-id=<{ID}: reject: header x>"),
        ("cleanup", f"{ID}: prepend: header Subject: {OTHER}: milter-reject: END-OF-MESSAGE {FROM}"),
        ("cleanup", f"warning: {ID}: x: {ID}: write queue file: No space left on device"),
        ("qmgr", f"{ID}: milter-reject: END-OF-MESSAGE {FROM}"),
        ("postlogd", f"{ID}: milter-reject: END-OF-MESSAGE {FROM}"),
        ("smtp", f"{ID}: reject: END-OF-MESSAGE {FROM}"),
    ],
)
def test_nothing_else_is_taken_for_it(correlator: Correlator, daemon: str, text: str) -> None:
    """One recipient, a try at DATA that may be repeated, a warning, what passes, and what a stranger wrote."""
    assert not any(isinstance(fact, MailRefused) for fact in facts(correlator, daemon, text))


def test_a_mail_whose_beginning_was_not_seen_began_a_while_ago(correlator: Correlator) -> None:
    """The watcher was restarted in between, or many came since."""
    refused = f"{OTHER}: reject: END-OF-MESSAGE {FROM}"
    assert facts(correlator, "smtpd", refused) == [MailRefused(OTHER, NOW - UNSEEN_BEGAN_S, NOW, is_over=True)]
    for number in range(MAX_BEGUN):
        facts(correlator, "smtpd", f"{number:010X}: client=x[192.0.2.1]", name=LISTENER)
    refused = f"{ID}: reject: END-OF-MESSAGE {FROM}"
    assert facts(correlator, "smtpd", refused) == [MailRefused(ID, NOW - UNSEEN_BEGAN_S, NOW, is_over=True)]


@pytest.fixture
def track(tmp_path: Path, run: Run) -> Iterator[TrackStore]:
    TrackStore.init(tmp_path / "track.db")
    store = TrackStore.open(tmp_path / "track.db")
    yield store
    run(store.close())


def apply(run: Run, track: TrackStore, *taken: Fact, position: str = "1", proven: bool = True) -> None:
    run(track.log.apply(f"log{position}", None, position, taken, NOW, proven=proven))


def test_a_refusal_that_is_over_is_looked_for_once(track: TrackStore, run: Run) -> None:
    """Whether there was a take or not: none comes later."""
    apply(run, track, MailRefused(ID, NOW - 9, NOW, is_over=True), MailRefused(OTHER, NOW - 9, NOW, is_over=True))
    due = run(track.refusals.due(NOW, 9))
    assert due == [PendingRefusal(1, ID, NOW - 9, NOW), PendingRefusal(2, OTHER, NOW - 9, NOW)]
    assert run(track.refusals.due(NOW, 9)) == due, "until it is settled"
    run(track.refusals.settled([1], [2], NOW))
    assert run(track.refusals.due(NOW + 9_999, 9)) == []


def test_one_refused_while_it_is_read_is_looked_for_again(track: TrackStore, run: Run) -> None:
    """At ever longer intervals, until it is given back or its time is over."""
    apply(run, track, MailRefused(ID, NOW - 9, NOW, is_over=False))
    at, tries = NOW, 0
    while run(track.refusals.due(at + 9_999, 9)):
        if due := run(track.refusals.due(at, 9)):
            tries += 1
            run(track.refusals.settled([], [refusal.number for refusal in due], at))
        at += 1.0
    assert NOW + PATIENCE_S < at < NOW + 3 * PATIENCE_S
    assert 8 < tries < 14


def test_another_mail_with_its_queue_id_is_not_given_back(track: TrackStore, run: Run) -> None:
    """From then on its take cannot come any more."""
    apply(run, track, MailRefused(ID, NOW - 9, NOW, is_over=False), MailBegan(OTHER, NOW + 1), MailBegan(ID, NOW + 2))
    assert run(track.refusals.due(NOW, 9)) == [PendingRefusal(1, ID, NOW - 9, NOW + 2)]
    run(track.refusals.settled([], [1], NOW))
    assert run(track.refusals.due(NOW + 9_999, 9)) == []


def test_what_a_log_file_says_gives_nothing_back(track: TrackStore, run: Run) -> None:
    """Anybody can write there that his own mail was refused."""
    apply(run, track, MailRefused(ID, NOW - 9, NOW, is_over=True), proven=False)
    assert run(track.refusals.due(NOW + 9, 9)) == []
