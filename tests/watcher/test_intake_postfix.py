"""Bounce mails through the real Postfix: port 25, policy, transport and LMTP, wired as postfix-conf/ says."""

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.watcher.conftest import MakeWatcher
from tests.watcher.far_end import FarEnd
from tests.watcher.intake_bed import WITHIN_S, Host, wired_host

from postroom.mail.tokens import mint
from sandbox.bounce_mails import VACATION, complaint, dsn
from sandbox.process import until

pytestmark = pytest.mark.postfix


@pytest.fixture
def host(bed: Path, make_watcher: MakeWatcher) -> Iterator[Host]:
    with FarEnd() as far_end, wired_host(bed, make_watcher, far_end) as host:
        yield host


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


def test_other_mails_change_nothing_and_a_complaint_nobody_signed_is_held(host: Host) -> None:
    """Until somebody has looked at it: accepted, it is in effect."""
    number, sender = host.sent("ada@world.test")
    for octets in (VACATION, dsn("ada@world.test", "delayed", "4.4.1", said="connection timed out")):
        assert host.mail(octets, sender, "ada@world.test" if octets is VACATION else "")[0] == 250
    host.taken("effect=nothing", 2)
    assert host.shared() == []
    assert host.mail(complaint(None, sender), "complaints@bounces.example.org", "fbl@world.test")[0] == 250
    host.taken("kind=complaint effect=held origin=remote")
    command = host.submission.command
    until(lambda: "1 held" in command("suppress", "waves").stdout, WITHIN_S, "held", every_s=0.2)
    assert not host.suppressed("ada@world.test")
    assert "complaint:unsigned  open" in command("suppress", "waves").stdout
    assert "held in wave 1" in command("suppress", "why", "ada@world.test").stdout
    assert command("suppress", "wave", "accept", "1").returncode == 0
    assert host.suppressed("ada@world.test")
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
