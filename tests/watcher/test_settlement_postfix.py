"""What is refused after policy has counted it costs nothing: with the real Postfix, its journal, and the watcher."""

import json
import os
import signal
import smtplib
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.milter.door_bed import WWW_DATA
from tests.policy.postfix_bed import PATIENT, send
from tests.store.outbox.sample_messages import rows
from tests.watcher.conftest import MakeWatcher

from sandbox.daemon import DEFAULTS
from sandbox.journald import Journald
from sandbox.milter import MilterDaemon
from sandbox.policy import PolicyDaemon
from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.sink import Sink, free_port
from sandbox.submission_service import WORDS, service_options
from sandbox.watcher import WatcherDaemon

pytestmark = pytest.mark.postfix

WITHIN_S = 30.0
ANNA = "anna@example.org"
LIMITS = (
    "limits:\n  - {name: per-sender, key: sender, rate: 1000/1h}\n  - {name: per-uid, key: uid, rate: 1000/1h}\n"
    "  - {name: octets, key: server, counts: recipients, rate: 9000/1d, burst: 500}\n"
)
SENDERS = (
    "senders:\n  allow:\n    - {domains: [example.org], networks: [127.0.0.0/8], uids: [33]}\n"
    "    - {domains: [example.net], uids: [33]}\n"
    "  others: refuse\n"
)
SIGNED_REJECTED = "regexp:{{/^DKIM-Signature: / REJECT}}"
LATER = "check_sender_access inline:{late@example.org=REJECT, wait@example.org=DEFER}"


@dataclass
class SettlementBed:
    """Policy, milter, Postfix and watcher on one store."""

    policy: PolicyDaemon
    postfix: PrivatePostfix
    watcher: WatcherDaemon
    port: int

    def used(self, key: str = f"sender:{ANNA}") -> int:
        """What is counted under this key, by the first limit with such a key."""
        shown = self.policy.command("limits", "show", key, "--json")
        assert shown.stderr == ""
        return int(json.loads(shown.stdout)[0]["used"])

    def send(self, *, sender: str = ANNA, from_: str = ANNA, subject: str = "hello", body: str = "hello") -> str:
        """Send one mail; the code and enhanced status of the last reply."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as client:
            client.ehlo("client.example.com")
            assert client.mail(sender)[0] == 250
            assert client.rcpt("john@example.net")[0] == 250
            code, text = client.data(f"From: {from_}\r\nSubject: {subject}\r\n\r\n{body}\r\n")
            return f"{code} {text.split()[0].decode('ascii')}"

    def counted(self, count: int, key: str = f"sender:{ANNA}") -> None:
        """Return when so many are counted."""
        until(lambda: self.used(key) == count, WITHIN_S, f"{count} counted under {key}", self.watcher.alive, 0.2)


@pytest.fixture
def make_bed(bed: Path, sink: Sink, make_watcher: MakeWatcher) -> Iterator["MakeBed"]:
    with ExitStack() as at_end:
        yield MakeBed(bed, sink, make_watcher, at_end)


@dataclass
class MakeBed:
    """Makes the bed; the log is the journal, or a file."""

    bed: Path
    sink: Sink
    make_watcher: MakeWatcher
    at_end: ExitStack

    def __call__(
        self, *, has_journal: bool = True, has_milter: bool = True, checks_milter: bool = False, disk: str = ""
    ) -> SettlementBed:
        folder, port = self.bed / "postfix", free_port()
        if disk:
            (folder / "queue").mkdir(parents=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={disk}", "tmpfs", folder / "queue"], check=True)
            self.at_end.callback(lambda: subprocess.run(["umount", "-l", folder / "queue"], check=True))
        journald = self.at_end.enter_context(Journald()) if has_journal else None
        milter = MilterDaemon(self.bed / "m", settings="socket_group: postfix", sections=LIMITS + SENDERS)
        options = service_options() | PATIENT
        options["smtpd_end_of_data_restrictions"] += f", {LATER}"
        if not has_milter:
            options["smtpd_milters"] = ""
        postfix = PrivatePostfix(
            folder,
            ("127.0.0.1", self.sink.port),
            milter=milter.socket,
            door_port=free_port(),
            smtp_ports={port: options},
            settings={
                **WORDS,
                "header_checks": "regexp:{{/^Subject: bad/ REJECT}}",
                "milter_header_checks": SIGNED_REJECTED if checks_milter else "",
                "body_checks": "regexp:{{/^bad/ REJECT}}",
                "message_size_limit": "0",
                "mailbox_size_limit": "0",
            },
            journald=journald,
        )
        path = postfix.queue_directory / "postroom" / "policy.sock"
        policy = PolicyDaemon(self.bed / "p", path, DEFAULTS + LIMITS, state_dir=milter.state_dir)
        for part in (milter, policy, postfix):
            self.at_end.enter_context(part)
        source = "journal" if has_journal else str(postfix.maillog)
        watcher = self.make_watcher(
            postfix.handover_socket.parent, f"source: {source}", state_dir=policy.state_dir, journald=journald
        )
        watcher.start()
        return SettlementBed(policy, postfix, watcher, port)


def test_what_the_milter_a_table_or_a_later_restriction_refuses_costs_nothing(make_bed: "MakeBed") -> None:
    """The count is what it was before, for each way of refusing; a mail that passes stays counted."""
    bed = make_bed()
    assert bed.send() == "250 2.0.0"
    for refused in (
        {"subject": "bad"},
        {"body": "bad"},
        {"from_": "boss@example.net"},
    ):
        assert bed.send(**refused) == "550 5.7.1"
    assert bed.send(sender="late@example.org") == "554 5.7.1"
    assert bed.send(sender="wait@example.org") == "450 4.7.1"
    assert bed.send() == "250 2.0.0"
    bed.counted(2)
    for sender in ("late@example.org", "wait@example.org"):
        bed.counted(0, f"sender:{sender}")
    bed.counted(2, "server:mail.example.org")
    assert bed.watcher.log().count("watcher.given_back") == 4


def test_what_the_milter_refuses_costs_nothing_at_once(make_bed: "MakeBed") -> None:
    """It gives back itself, whoever reads the log."""
    bed = make_bed(has_journal=False)
    bed.watcher.stop()
    assert bed.send(from_="boss@example.net") == "550 5.7.1"
    assert bed.used() == 0


def test_a_client_that_goes_on_in_a_refused_transaction_is_counted_once(make_bed: "MakeBed") -> None:
    """Its second try has the same instance and another queue id."""
    bed = make_bed(has_milter=False)
    with smtplib.SMTP("127.0.0.1", bed.port) as client:
        client.ehlo()
        assert client.mail("late@example.org")[0] == 250
        for _ in range(2):
            assert client.rcpt("john@example.net")[0] == 250
            assert client.data("Subject: x\r\n\r\nx\r\n")[0] == 554
        client.rset()
        assert send(client, ANNA, "john@example.net") == "250"
    bed.counted(0, "sender:late@example.org")
    bed.counted(1)


def test_a_full_disk_costs_nothing(make_bed: "MakeBed") -> None:
    """451 while the queue's disk is full; with room again the mail passes and counts once."""
    bed = make_bed(disk="4m")
    large = ("x" * 70 + "\r\n") * 90_000
    for _ in range(2):
        assert bed.send(body=large) == "451 4.3.0"
    bed.counted(0)
    assert bed.send() == "250 2.0.0"
    bed.counted(1)
    bed.counted(1, "server:mail.example.org")


def test_a_watcher_killed_at_any_moment_gives_back_once(make_bed: "MakeBed") -> None:
    """kill -9 again and again while mail is refused and passes: what passed is counted, nothing else, nothing less."""
    bed = make_bed()
    for number in range(24):
        assert bed.send(subject="bad" if number % 3 else "good") == ("550 5.7.1" if number % 3 else "250 2.0.0")
        if number % 4 == 3:
            os.kill(bed.watcher.pid, signal.SIGKILL)
            bed.watcher.wait(5)
            bed.watcher.start()
    bed.counted(8)
    assert bed.send() == "250 2.0.0"
    bed.counted(9)
    bed.counted(9, "server:mail.example.org")


def test_in_a_log_file_nobody_uncounts_his_own_mail(make_bed: "MakeBed") -> None:
    """A perfect line of cleanup about a mail that passed, as any user can write it; what is forged about counts on."""
    bed = make_bed(has_journal=False)
    assert bed.send() == "250 2.0.0"
    began = next(line for line in bed.postfix.log() if ": client=" in line)
    queue_id = began.partition("]: ")[2].partition(":")[0]
    text = f"{queue_id}: milter-reject: END-OF-MESSAGE from localhost[127.0.0.1]: 5.7.1 no; from=<{ANNA}> to=<j@x.org>"
    command = ["/usr/sbin/postlog", "-c", str(bed.postfix.config_directory), "-t", "postfix/cleanup", text]
    subprocess.run(command, check=True, timeout=20)
    assert bed.send(subject="bad") == "550 5.7.1"
    track, size = bed.policy.state_dir / "watcher" / "track.db", bed.postfix.maillog.stat().st_size

    def is_read() -> bool:
        return any(json.loads(position)[3] >= size for (position,) in rows(track, "SELECT position FROM position"))

    until(is_read, WITHIN_S, "all read", bed.watcher.alive)
    assert rows(track, "SELECT queue_id FROM refusal") == []
    assert bed.used() == 2
    assert "watcher.given_back" not in bed.watcher.log()


def test_what_is_refused_behind_the_milter_of_the_sendmail_door_costs_nothing(make_bed: "MakeBed") -> None:
    """It had counted the mail under its user; it bounces. One that passes stays counted."""
    bed = make_bed(checks_milter=True)
    for author in ("www@example.org", "www@example.net"):  # the second is not signed
        mail = f"From: {author}\nTo: b@example.net\nSubject: hello\n\nhello\n"
        command = "/usr/sbin/sendmail -i -f www@example.org b@example.net"
        done = bed.postfix.as_user(WWW_DATA, command, stdin=mail.encode())
        assert done.returncode == 0, done.stderr
    until(lambda: "watcher.given_back" in bed.watcher.log(), WITHIN_S, "given back", bed.watcher.alive)
    until(lambda: "status=sent" in "".join(bed.postfix.log()), WITHIN_S, "sent", bed.postfix.alive, 0.2)
    bed.counted(1, "uid:www-data")
