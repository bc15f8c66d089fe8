"""Gaps with the real Postfix: the log is lost while mail goes on, and each delivery ends in an honest state."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.watcher.conftest import MakeWatcher
from tests.watcher.far_end import FarEnd

from sandbox.daemon import SubmissionDaemon
from sandbox.postfix import PrivatePostfix
from sandbox.process import until

pytestmark = pytest.mark.postfix

WITHIN_S = 20.0


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    with FarEnd() as far_end:
        yield far_end


@pytest.fixture
def postfix(bed: Path, far_end: FarEnd) -> Iterator[PrivatePostfix]:
    """What is refused for now waits until it is flushed."""
    with PrivatePostfix(bed / "postfix", ("127.0.0.1", far_end.port)) as postfix:
        yield postfix


@pytest.fixture
def submission(bed: Path, postfix: PrivatePostfix) -> Iterator[SubmissionDaemon]:
    with SubmissionDaemon(bed / "s", postfix.handover_socket.parent) as daemon:
        yield daemon


def test_what_a_lost_log_hides_is_untracked_and_what_the_queue_has_goes_on(
    make_watcher: MakeWatcher, postfix: PrivatePostfix, submission: SubmissionDaemon, far_end: FarEnd
) -> None:
    """Known before and delivered in the gap; taken and delivered in the gap; taken in the gap and still there."""
    log = f"source: {postfix.maillog}"
    watcher = make_watcher(postfix.handover_socket.parent, log, state_dir=submission.state_dir)
    watcher.start()
    watcher.covered()
    until(lambda: "watcher.reconciled" in watcher.log(), WITHIN_S, "reconciled", watcher.alive)

    def sent(name: str) -> str:
        answer = submission.post(
            {"from": "hello@example.org", "to": [f"{name}@world.test"], "subject": "x", "text": "y"}
        )
        message: str = answer.document["id"]
        return message

    def delivery(message: str) -> dict[str, Any]:
        found: dict[str, Any] = submission.message(message)["deliveries"][0]
        return found

    def is_in(state: str, *messages: str) -> bool:
        return [delivery(message)["state"] for message in messages] == [state] * len(messages)

    known, seen = sent("slow"), sent("ada")
    until(lambda: is_in("deferred", known) and is_in("delivered", seen), WITHIN_S, "known", watcher.alive)
    watcher.stop()
    hidden, waiting = sent("hidden"), sent("slow2")
    while not far_end.taken["slow@world.test"]:
        postfix.flush()
        until(lambda: not any(mail.queue_name == "active" for mail in postfix.queue()), WITHIN_S, "tried again")
    until(lambda: [len(mail.recipients) for mail in postfix.queue()] == [1], WITHIN_S, "one is left")
    # The log of that time is deleted: what Postfix writes from now on stands in a new file.
    postfix.stop()
    postfix.maillog.unlink()
    postfix.start()
    watcher.start()
    until(lambda: watcher.log().count("watcher.reconciled") == 2, WITHIN_S, "reconciled", watcher.alive)
    until(lambda: is_in("untracked", known, hidden), WITHIN_S, "hidden ends", submission.alive)
    assert "gone" in watcher.log()
    assert "untracked=1" in watcher.log(), "of the two the log has named one"
    assert delivery(hidden)["reason"] == "Postfix's log as it was read does not name it, and it is not in the queue"
    assert is_in("delivered", seen)
    assert is_in("queued", waiting)
    while postfix.queue():
        postfix.flush()
        until(lambda: not any(mail.queue_name == "active" for mail in postfix.queue()), WITHIN_S, "tried again")
    until(lambda: is_in("delivered", waiting), WITHIN_S, "it goes on", watcher.alive)
    assert far_end.taken == {f"{name}@world.test": 1 for name in ("slow", "ada", "hidden", "slow2")}
    shown = submission.command("status", hidden)
    assert "untracked" in shown.stdout
