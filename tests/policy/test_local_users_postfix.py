"""Users of the host who speak SMTP to it, by the real Postfix: at each address the limit of sendmail(1) is theirs."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.milter.door_bed import DoorBed, door_bed
from tests.policy.postfix_bed import PATIENT

from sandbox.process import until
from sandbox.sink import Sink, free_port
from sandbox.submission_service import WORDS, service_options

pytestmark = pytest.mark.postfix

EVE, BOB = 33, 34
OWN_ADDRESS = "192.0.2.10"
PER_USER = "  - {name: per-user, key: uid, rate: 3/1h}"
OVER = "450 4.7.1"

SENDS = """
import smtplib, sys
host, port, sender, *commands = sys.argv[1:]
with smtplib.SMTP(host, int(port), timeout=30) as client:
    client.ehlo("client.example.com")
    for command in commands:
        assert client.docmd(command)[0] == 220
        client.ehlo("client.example.com")
    code, text = client.mail(sender)
    if code == 250:
        code, text = client.rcpt("b@example.net")
    if code == 250:
        author = sender or "x@example.com"
        code, text = client.data(b"From: %s\\r\\nSubject: x\\r\\n\\r\\nx\\r\\n" % author.encode())
    print(code, "" if code == 250 else text.decode(), end="")
"""
"""An SMTP client; says what became of its message."""

SENDS_AND_IS_GONE = """
import socket, sys
host, port = sys.argv[1:]
with socket.create_connection((host, int(port))) as client:
    client.recv(1000)
    client.sendall(b"HELO x\\r\\n")
    client.recv(1000)
    client.sendall(b"MAIL FROM:<www@example.org>\\r\\nRCPT TO:<b@example.net>\\r\\nDATA\\r\\n"
                   b"Subject: x\\r\\n\\r\\nx\\r\\n.\\r\\nQUIT\\r\\n")
"""


@pytest.fixture
def own_address() -> Iterator[str]:
    """An address of this host beside loopback; only where the network is the test's own (scripts/isolated)."""
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        text = "needs a network of its own; run it by scripts/isolated"
        if os.environ.get("CI") == "true":
            pytest.fail(text, pytrace=False)
        pytest.skip(text)
    for action in ("add", "del"):
        subprocess.run(["ip", "address", action, f"{OWN_ADDRESS}/32", "dev", "lo"], check=True)
        if action == "add":
            yield OWN_ADDRESS


class LocalUsers:
    """Users of the host, and the SMTP service at several of its addresses."""

    def __init__(self, room: DoorBed, port: int) -> None:
        self.room = room
        self.port = port

    def send(self, uid: int, host: str, *commands: str, sender: str = "www@example.org") -> str:
        """Send a message as this user; `250`, or the refusal as `450 4.7.1`."""
        return self.refusal(uid, host, *commands, sender=sender)[:9]

    def refusal(self, uid: int, host: str, *commands: str, sender: str = "www@example.org") -> str:
        """As `send`, with all the words of a refusal."""
        return self._run(uid, SENDS, host, sender, *commands)

    def send_and_be_gone(self, uid: int, host: str) -> None:
        """Send all of a message at once and hang up before policy looks."""
        os.kill(self.room.policy.pid, signal.SIGSTOP)
        try:
            self._run(uid, SENDS_AND_IS_GONE, host)
        finally:
            os.kill(self.room.policy.pid, signal.SIGCONT)

    def _run(self, uid: int, script: str, host: str, *arguments: str) -> str:
        command = 'exec /usr/bin/python3 -I -c "$@"'
        done = self.room.postfix.as_user(uid, command, script, host, str(self.port), *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode("ascii").strip()

    def counted_at_the_end(self, uid: str) -> int:
        """How many messages policy has counted, or refused, as this user's."""
        lines = self.room.policy.log().splitlines()
        return sum("state=END-OF-MESSAGE" in line and f" uid={uid} " in line for line in lines)


@contextmanager
def local_users(
    bed: Path,
    sink: Sink,
    limits: str = PER_USER,
    policy: str = "",
    options: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    sections: str = "",
    addresses: tuple[str, ...] = ("127.0.0.1", "[::1]"),
) -> Iterator[LocalUsers]:
    """A sendmail door, and a submission service for the host's own networks at these addresses."""
    port = free_port()
    everywhere = {
        "inet_protocols": "all",
        "inet_interfaces": "all",
        "mynetworks": f"127.0.0.0/8, [::1]/128, {OWN_ADDRESS}/32",
        **WORDS,
        **(settings or {}),
    }
    services = {port: service_options() | PATIENT | dict(options or {})}
    with door_bed(
        bed,
        sink,
        limits,
        sections=sections,
        settings=everywhere,
        smtp_ports=services,
        smtp_addresses=addresses,
        policy=policy,
    ) as room:
        yield LocalUsers(room, port)


@pytest.mark.parametrize("count_at", ["end_of_message", "rcpt"])
def test_a_user_over_the_limit_of_sendmail_is_over_it_at_smtp_too(
    bed: Path, sink: Sink, own_address: str, count_at: str
) -> None:
    """At 127.0.0.1, 127.0.0.7, ::1 and the host's own address; another user has a limit of his own."""
    with local_users(
        bed, sink, policy=f"count_at: {count_at}", addresses=("127.0.0.1", "127.0.0.7", "[::1]", own_address)
    ) as users:
        users.room.send(3, EVE)
        users.room.arrived(3)
        hosts = ("127.0.0.1", "127.0.0.7", "::1", own_address)
        assert [users.send(EVE, host) for host in hosts] == [OVER] * 4
        assert [users.send(BOB, host) for host in hosts] == ["250"] * 3 + [OVER]
        assert (users.room.used(f"uid:{EVE}"), users.room.used(f"uid:{BOB}")) == (3, 3)
        users.room.send(1, BOB)
        users.room.queued("deferred", 1)
        users.room.arrived(6)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_who_sends_all_at_once_and_is_gone_is_unknown(bed: Path, sink: Sink, host: str) -> None:
    """All of them share a tenth of the limit: one message here. Nobody else pays for it, also not root."""
    with local_users(bed, sink, "  - {name: per-user, key: uid, rate: 10/1h}") as users:
        for _ in range(5):
            users.send_and_be_gone(EVE, host)
        until(lambda: users.counted_at_the_end("unknown") == 5, 20, "all were asked about", users.room.policy.alive)
        assert users.room.used("uid:unknown") == 1
        assert users.send(BOB, host) == users.send(EVE, host) == "250"
        assert [users.room.used(f"uid:{uid}") for uid in (0, EVE, BOB)] == [0, 1, 1]
        users.room.arrived(3)


def test_who_logs_in_is_the_login_and_no_user(bed: Path, sink: Sink) -> None:
    """A webmail on this host: its users have their own limits, and www-data's is not theirs."""
    limits = f"{PER_USER}\n  - {{name: per-login, key: login, rate: 4/1h}}"
    options = {"smtpd_sasl_auth_enable": "yes", "smtpd_authorized_xclient_hosts": "127.0.0.1"}
    with local_users(bed, sink, limits, options=options) as users:
        outcomes = [users.send(EVE, "127.0.0.1", "XCLIENT LOGIN=anna") for _ in range(5)]
        assert outcomes == ["250"] * 4 + [OVER]
        assert users.send(EVE, "127.0.0.1", "XCLIENT LOGIN=bert") == "250"
        assert (users.room.used(f"uid:{EVE}"), users.room.used("login:anna")) == (0, 4)
        assert users.send(EVE, "127.0.0.1") == "250"
        assert users.room.used(f"uid:{EVE}") == 1


TABLE = "senders: {{allow: [{{domains: [example.org], users: [www-data]}}], others: {}}}"
WWW_DATA = EVE
BOSS = "boss@example.org"
AS_BOSS = "printf 'From: backup@mail.example.org\\n\\nx\\n' | /usr/sbin/sendmail -i -f boss@example.org"


def test_nobody_uses_up_the_limit_of_a_sender_that_is_anothers(bed: Path, sink: Sink) -> None:
    """By SMTP and by sendmail(1) it is the user's own count; the application's mail goes on."""
    limits = "  - {name: per-sender, key: sender, rate: 2/1h}"
    own = "backup@mail.example.org"
    with local_users(bed, sink, limits, sections=TABLE.format("unsigned")) as users:
        senders = (BOSS, BOSS, BOSS, "SRS0=Ht5k=7X=example.org=boss@forward.example.net")
        assert [users.send(BOB, "::1", sender=sender) for sender in senders] == ["250", "250", OVER, OVER]
        users.room.send(1, BOB, command=AS_BOSS)
        users.room.queued("deferred", 1)
        assert users.room.used(f"sender:{BOSS}") == 0
        assert [users.send(WWW_DATA, "127.0.0.1", sender=BOSS) for _ in range(3)] == ["250", "250", OVER]
        assert [users.send(BOB, "127.0.0.1", sender=sender) for sender in (own, "", "")] == ["250"] * 3
        assert (users.room.used(f"sender:{BOSS}"), users.room.used(f"sender:{own}")) == (2, 1)


def test_a_sender_that_is_anothers_is_refused_where_the_table_says_so(bed: Path, sink: Sink) -> None:
    """It costs nothing, and the user's own address, cron's and an application's mail pass."""
    own = "backup@mail.example.org"
    from_cron = f"printf 'From: {own} (Cron Daemon)\\n\\nx\\n' | /usr/sbin/sendmail -i -FCronDaemon -f {own}"
    with local_users(bed, sink, sections=TABLE.format("refuse")) as users:
        assert users.send(BOB, "127.0.0.1", sender=BOSS) == users.send(BOB, "::1", sender=BOSS) == "550 5.7.1"
        users.room.send(1, BOB, command=AS_BOSS)
        until(lambda: "milter.not_allowed" in users.room.milter.log(), 20, "it was refused", users.room.milter.alive)
        assert users.room.used(f"uid:{BOB}") == 0
        users.room.send(1, BOB, command=from_cron)
        assert users.send(BOB, "127.0.0.1", sender=own) == users.send(WWW_DATA, "::1", sender=BOSS) == "250"
        users.room.arrived(4)  # with the notice of what was refused
        assert users.room.used(f"uid:{BOB}") == 2


def test_only_who_may_sign_is_told_why_a_recipient_is_suppressed(bed: Path, sink: Sink) -> None:
    """Others get the status, the name of the rule and whom to ask, by SMTP and in a bounce of sendmail(1)."""
    with local_users(bed, sink, sections=TABLE.format("unsigned")) as users:
        done = users.room.policy.command("suppress", "add", "b@example.net", "--cause", "asked_not_to")
        assert done.returncode == 0
        assert users.refusal(BOB, "::1").endswith(
            "recipient gets no mail from here (recipient_suppressed); ask the postmaster of this host"
        )
        assert "recipient is suppressed: asked_not_to, since 20" in users.refusal(WWW_DATA, "127.0.0.1")
