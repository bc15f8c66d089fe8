"""The watcher on a full disk, frozen, and without the request that it was to find: late, and never wrong."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.watcher.conftest import assert_private
from tests.watcher.test_witness_postfix import delivered, killed_at, states, the_message

from sandbox.daemon import SubmissionDaemon
from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.sink import Sink
from sandbox.watcher import WatcherDaemon

pytestmark = pytest.mark.postfix

DISK = 4 * 1024 * 1024
WITHIN_S = 30.0


@pytest.fixture
def submission(bed: Path, postfix: PrivatePostfix) -> Iterator[SubmissionDaemon]:
    """The watcher's file is on a small disk of its own."""
    daemon = SubmissionDaemon(
        bed / "s", postfix.handover_socket.parent, handover_settings="away_retry_max: 1s\nretry_first: 1s"
    )
    disk = daemon.state_dir / "watcher"
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=2750", "small", disk], check=True)
    daemon.init()
    yield daemon
    daemon.kill()
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture
def watcher(bed: Path, postfix: PrivatePostfix, submission: SubmissionDaemon) -> Iterator[WatcherDaemon]:
    """It has the whole log from now on."""
    watcher = WatcherDaemon(
        bed / "w", postfix.handover_socket.parent, f"source: {postfix.maillog}", state_dir=submission.state_dir
    )
    with watcher:
        watcher.covered()
        yield watcher
    assert_private(watcher.log())


def fill(submission: SubmissionDaemon) -> Path:
    """Leave no room on the watcher's disk; returns the file that takes it."""
    path = submission.state_dir / "watcher" / "ballast"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4_096)
        except OSError:
            return path


@pytest.mark.parametrize("is_killed", [False, True], ids=["waiting", "killed"])
def test_on_a_full_disk_the_log_waits(
    watcher: WatcherDaemon, submission: SubmissionDaemon, sink: Sink, is_killed: bool
) -> None:
    """Nothing is known of mail that went meanwhile, and nothing is sent twice; with room again all of it is read."""
    submission.start()
    fills = [
        submission.post({"from": "a@example.org", "to": [f"u{n}@world.test"], "subject": "x", "text": "y"})
        for n in range(3)
    ]
    for answer in fills:
        delivered(submission, answer.document["id"])
    submission.stop()
    ballast = fill(submission)
    killed_at(submission, "handing.committed")
    submission.start()
    message = the_message(submission, "handing.committed")
    others = [
        submission.post({"from": "a@example.org", "to": [f"v{n}@world.test"], "subject": "x", "text": "y"}).document[
            "id"
        ]
        for n in range(60)
    ]
    until(lambda: "watcher.unavailable" in watcher.log(), WITHIN_S, "the watcher says so", watcher.alive)
    assert states(submission, message) == ["in_doubt"]
    if is_killed:
        watcher.kill()
        ballast.unlink()
        watcher.start()
    else:
        ballast.unlink()
    assert delivered(submission, message, WITHIN_S) == 2
    for other in others:
        delivered(submission, other, WITHIN_S)
    assert len(sink.messages()) == 3 + 60 + 1
    assert "watcher.gap" not in watcher.log()


def test_a_frozen_watcher_leaves_it_in_doubt_until_it_goes_on(
    watcher: WatcherDaemon, submission: SubmissionDaemon, sink: Sink
) -> None:
    """While it stands still nobody knows; the request is lost meanwhile too, and is made again."""
    os.kill(watcher.pid, signal.SIGSTOP)
    killed_at(submission, "data.sent")
    submission.start()
    message = the_message(submission, "data.sent")
    request = submission.state_dir / "shared" / "witness.wish"
    until(lambda: request.exists() and request.stat().st_mtime > 0, WITHIN_S, "the request", submission.alive)
    request.unlink()
    assert states(submission, message) == ["in_doubt"]
    os.kill(watcher.pid, signal.SIGCONT)
    assert delivered(submission, message, WITHIN_S) == 2
    assert len(sink.messages()) == 1
