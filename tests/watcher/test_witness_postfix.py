"""The witness with the real Postfix: what `kill -9` of submission leaves in doubt is settled, and never wrongly.

submission kills itself at a fault point; when it runs again the watcher finds out whether the hand-over was queued.
The far end says how often the mail arrived.
"""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.watcher.conftest import MakeWatcher

from sandbox.daemon import SubmissionDaemon
from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.sink import Sink
from sandbox.watcher import WatcherDaemon

pytestmark = pytest.mark.postfix

LATENCY_S = 10.0
"""A process kill is resolved within about this time."""
LARGE_TEXT = "0123456789abcdef\n" * 10_000
"""Large enough that its final dot waits for the body (carrier.LARGE_BODY)."""


@pytest.fixture
def submission(bed: Path, postfix: PrivatePostfix) -> Iterator[SubmissionDaemon]:
    daemon = SubmissionDaemon(
        bed / "s", postfix.handover_socket.parent, handover_settings="away_retry_max: 1s\nretry_first: 1s"
    )
    daemon.init()
    yield daemon
    daemon.kill()


@pytest.fixture
def watcher(make_watcher: MakeWatcher, postfix: PrivatePostfix, submission: SubmissionDaemon) -> WatcherDaemon:
    """A watcher that has the whole log from now on."""
    daemon = make_watcher(postfix.handover_socket.parent, f"source: {postfix.maillog}", state_dir=submission.state_dir)
    daemon.start()
    daemon.covered()
    return daemon


def killed_at(submission: SubmissionDaemon, point: str) -> None:
    """Hand over one message and die at that point."""
    submission.start({"POSTROOM_FAULT": point, "POSTROOM_TEST_BED": str(submission.folder)})
    message = {
        "from": "hello@example.org",
        "to": ["ada@world.test"],
        "subject": "Once",
        "text": LARGE_TEXT if point == "data.sent" else "hello",
    }
    with suppress(OSError, ValueError):
        assert submission.post(message, key="once").status == 202
    assert submission.wait(20) == -signal.SIGKILL


def the_message(submission: SubmissionDaemon, point: str) -> str:
    """Its id, asked for with the same key."""
    message = {
        "from": "hello@example.org",
        "to": ["ada@world.test"],
        "subject": "Once",
        "text": LARGE_TEXT if point == "data.sent" else "hello",
    }
    answer = submission.post(message, key="once")
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (202, "true")
    found: str = answer.document["id"]
    return found


def states(submission: SubmissionDaemon, message: str) -> list[str]:
    return [delivery["state"] for delivery in submission.message(message)["deliveries"]]


def delivered(submission: SubmissionDaemon, message: str, within_s: float = LATENCY_S) -> int:
    """Wait until it is; returns the number of hand-overs."""
    until(lambda: states(submission, message) == ["delivered"], within_s, "settled", submission.alive, 0.05)
    attempts: int = submission.message(message)["deliveries"][0]["attempts"]
    return attempts


@pytest.mark.parametrize(
    ("point", "event", "attempts"),
    [("handing.committed", "handover.absent", 2), ("data.sent", "handover.absent", 2), ("data.dot_sent", "", 1)],
)
@pytest.mark.usefixtures("watcher")
def test_a_kill_is_resolved_within_seconds(
    submission: SubmissionDaemon, sink: Sink, point: str, event: str, attempts: int
) -> None:
    """Before the body or inside it nothing was queued: it is sent again. Behind the dot it was: it is not."""
    killed_at(submission, point)
    submission.start()
    message = the_message(submission, point)
    assert delivered(submission, message) == attempts
    assert submission.deliveries()["in_doubt"] == 0
    assert "handover.in_doubt deliveries=1" in submission.log()
    assert (event or "shown_by=") in submission.log()
    assert len(sink.messages()) == 1


def test_a_watcher_that_was_away_catches_up(watcher: WatcherDaemon, submission: SubmissionDaemon, sink: Sink) -> None:
    """Killed before the hand-over and started after the crash, it still has the whole log."""
    os.kill(watcher.pid, signal.SIGKILL)
    watcher.wait(5)
    killed_at(submission, "handing.committed")
    submission.start()
    message = the_message(submission, "handing.committed")
    assert states(submission, message) == ["in_doubt"]
    watcher.start()
    assert delivered(submission, message) == 2
    assert len(sink.messages()) == 1


def looks(postfix: PrivatePostfix) -> int:
    """How many looks of the watcher the log shows: after the first probe, which covers, each has two."""
    return (sum(" noop=" in line for line in postfix.log()) - 1) // 2


def held_open(postfix: PrivatePostfix) -> socket.socket:
    """A session with the hand-over listener that does nothing."""
    session = socket.socket(socket.AF_UNIX)
    session.connect(str(postfix.handover_socket))
    assert session.recv(100).startswith(b"220")
    return session


def test_a_session_that_is_still_open_proves_nothing_yet(
    watcher: WatcherDaemon, submission: SubmissionDaemon, postfix: PrivatePostfix, sink: Sink
) -> None:
    """Any session that was open may be the one of the attempt: nothing is sent again before it has ended."""
    killed_at(submission, "handing.committed")
    with held_open(postfix):
        submission.start()
        message = the_message(submission, "handing.committed")
        until(lambda: looks(postfix) >= 1, 20, "a look is over", watcher.alive)
        assert (states(submission, message), sink.messages()) == (["in_doubt"], [])
    assert delivered(submission, message, 2 * LATENCY_S) == 2
    assert len(sink.messages()) == 1


def test_a_postfix_that_was_stopped_meanwhile_is_asked_after_its_start(
    watcher: WatcherDaemon, submission: SubmissionDaemon, postfix: PrivatePostfix, sink: Sink
) -> None:
    """While it is stopped nobody knows. Its stop ended every session, though none says so: then it is resolved."""
    # A first mail tells the watcher this instance's name.
    submission.start()
    first = submission.post({"from": "a@example.org", "to": ["b@world.test"], "subject": "x", "text": "y"})
    delivered(submission, first.document["id"])
    submission.stop()
    killed_at(submission, "handing.committed")
    with held_open(postfix):
        postfix.stop()
    submission.start()
    message = the_message(submission, "handing.committed")
    until(lambda: "watcher.blind" in watcher.log(), 20, "the watcher cannot ask", watcher.alive)
    assert states(submission, message) == ["in_doubt"]
    postfix.start()
    assert delivered(submission, message, 4 * LATENCY_S) == 2
    assert len(sink.messages()) == 2


def test_a_gap_in_the_log_leaves_it_in_doubt(
    watcher: WatcherDaemon, submission: SubmissionDaemon, postfix: PrivatePostfix, sink: Sink
) -> None:
    """The file was truncated after the crash: what it said is not whole, and it is not sent again."""
    killed_at(submission, "handing.committed")
    os.truncate(postfix.maillog, 0)
    until(lambda: watcher.log().count("watcher.covered") == 2, 20, "covered anew", watcher.alive)
    submission.start()
    message = the_message(submission, "handing.committed")
    assert "watcher.gap" in watcher.log()
    until(lambda: looks(postfix) >= 0 and submission.alive(), 5, "running")
    other = submission.post({"from": "a@example.org", "to": ["b@world.test"], "subject": "x", "text": "y"})
    delivered(submission, other.document["id"])
    assert states(submission, message) == ["in_doubt"]
    assert len(sink.messages()) == 1


def test_a_watcher_of_the_wrong_file_proves_nothing(
    make_watcher: MakeWatcher, submission: SubmissionDaemon, postfix: PrivatePostfix, sink: Sink, bed: Path
) -> None:
    """Its own session with Postfix does not show there, so it knows that it is blind, and says how to mend."""
    (bed / "other.log").write_text("", encoding="utf-8")
    blind = make_watcher(postfix.handover_socket.parent, f"source: {bed / 'other.log'}", state_dir=submission.state_dir)
    blind.start()
    killed_at(submission, "handing.committed")
    submission.start()
    message = the_message(submission, "handing.committed")
    until(lambda: "watcher.blind" in blind.log(), 20, "it says so", blind.alive)
    assert "mend: check watcher.source" in blind.log()
    assert states(submission, message) == ["in_doubt"]
    assert sink.messages() == []
