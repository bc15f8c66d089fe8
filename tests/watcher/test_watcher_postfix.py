"""The watcher with the real Postfix and a far end behind it: what becomes of mail, and who is suppressed for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.store.outbox.sample_messages import rows
from tests.watcher.conftest import MakeWatcher
from tests.watcher.far_end import FarEnd

from sandbox.daemon import SubmissionDaemon
from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.watcher import WatcherDaemon

pytestmark = pytest.mark.postfix

WITHIN_S = 20.0


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    with FarEnd() as far_end:
        yield far_end


@pytest.fixture
def postfix(bed: Path, far_end: FarEnd) -> Iterator[PrivatePostfix]:
    """Its mail goes to the far end; it expires what waits for more than a few seconds."""
    settings = {
        "maximal_queue_lifetime": "3s",
        "minimal_backoff_time": "1s",
        "maximal_backoff_time": "1s",
        "queue_run_delay": "1s",
        "virtual_alias_maps": "inline:{team@example.net=one@world.test}",
    }
    with PrivatePostfix(bed / "postfix", ("127.0.0.1", far_end.port), settings=settings) as postfix:
        yield postfix


@pytest.fixture
def submission(bed: Path, postfix: PrivatePostfix) -> Iterator[SubmissionDaemon]:
    with SubmissionDaemon(bed / "s", postfix.handover_socket.parent) as daemon:
        yield daemon


def watching(
    make_watcher: MakeWatcher, postfix: PrivatePostfix, submission: SubmissionDaemon, watcher: str = ""
) -> WatcherDaemon:
    """A watcher of Postfix's log file that shares submission's store."""
    daemon = make_watcher(
        postfix.handover_socket.parent, f"source: {postfix.maillog}\n{watcher}", state_dir=submission.state_dir
    )
    daemon.start()
    return daemon


def sent(submission: SubmissionDaemon, *recipients: str) -> str:
    answer = submission.post({"from": "hello@example.org", "to": list(recipients), "subject": "x", "text": "y"})
    assert answer.status == 202
    message: str = answer.document["id"]
    return message


def settled(submission: SubmissionDaemon, message: str, *states: str) -> list[dict[str, Any]]:
    """The deliveries of a message once they are in these states."""

    def deliveries() -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = submission.message(message)["deliveries"]
        return shown

    until(lambda: [one["state"] for one in deliveries()] == list(states), WITHIN_S, f"{states}", submission.alive, 0.05)
    return deliveries()


def test_each_recipient_has_a_history_of_its_own(
    make_watcher: MakeWatcher, postfix: PrivatePostfix, submission: SubmissionDaemon, far_end: FarEnd
) -> None:
    """Delivered, refused for good for one reason or another, refused for now, and then given up: with the reply."""
    watching(make_watcher, postfix, submission)
    names = ("ada", "ghost", "policy", "busy", "liar", "full")
    message = sent(submission, *(f"{name}@world.test" for name in names), "team@example.net")
    others = ("bounced", "bounced", "deferred", "bounced", "bounced", "delivered")
    deliveries = dict(zip((*names, "team"), settled(submission, message, "delivered", *others), strict=True))
    assert sorted(took for took in far_end.took if took.endswith(".test")) == ["ada@world.test", "one@world.test"]
    assert {name: one["enhanced_status"] for name, one in deliveries.items()} == {
        "ada": "2.0.0",
        "ghost": "5.1.1",
        "policy": "5.7.1",
        "busy": "4.3.0",
        "liar": "5.1.1",
        "full": "5.2.2",
        "team": "2.0.0",
    }
    assert deliveries["ada"]["reason"] == "250 2.0.0 Ok: taken"
    assert deliveries["ada"]["relay"] == f"127.0.0.1[127.0.0.1]:{far_end.port}"
    assert "said: 550 5.1.1 <g…@world.test>: Recipient address rejected: User unknown" in deliveries["ghost"]["reason"]
    assert all(one["attempts"] == 1 for one in deliveries.values())
    expired = settled(
        submission, message, "delivered", "bounced", "bounced", "expired", "bounced", "bounced", "delivered"
    )
    assert "come back later" in expired[3]["reason"]
    assert expired[3]["tries"] >= 2
    shown = submission.command("status", message)
    assert shown.returncode == 1, "bounced mail needs a look"
    assert "g…@world.test  bounced" in shown.stdout
    assert "5.1.1" in shown.stdout
    assert "ghost" not in shown.stdout


def refused(submission: SubmissionDaemon, name: str) -> bool:
    """Whether mail to this recipient is refused as suppressed."""
    message = {"from": "hello@example.org", "to": [f"{name}@world.test"], "subject": "x", "text": "y"}
    answer = submission.post(message)
    return answer.status == 422 and answer.document["code"] == "suppressed"


def test_only_the_recipients_own_fault_goes_on_to_suppression(
    make_watcher: MakeWatcher, postfix: PrivatePostfix, submission: SubmissionDaemon
) -> None:
    """Neither policy nor a full mailbox, nor a reply that poses as Postfix.

    A log file's word alone is not shared by the watcher: submission confirms it.
    """
    watcher = watching(make_watcher, postfix, submission)
    names = ("ghost1", "policy", "ghost2", "full", "liar", "ada")
    message = sent(submission, *(f"{name}@world.test" for name in names))
    settled(submission, message, *["bounced"] * 5, "delivered")
    share = rows(
        submission.state_dir / "watcher" / "track.db",
        "SELECT hint, domain, cause, enhanced_status, proven, shared_at FROM share WHERE proof = 'now' AND cause <> ''",
    )
    assert share == [("g…@world.test", "world.test", "invalid_recipient", "5.1.1", 0, None)] * 2
    until(lambda: watcher.log().count("watcher.bounced") == 5, 5, "bounces logged")
    causes = [line.partition("cause=")[2] for line in watcher.log().splitlines() if "watcher.bounced" in line]
    assert sorted(causes) == ["", "", "invalid_recipient", "invalid_recipient", "mailbox_full"]
    until(lambda: submission.log().count("suppression.added") == 2, WITHIN_S, "both confirmed", submission.alive)
    assert [name for name in names if refused(submission, name)] == ["ghost1", "ghost2"]
    listed = submission.command("suppress", "list").stdout
    assert listed.count("g…@world.test") == 2
    assert "ghost" not in listed


def test_behind_a_relayhost_mail_is_relayed(
    make_watcher: MakeWatcher, postfix: PrivatePostfix, submission: SubmissionDaemon
) -> None:
    """What became of it there is not seen."""
    watching(make_watcher, postfix, submission, "relayhost: true")
    (delivery,) = settled(submission, sent(submission, "ada@world.test"), "relayed")
    assert delivery["reason"] == "250 2.0.0 Ok: taken"


def test_without_a_watcher_a_delivery_stays_queued_and_is_told_of_when_one_comes(
    make_watcher: MakeWatcher, postfix: PrivatePostfix, submission: SubmissionDaemon, far_end: FarEnd
) -> None:
    """A watcher that starts late reads what the log has."""
    message = sent(submission, "ada@world.test")
    until(lambda: far_end.took == ["ada@world.test"], WITHIN_S, "delivered")
    settled(submission, message, "queued")
    watching(make_watcher, postfix, submission)
    settled(submission, message, "delivered")
