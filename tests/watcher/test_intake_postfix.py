"""Bounce mails through the real Postfix: port 25, policy, transport and LMTP, wired as postfix-conf/ says."""

import re
import signal
import smtplib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.outbox.sample_messages import rows
from tests.watcher.conftest import MakeWatcher
from tests.watcher.far_end import FarEnd

from postroom.mail.tokens import mint
from sandbox.bounce_mails import VACATION, complaint, dsn
from sandbox.daemon import SubmissionDaemon
from sandbox.policy import PolicyDaemon
from sandbox.postfix import CHECKOUT, PrivatePostfix, main_settings
from sandbox.process import until
from sandbox.submission_service import PIECE
from sandbox.watcher import WatcherDaemon

pytestmark = pytest.mark.postfix

PORT = 2525
WITHIN_S = 20.0
WIRING = main_settings((CHECKOUT / "postfix-conf" / "watcher.main.cf").read_text(encoding="ascii"))


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    with FarEnd() as far_end:
        yield far_end


@pytest.fixture
def postfix(bed: Path, far_end: FarEnd) -> Iterator[PrivatePostfix]:
    """Port 25 is wired for policy and for bounce mails; what waits is tried each second."""
    times = {"minimal_backoff_time": "1s", "maximal_backoff_time": "1s", "queue_run_delay": "1s"}
    settings = {**PIECE, **WIRING, **times, "transport_retry_time": "1s"}
    relay = ("127.0.0.1", far_end.port)
    with PrivatePostfix(bed / "postfix", relay, settings=settings, smtp_ports={PORT: {}}) as postfix:
        yield postfix


class Host:
    """All that takes part; `sent` are messages of the API."""

    def __init__(
        self, submission: SubmissionDaemon, watcher: WatcherDaemon, postfix: PrivatePostfix, far_end: FarEnd
    ) -> None:
        self.submission = submission
        self.watcher = watcher
        self.postfix = postfix
        self.far_end = far_end

    def sent(self, recipient: str, state: str = "delivered") -> tuple[str, str]:
        """Send a mail and wait for its state: its id, and its envelope sender where it was taken."""
        message = {"from": "hello@example.org", "to": [recipient], "subject": "x", "text": "y"}
        answer = self.submission.post(message)
        assert answer.status == 202
        number: str = answer.document["id"]
        self.comes_to(number, state)
        senders = [mail.sender for mail in self.far_end.mails if recipient in mail.recipients]
        return number, senders[-1] if senders else ""

    def state(self, number: str) -> str:
        state: str = self.submission.message(number)["deliveries"][0]["state"]
        return state

    def comes_to(self, number: str, state: str) -> None:
        until(lambda: self.state(number) == state, WITHIN_S, state, self.submission.alive, 0.05)

    def mail(self, octets: bytes, recipient: str, sender: str = "") -> tuple[int, str]:
        """Send a mail to port 25; the last reply."""
        with smtplib.SMTP("127.0.0.1", PORT, timeout=30) as client:
            client.ehlo("mx.world.test")
            client.docmd(f"MAIL FROM:<{sender}>")
            code, text = client.docmd(f"RCPT TO:<{recipient}>")
            if code == 250:
                code, text = client.data(octets)
        return code, text.decode("ascii")

    def taken(self, word: str, count: int = 1) -> None:
        """Wait until the watcher has taken so many mails of which it says this."""
        until(lambda: self.watcher.log().count(word) == count, WITHIN_S, word, self.watcher.alive, 0.05)

    def suppressed(self, recipient: str) -> bool:
        """Whether mail to this recipient is refused."""
        message = {"from": "hello@example.org", "to": [recipient], "subject": "x", "text": "y"}
        answer = self.submission.post(message)
        return answer.status == 422 and answer.document["code"] == "suppressed"

    def comes_to_be_suppressed(self, recipient: str) -> None:
        """Wait for it without asking by a message: one that is delivered meanwhile would lift the suppression."""
        command = self.submission.command
        until(lambda: command("suppress", "why", recipient).returncode == 0, WITHIN_S, "suppressed", every_s=0.2)
        assert self.suppressed(recipient)

    def shared(self) -> list[str]:
        """The causes that went on to suppression."""
        track = self.watcher.state_dir / "watcher" / "track.db"
        return [cause for (cause,) in rows(track, "SELECT cause FROM share WHERE cause <> '' ORDER BY number")]


@pytest.fixture
def host(bed: Path, postfix: PrivatePostfix, far_end: FarEnd, make_watcher: MakeWatcher) -> Iterator[Host]:
    sockets = postfix.queue_directory / "postroom"
    with SubmissionDaemon(bed / "s", postfix.handover_socket.parent) as submission:
        policy = PolicyDaemon(bed / "p", sockets / "policy.sock", state_dir=submission.state_dir)
        watcher = make_watcher(
            postfix.handover_socket.parent,
            f"source: {postfix.maillog}",
            state_dir=submission.state_dir,
            socket=sockets / "lmtp.sock",
        )
        with policy:
            watcher.start()
            yield Host(submission, watcher, postfix, far_end)


def test_mail_that_was_delivered_and_bounces_later_is_bounced(host: Host) -> None:
    """The DSN goes to its envelope sender: state, reason and suppression; a second one changes nothing."""
    number, sender = host.sent("ada@world.test")
    assert host.mail(dsn("ada@world.test"), sender)[0] == 250
    host.comes_to(number, "bounced")
    shown = host.submission.command("status", number)
    assert shown.returncode == 1
    assert "a…@world.test  bounced" in shown.stdout
    assert "reported after it was taken: 550 5.1.1" in shown.stdout
    host.comes_to_be_suppressed("ada@world.test")
    assert host.mail(dsn("ada@world.test", said="550 5.1.1 again"), sender)[0] == 250
    host.taken("kind=bounce effect=repeated")
    assert host.shared() == ["invalid_recipient"]
    assert host.watcher.log().count("watcher.bounced") == 1
    assert host.submission.command("suppress", "list").stdout.count("a…@world.test") == 1


def test_what_postfix_itself_reports_counts_once(host: Host) -> None:
    """Its notice to the envelope sender repeats its log, whichever is read first; nothing is left in its queue."""
    number, _ = host.sent("ghost@world.test", "bounced")
    host.taken("kind=bounce")
    until(lambda: host.postfix.queue() == [], WITHIN_S, "queue empty")
    assert "effect=counted" not in host.watcher.log()
    assert "by=log" in host.watcher.log()
    assert host.watcher.log().count("watcher.bounced") == 1
    assert host.shared() == ["invalid_recipient"]
    assert "User unknown" in host.submission.message(number)["deliveries"][0]["reason"]


def test_a_complaint_suppresses_and_other_mails_change_nothing(host: Host) -> None:
    """Through the address for complaints, or the return path itself."""
    number, sender = host.sent("ada@world.test")
    for octets in (VACATION, dsn("ada@world.test", "delayed", "4.4.1", said="connection timed out")):
        assert host.mail(octets, sender, "ada@world.test" if octets is VACATION else "")[0] == 250
    host.taken("effect=nothing", 2)
    assert host.shared() == []
    assert host.mail(complaint(None, sender), "complaints@bounces.example.org", "fbl@world.test")[0] == 250
    host.comes_to_be_suppressed("ada@world.test")
    assert host.state(number) == "delivered"
    assert host.shared() == ["complaint"]


def test_a_forged_bounce_changes_nothing(host: Host) -> None:
    """A token that is not ours, or too old, is refused at RCPT; one that is ours counts for its own recipient only.
    Nobody is ever written to."""
    number, sender = host.sent("ada@world.test")
    key = (host.submission.state_dir / "keys" / "return-path.key").read_bytes()
    foreign, old = mint(bytes(32), b"8 octets", time.time()), mint(key, b"8 octets", time.time() - 40 * 86_400)
    for local in (foreign, old, "jane"):
        reply = host.mail(dsn("ada@world.test"), f"{local}@bounces.example.org", "evil@world.test")
        assert reply[0] == 550
        assert re.search(r"5\.1\.1 .*No such return address", reply[1])
    assert host.mail(dsn("victim@world.test"), sender)[0] == 250
    assert host.mail(complaint("victim@world.test"), sender, "evil@world.test")[0] == 250
    host.taken("effect=unknown", 2)
    assert host.state(number) == "delivered"
    assert host.shared() == []
    until(lambda: host.postfix.queue() == [], WITHIN_S, "queue empty")
    assert [mail.recipients for mail in host.far_end.mails] == [("ada@world.test",)]


@pytest.mark.parametrize(("point", "effect"), [("reports.before_commit", "counted"), ("reports.committed", "repeated")])
def test_a_watcher_killed_in_the_middle_counts_it_once(host: Host, point: str, effect: str) -> None:
    """Postfix keeps the mail and delivers it again; whoever reported it hears nothing of that."""
    number, sender = host.sent("ada@world.test")
    host.watcher.stop()
    host.watcher.start({"POSTROOM_FAULT": point, "POSTROOM_TEST_BED": str(host.watcher.state_dir)})
    assert host.mail(dsn("ada@world.test"), sender)[0] == 250
    assert host.watcher.wait(WITHIN_S) == -signal.SIGKILL
    until(lambda: [mail.queue_name for mail in host.postfix.queue()] == ["deferred"], WITHIN_S, "it waits")
    host.watcher.start()
    host.postfix.flush()
    host.taken(f"kind=bounce effect={effect}")
    host.comes_to(number, "bounced")
    until(lambda: host.postfix.queue() == [], WITHIN_S, "queue empty")
    assert host.shared() == ["invalid_recipient"]
    host.comes_to_be_suppressed("ada@world.test")
