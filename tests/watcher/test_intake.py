"""The watcher's LMTP socket, with a log the test writes: what mails change, and what nobody can make it do."""

import os
import signal
import socket
import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.store.outbox.sample_messages import rows
from tests.watcher.conftest import MakeWatcher
from tests.watcher.log_lines import active, in_file, tried

from postroom.mail.tokens import NAME_OCTETS, mint
from postroom.store.track.reports import MAX_LOCAL
from postroom.watcher.intake import MAX_SESSIONS_OF_A_USER
from sandbox.bounce_mails import VACATION, complaint, dsn
from sandbox.lmtp import BY_SENDMAIL, LOOPBACK, REMOTE, Arrival, by_bounce, by_smtp, deliver
from sandbox.process import BedError, until
from sandbox.watcher import WatcherDaemon

pytestmark = pytest.mark.process

TAKEN = "250 2.0.0 Taken"


class Host:
    """A watcher and the log it follows; mail `number` went to u<number>@world.test."""

    def __init__(self, daemon: WatcherDaemon, log: Path) -> None:
        self.daemon = daemon
        self.log = log
        self.track = daemon.state_dir / "watcher" / "track.db"

    def address(self, number: int, key: bytes | None = None, age_days: int = 0) -> str:
        key = key or (self.daemon.state_dir / "keys" / "return-path.key").read_bytes()
        made_at = time.time() - 86_400 * age_days
        return f"{mint(key, number.to_bytes(NAME_OCTETS, 'big'), made_at)}@bounces.example.org"

    def write(self, *lines: str) -> None:
        with self.log.open("a", encoding="utf-8") as file:
            file.writelines(lines)

    def delivered(self, *numbers: int) -> None:
        """The log says so, and the watcher has read it."""
        for number in numbers:
            queue_id = f"A{number:05X}"
            self.write(
                in_file("qmgr", active(queue_id, self.address(number))),
                in_file("smtp", tried(queue_id, f"u{number}@world.test")),
                in_file("qmgr", f"{queue_id}: removed"),
            )
        until(lambda: self.states(numbers[-1]) != [], 10, "read", self.daemon.alive)

    def states(self, number: int) -> list[Any]:
        query = "SELECT state, enhanced_status FROM delivery d JOIN queue q ON q.id = d.queue WHERE q.queue_id = "
        return rows(self.track, f"{query}'A{number:05X}'")

    def shared(self) -> list[Any]:
        return rows(self.track, "SELECT queue_id, cause FROM share WHERE cause <> '' ORDER BY number")

    def deliver(self, octets: bytes, *recipients: str, sender: str = "", arrival: Arrival | None = REMOTE) -> list[str]:
        return deliver(self.daemon.socket, octets, *recipients, sender=sender, arrival=arrival)


@pytest.fixture
def host(bed: Path, make_watcher: MakeWatcher) -> Host:
    log = bed / "mail.log"
    log.touch()
    daemon = make_watcher(bed, f"source: {log}")
    daemon.start()
    return Host(daemon, log)


def test_what_mails_say_of_our_mail_is_kept(host: Host) -> None:
    """A bounce has its effect once, a complaint that nobody has signed waits for review; delays and answers of people
    have none; each is told in the log."""
    host.delivered(1, 2, 3, 4)
    bounced, complained = dsn("u1@world.test"), complaint(None)
    assert host.deliver(bounced, host.address(1)) == [TAKEN]
    assert host.deliver(bounced, host.address(1)) == [TAKEN]
    assert host.deliver(complained, host.address(2)) == [TAKEN]
    delayed = dsn("u3@world.test", "delayed", "4.4.1", said="connection timed out")
    assert host.deliver(delayed, host.address(3)) == [TAKEN]
    assert host.deliver(VACATION, host.address(3)) == [TAKEN]
    named = complaint("u4@world.test", host.address(4))
    assert host.deliver(named, "complaints@bounces.example.org") == [TAKEN]
    assert [host.states(number) for number in (1, 2, 3, 4)] == [
        [("bounced", "5.1.1")],
        *[[("delivered", "2.0.0")]] * 3,
    ]
    assert host.shared() == [("A00001", "invalid_recipient"), ("A00002", "complaint"), ("A00004", "complaint")]
    taken = [line.partition("watcher.mail_taken ")[2] for line in host.daemon.log().splitlines()]
    assert [line for line in taken if line] == [
        "kind=bounce effect=counted origin=remote",
        "kind=bounce effect=repeated origin=remote",
        "kind=complaint effect=held origin=remote",
        "kind=delay effect=nothing origin=remote",
        "kind=autoreply effect=nothing origin=remote",
        "kind=complaint effect=held origin=remote",
    ]
    assert host.daemon.log().count("watcher.bounced") == 1


@pytest.mark.parametrize(
    ("arrival", "reason"),
    [
        (LOOPBACK, "loopback"),
        (by_smtp("IPV6:::1"), "loopback"),
        (BY_SENDMAIL, "sendmail"),
        (by_smtp("203.0.113.25", "ESMTPSA"), "login"),
        (None, "unknown"),
        (replace(REMOTE, received=b""), "unknown"),
    ],
)
def test_what_anybody_on_this_host_could_write_counts_for_nothing(
    host: Host, arrival: Arrival | None, reason: str
) -> None:
    """It is taken and kept: nobody is suppressed, `delivered` stays, and the history of the recipient tells it."""
    host.delivered(1)
    assert host.deliver(dsn("u1@world.test"), host.address(1), arrival=arrival) == [TAKEN]
    assert host.deliver(complaint("u1@world.test"), host.address(1), arrival=arrival) == [TAKEN]
    log = host.daemon.log()
    assert f"kind=bounce effect=local origin=local by={reason}\n" in log
    assert f"kind=complaint effect=local origin=local by={reason}\n" in log
    assert log.count("watcher.origin_unknown") == (reason == "unknown")
    assert host.states(1) == [("delivered", "2.0.0")]
    assert host.shared() == [("A00001", "local"), ("A00001", "local")]
    assert "watcher.bounced" not in log
    # What is from outside counts all the same.
    assert host.deliver(dsn("u1@world.test"), host.address(1)) == [TAKEN]
    assert host.states(1) == [("bounced", "5.1.1")]


def test_a_log_that_anybody_can_write_into_proves_no_notice(host: Host) -> None:
    """It waits, and the log's own word on the delivery stays."""
    host.delivered(1)
    host.write(
        in_file("qmgr", active("A00001", host.address(1))),
        in_file("bounce", "A00001: sender non-delivery notification: 4CAB11F00E"),
    )
    assert host.deliver(dsn("u1@world.test"), host.address(1), arrival=by_bounce("4CAB11F00E")) == [TAKEN]
    assert "kind=bounce effect=waits origin=notice\n" in host.daemon.log()
    assert host.states(1) == [("delivered", "2.0.0")]


def test_local_reports_are_kept_up_to_a_bound(host: Host) -> None:
    """Who floods a return address fills no disk."""
    host.delivered(1)
    for number in range(MAX_LOCAL + 5):
        assert host.deliver(dsn("u1@world.test", said=f"550 {number}"), host.address(1), arrival=LOOPBACK) == [TAKEN]
    assert rows(host.track, "SELECT count(*) FROM report") == [(MAX_LOCAL,)]


def test_a_bounce_that_is_quicker_than_the_log_counts_once(host: Host) -> None:
    """Our own Postfix writes its notice and its log at the same moment."""
    assert host.deliver(dsn("u1@world.test"), host.address(1)) == [TAKEN]
    assert host.deliver(dsn("u2@world.test"), host.address(2)) == [TAKEN]
    host.write(
        in_file("qmgr", active("A00001", host.address(1))),
        in_file("smtp", tried("A00001", "u1@world.test", "5.1.1", "bounced", "550 5.1.1 User unknown")),
        in_file("qmgr", "A00001: removed"),
    )
    host.delivered(2)
    assert (host.states(1), host.states(2)) == ([("bounced", "5.1.1")], [("bounced", "5.1.1")])
    until(lambda: host.daemon.log().count("watcher.bounced") == 2, 5, "both logged")
    sources = [
        line.partition(" by=")[2].split()[0] for line in host.daemon.log().splitlines() if "watcher.bounced" in line
    ]
    assert sources == ["log", "report"]
    assert [cause for _, cause in host.shared()] == ["invalid_recipient"] * 2


def test_a_forged_mail_is_taken_and_has_no_effect(host: Host) -> None:
    """Another key's token, an old one, a mailbox, somebody else's recipient, mail of ours: taken, so that nobody is
    written to."""
    host.delivered(1)
    forged = dsn("u1@world.test")
    for address in (host.address(1, bytes(32)), host.address(1, age_days=40), "postmaster@bounces.example.org"):
        assert host.deliver(forged, address, sender="evil@example.net") == [TAKEN]
    assert host.deliver(dsn("victim@world.test"), host.address(1)) == [TAKEN]
    assert host.deliver(complaint("victim@world.test"), host.address(1)) == [TAKEN]
    assert host.deliver(complaint("u1@world.test", host.address(1, bytes(32))), "complaints@bounces.example.org")
    assert host.deliver(forged, host.address(1), sender=host.address(2)) == [TAKEN]
    assert host.states(1) == [("delivered", "2.0.0")]
    assert host.shared() == []
    log = host.daemon.log()
    assert log.count("kind=foreign effect=nothing") == 3
    assert log.count("effect=unknown") == 2
    assert "kind=loop effect=nothing" in log


def test_mail_of_another_domain_stays_with_postfix(host: Host) -> None:
    """It came by mistake, and is told once how to mend; others in the same mail are taken."""
    host.delivered(1)
    replies = host.deliver(dsn("u1@world.test"), "jane@example.net", host.address(1), "joe@example.net")
    assert replies == ["451 4.3.5 Not a return path of this host", TAKEN, "451 4.3.5 Not a return path of this host"]
    assert host.deliver(b"x", "jane@example.net") == ["451 4.3.5 Not a return path of this host"]
    assert host.states(1) == [("bounced", "5.1.1")]
    assert host.daemon.log().count("watcher.misrouted domain=example.net") == 1


def test_a_store_that_cannot_be_written_makes_mail_wait(host: Host) -> None:
    """Nothing is answered 250 that is not stored; once it can be, it counts."""
    host.delivered(1)
    holder = apsw.Connection(str(host.track))
    holder.execute("BEGIN IMMEDIATE")
    assert host.deliver(dsn("u1@world.test"), host.address(1)) == ["451 4.3.0 Cannot be stored now, try again later"]
    holder.execute("ROLLBACK")
    holder.close()
    assert host.deliver(dsn("u1@world.test"), host.address(1)) == [TAKEN]
    assert host.states(1) == [("bounced", "5.1.1")]
    assert host.daemon.log().count("watcher.mail_waits") == 1


@pytest.mark.parametrize(("point", "effect"), [("reports.before_commit", "counted"), ("reports.committed", "repeated")])
def test_killed_in_the_middle_it_counts_once(host: Host, point: str, effect: str) -> None:
    """The client has no answer and comes again; whether it was stored before or not, the end is the same."""
    host.delivered(1)
    host.daemon.stop()
    host.daemon.start({"POSTROOM_FAULT": point, "POSTROOM_TEST_BED": str(host.daemon.folder)})
    with pytest.raises(BedError):
        host.deliver(dsn("u1@world.test"), host.address(1))
    assert host.daemon.wait(10) == -signal.SIGKILL
    host.daemon.start()
    assert host.deliver(dsn("u1@world.test"), host.address(1)) == [TAKEN]
    assert f"kind=bounce effect={effect}" in host.daemon.log()
    assert host.states(1) == [("bounced", "5.1.1")]
    assert host.shared() == [("A00001", "invalid_recipient")]


def test_a_large_mail_is_read_at_its_head(host: Host) -> None:
    """Forty megabytes behind the report: it is taken, and the daemon stays small."""
    host.delivered(1)
    large = dsn("u1@world.test").removesuffix(b"--b--\r\n") + (b"x" * 70 + b"\r\n") * 600_000
    assert host.deliver(large, host.address(1)) == [TAKEN]
    assert host.states(1) == [("bounced", "5.1.1")]
    peak = Path(f"/proc/{host.daemon.pid}/status").read_text(encoding="ascii").partition("VmHWM:")[2].split()[0]
    assert int(peak) < 200_000, "kB"


def test_hostile_mail_is_taken_in_time(host: Host) -> None:
    """Many parts, deep nesting, endless headers: unreadable or nothing, and others are served meanwhile."""
    host.delivered(1)
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(3_000))
    for octets in (
        nested,
        b"--b\r\n" * 50_000,
        b"X: y\r\n" * 100_000,
        b"Final-Recipient: rfc822;\xff@\xff\r\n" * 9_000,
    ):
        started = time.monotonic()
        assert host.deliver(octets, host.address(1)) == [TAKEN]
        assert time.monotonic() - started < 20
    assert host.states(1) == [("delivered", "2.0.0")]


def connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(path))
    return client


def test_more_sessions_than_it_takes_are_told_to_come_again(host: Host) -> None:
    """Silent ones cost nothing but their place."""
    silent = [connected(host.daemon.socket) for _ in range(MAX_SESSIONS_OF_A_USER)]
    for client in silent:
        assert client.recv(200).startswith(b"220 ")
    late = connected(host.daemon.socket)
    assert late.recv(200) == b"421 4.3.2 Too many sessions, try again later\r\n"
    assert late.recv(200) == b""
    silent.pop().close()
    host.delivered(1)

    def is_taken() -> bool:
        try:
            return host.deliver(dsn("u1@world.test"), host.address(1)) == [TAKEN]
        except BedError:
            return False

    until(is_taken, 10, "a place is free again", host.daemon.alive)
    for client in [*silent, late]:
        client.close()


def test_it_stops_in_order_with_sessions_open(host: Host) -> None:
    """An idle session and one in the middle of a mail are closed; its socket is gone."""
    idle, busy = connected(host.daemon.socket), connected(host.daemon.socket)
    busy.sendall(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<%s>\r\nDATA\r\nSub" % host.address(1).encode())
    read = b""
    while b"354" not in read:
        read += busy.recv(500)
    started = time.monotonic()
    assert host.daemon.stop() == 0
    assert time.monotonic() - started < 8
    assert not host.daemon.socket.exists()
    for client in (idle, busy):
        while client.recv(500):
            pass
        client.close()


def test_only_a_host_with_return_path_domains_listens(bed: Path, make_watcher: MakeWatcher) -> None:
    """With mailboxes for bounces there is nothing to take; else the socket has the mode it is given."""
    log = bed / "mail.log"
    log.touch()
    source = f"source: {log}"
    settings = "hostname: mail.example.org\ndomains:\n  example.org: {}\n"
    deaf = make_watcher(bed, source, settings=settings)
    deaf.start()
    assert not deaf.socket.exists()
    hearing = make_watcher(bed, source)
    hearing.start()
    assert stat.S_IMODE(os.stat(hearing.socket).st_mode) == 0o666


def test_the_figures_say_what_came(host: Host) -> None:
    """By kind and by effect, in the beat."""
    host.delivered(1)
    host.deliver(dsn("u1@world.test"), host.address(1))
    host.deliver(VACATION, host.address(1), "jane@example.net")
    host.deliver(VACATION, host.address(1, bytes(32)))

    def beats() -> str:
        shared = host.daemon.state_dir / "shared" / "shared.db"
        return str(rows(shared, "SELECT samples FROM beats WHERE word = 'watcher'"))

    until(lambda: "mails_foreign" in beats(), 15, "a beat", host.daemon.alive)
    for name in ("mails_bounce", "mails_autoreply", "mails_foreign", "reports_counted"):
        assert f'"postroom_watcher_{name}_total":1' in beats().replace(" ", "")
