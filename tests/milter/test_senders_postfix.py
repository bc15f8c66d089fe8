"""`senders` with the real Postfix and real users of the host, by SMTP at each of its addresses and by sendmail(1)."""

import os
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.daemon import DEFAULTS
from sandbox.milter import MilterDaemon
from sandbox.policy import PolicyDaemon
from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.sink import Sink, free_port

pytestmark = pytest.mark.postfix

ROOT, WWW_DATA, LIST, EVE = 0, 33, 38, 1234
HOST, PRINTER = "192.0.2.10", "192.0.2.77"
LOCAL = ("127.0.0.1", "127.0.0.7", "::1", HOST)
TABLE = """
senders:
  allow:
    - domains: [example.org]
      uids: [0-999]
      networks: [192.0.2.0/24]
  logins: own_domain
"""
SENDS = """
import smtplib, sys
host, port, author = sys.argv[1:]
with smtplib.SMTP(host, int(port), timeout=30) as client:
    client.sendmail("x@example.org", ["b@example.net"], f"From: {author}\\r\\nSubject: x\\r\\n\\r\\nx\\r\\n")
"""
SENDS_AND_IS_GONE = """
import socket, sys
host, port, author = sys.argv[1:]
text = "MAIL FROM:<x@example.org>\\r\\nRCPT TO:<b@example.net>\\r\\nDATA\\r\\nFrom: " + author
with socket.create_connection((host, int(port))) as client:
    client.recv(1000)
    client.sendall(b"EHLO x\\r\\n")
    client.recv(1000)
    client.sendall(text.encode() + b"\\r\\n\\r\\nx\\r\\n.\\r\\nQUIT\\r\\n")
"""


@pytest.fixture
def users(bed: Path) -> Iterator[None]:
    """A user eve, whom the host knows by /etc/passwd; only where mounts and network are the test's own."""
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        text = "needs mounts and a network of its own; run it by scripts/isolated"
        if os.environ.get("CI") == "true":
            pytest.fail(text, pytrace=False)
        pytest.skip(text)
    passwd = bed / "passwd"
    passwd.write_text(Path("/etc/passwd").read_text() + f"eve:x:{EVE}:{EVE}::/nonexistent:/bin/sh\n")
    passwd.chmod(0o644)
    subprocess.run(["mount", "--bind", passwd, "/etc/passwd"], check=True)
    yield
    subprocess.run(["umount", "/etc/passwd"], check=True)


@pytest.fixture
def network() -> Iterator[str]:
    """An interface of the host with an address, and at its other end a printer; gives the printer's namespace."""
    made = f"""netns add printer
link add host0 type veth peer name printer0 netns printer
address add {HOST}/24 dev host0
link set host0 up
netns exec printer ip address add {PRINTER}/24 dev printer0
netns exec printer ip link set printer0 up
"""
    for line in made.splitlines():
        subprocess.run(["ip", *line.split()], check=True)
    yield "printer"
    subprocess.run(["ip", "netns", "delete", "printer"], check=True)
    until(lambda: "host0" not in [name for _, name in socket.if_nameindex()], 10, "the interface is gone")


@dataclass
class Room:
    """A Postfix with milter and sendmail door, and what it sent."""

    milter: MilterDaemon
    postfix: PrivatePostfix
    sink: Sink
    port: int
    sent: int = 0

    def smtp(self, uid: int, author: str, host: str = "127.0.0.1", script: str = SENDS) -> bool | None:
        """Whether what this user sends by SMTP arrives with a signature; None where it is refused."""
        done = self.postfix.as_user(uid, 'exec /usr/bin/python3 -I -c "$@"', script, host, str(self.port), author)
        if done.returncode != 0:
            assert b"550, b'5.7.1 " in done.stderr, done.stderr
            return None
        return self._is_signed()

    def sendmail(self, uid: int, author: str) -> bool:
        """Whether what this user sends by sendmail(1) arrives with a signature."""
        mail = f"From: {author}\nTo: b@example.net\nSubject: x\n\nx\n"
        done = self.postfix.as_user(uid, "exec /usr/sbin/sendmail -i b@example.net", stdin=mail.encode())
        assert done.returncode == 0, done.stderr
        return self._is_signed()

    def printer(self, namespace: str, author: str) -> bool:
        """Whether what the printer sends arrives with a signature."""
        python = ["/usr/bin/python3", "-I", "-c", SENDS, HOST, str(self.port), author]
        subprocess.run(["ip", "netns", "exec", namespace, *python], check=True, timeout=60)
        return self._is_signed()

    def _is_signed(self) -> bool:
        self.sent += 1
        until(lambda: len(self.sink.messages()) >= self.sent, 40, "one more mail", self.postfix.alive)
        paths = sorted(self.sink.folder.glob("mail.*"), key=lambda path: path.stat().st_mtime_ns)
        assert len(paths) == self.sent
        found = paths[-1].read_bytes()
        return re.search(rb"^DKIM-Signature: ", found, re.MULTILINE) is not None


@contextmanager
def room(
    bed: Path,
    sink: Sink,
    monkeypatch: pytest.MonkeyPatch,
    table: str = TABLE,
    settings: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
) -> Iterator[Room]:
    """Start everything, with myorigin example.org."""
    networks = ("127.0.0.0/8", '"::1"', "192.0.2.0/24")
    milter = MilterDaemon(bed / "m", networks, "socket_group: postfix", sections=table)
    port = free_port()
    postfix = PrivatePostfix(
        bed / "postfix",
        ("127.0.0.1", sink.port),
        milter=milter.socket,
        door_port=free_port(),
        smtp_ports={port: dict(options or {})},
        smtp_addresses=("0.0.0.0", "[::]"),
        settings={
            "myorigin": "example.org",
            "inet_protocols": "all",
            "inet_interfaces": "all",
            "mynetworks": "127.0.0.0/8, [::1]/128, 192.0.2.0/24",
            **(settings or {}),
        },
    )
    postfix.write()
    monkeypatch.setenv("MAIL_CONFIG", str(postfix.config_directory))
    policy = PolicyDaemon(
        bed / "p", postfix.queue_directory / "postroom" / "policy.sock", DEFAULTS, state_dir=milter.state_dir
    )
    with milter, policy:
        monkeypatch.delenv("MAIL_CONFIG")  # sendmail(1) would not take it from a user
        with postfix:
            yield Room(milter, postfix, sink, port)


def test_a_user_may_write_from_the_own_address_and_no_other(
    bed: Path, sink: Sink, users: None, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By SMTP at 127.0.0.0/8, ::1 and an address of the host that an entry's network has, and by sendmail(1)."""
    with room(bed, sink, monkeypatch) as at:
        for host in LOCAL:
            assert not at.smtp(EVE, "boss@example.org", host)
            assert at.smtp(EVE, "Eve <eve@example.org>", host)
        assert not at.sendmail(EVE, "boss@example.org")
        assert at.sendmail(EVE, "eve+x@example.org")
        log = at.milter.log()
        assert log.count(f" uid={EVE} domain=example.org reason=sender_not_allowed") == len(LOCAL) + 1
        assert "port_untold" not in log
        assert not at.postfix.warnings()


def test_honest_mail_is_signed_as_before(
    bed: Path, sink: Sink, users: None, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A web application and a list manager, a printer, cron for root and for a user, daemons of root, a forwarder."""
    with room(bed, sink, monkeypatch) as at:
        for host in LOCAL:
            assert at.smtp(WWW_DATA, "shop@example.org", host)
        assert at.sendmail(WWW_DATA, "shop@example.org")
        assert at.sendmail(LIST, "Announce <announce@example.org>")
        assert at.printer(network, "printer@example.org")
        assert at.sendmail(ROOT, "root (Cron Daemon)")
        assert at.sendmail(EVE, "root (Cron Daemon)")
        assert at.sendmail(ROOT, "Logwatch")
        assert not at.sendmail(EVE, "joe@elsewhere.example")  # forwarded: it passes, as it came
        assert "sender_not_allowed" not in at.milter.log()


def test_who_is_gone_is_nobody_and_what_is_not_allowed_can_be_refused(
    bed: Path, sink: Sink, users: None, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that hangs up early gets no more than its owner, and others are refused with `refuse`."""
    with room(bed, sink, monkeypatch, f"{TABLE}  others: refuse\n") as at:
        for host in ("127.0.0.1", "::1"):
            assert at.smtp(EVE, "boss@example.org", host) is None
            assert at.smtp(EVE, "eve@example.org", host)
        at.postfix.as_user(
            EVE, 'exec /usr/bin/python3 -I -c "$@"', SENDS_AND_IS_GONE, "::1", str(at.port), "boss@example.org"
        )
        until(lambda: at.milter.log().count("milter.not_allowed") == 3, 40, "the third refused", at.postfix.alive)
        assert at.smtp(WWW_DATA, "boss@example.org", "::1")


NAMES_LOOPBACK = "senders: {allow: [{domains: [example.org], networks: [127.0.0.0/8]}]}"


@pytest.mark.parametrize("macros", ["main", "master"])
def test_where_postfix_does_not_tell_its_port_the_log_says_so_once(
    bed: Path, sink: Sink, users: None, network: str, monkeypatch: pytest.MonkeyPatch, macros: str
) -> None:
    """In main.cf or for the one listener; the users of this host are unknown then, and networks hold as they did."""
    untold = {"milter_connect_macros": "j {daemon_name} {daemon_addr} v _"}
    settings, options = (untold, {}) if macros == "main" else ({}, untold)
    with room(bed, sink, monkeypatch, settings=settings, options=options) as at:
        for _ in range(3):
            assert not at.smtp(WWW_DATA, "shop@example.org")
        assert not at.smtp(EVE, "eve@example.org", "::1")
        assert at.milter.log().count("milter.port_untold") == 1
        text = at.milter.config.read_text().replace(TABLE, NAMES_LOOPBACK)
        at.milter.config.write_text(text)
        at.milter.reload()
        for host in LOCAL:
            assert at.smtp(WWW_DATA, "shop@example.org", host)
        assert at.printer(network, "printer@example.org") is False
        assert at.milter.log().count("milter.port_untold") == 1
