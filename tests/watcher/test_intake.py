"""The watcher's LMTP socket, with a log the test writes: what mails change, and what nobody can make it do."""

import os
import signal
import socket
import stat
import time
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.store.outbox.sample_messages import rows
from tests.watcher.conftest import MakeWatcher
from tests.watcher.log_lines import active, in_file, tried

from postroom.mail.tokens import NAME_OCTETS, mint
from postroom.watcher.intake import MAX_SESSIONS
from sandbox.bounce_mails import VACATION, complaint, dsn
from sandbox.lmtp import deliver
from sandbox.process import BedError, until
from sandbox.watcher import WatcherDaemon

pytestmark = pytest.mark.process

TAKEN = "250 2.0.0 Taken"


class House:
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

    def deliver(self, octets: bytes, *recipients: str, sender: str = "") -> list[str]:
        return deliver(self.daemon.socket, octets, *recipients, sender=sender)


@pytest.fixture
def house(bed: Path, make_watcher: MakeWatcher) -> House:
    log = bed / "mail.log"
    log.touch()
    daemon = make_watcher(bed, f"source: {log}")
    daemon.start()
    return House(daemon, log)


def test_what_mails_say_of_our_mail_is_kept(house: House) -> None:
    """A bounce and a complaint have their effect once; delays and answers of people none; each is told in the log."""
    house.delivered(1, 2, 3, 4)
    bounced, complained = dsn("u1@world.test"), complaint(None)
    assert house.deliver(bounced, house.address(1)) == [TAKEN]
    assert house.deliver(bounced, house.address(1)) == [TAKEN]
    assert house.deliver(complained, house.address(2)) == [TAKEN]
    delayed = dsn("u3@world.test", "delayed", "4.4.1", said="connection timed out")
    assert house.deliver(delayed, house.address(3)) == [TAKEN]
    assert house.deliver(VACATION, house.address(3)) == [TAKEN]
    named = complaint("u4@world.test", house.address(4))
    assert house.deliver(named, "complaints@bounces.example.org") == [TAKEN]
    assert [house.states(number) for number in (1, 2, 3, 4)] == [
        [("bounced", "5.1.1")],
        *[[("delivered", "2.0.0")]] * 3,
    ]
    assert house.shared() == [("A00001", "invalid_recipient"), ("A00002", "complaint"), ("A00004", "complaint")]
    taken = [line.partition("watcher.mail_taken ")[2] for line in house.daemon.log().splitlines()]
    assert [line for line in taken if line] == [
        "kind=bounce effect=counted",
        "kind=bounce effect=repeated",
        "kind=complaint effect=counted",
        "kind=delay effect=nothing",
        "kind=autoreply effect=nothing",
        "kind=complaint effect=counted",
    ]
    assert house.daemon.log().count("watcher.bounced") == 1


def test_a_bounce_that_is_quicker_than_the_log_counts_once(house: House) -> None:
    """Our own Postfix writes its notice and its log at the same moment."""
    assert house.deliver(dsn("u1@world.test"), house.address(1)) == [TAKEN]
    assert house.deliver(dsn("u2@world.test"), house.address(2)) == [TAKEN]
    house.write(
        in_file("qmgr", active("A00001", house.address(1))),
        in_file("smtp", tried("A00001", "u1@world.test", "5.1.1", "bounced", "550 5.1.1 User unknown")),
        in_file("qmgr", "A00001: removed"),
    )
    house.delivered(2)
    assert (house.states(1), house.states(2)) == ([("bounced", "5.1.1")], [("bounced", "5.1.1")])
    until(lambda: house.daemon.log().count("watcher.bounced") == 2, 5, "both logged")
    sources = [
        line.partition(" by=")[2].split()[0] for line in house.daemon.log().splitlines() if "watcher.bounced" in line
    ]
    assert sources == ["log", "report"]
    assert [cause for _, cause in house.shared()] == ["invalid_recipient"] * 2


def test_a_forged_mail_is_taken_and_has_no_effect(house: House) -> None:
    """Another key's token, an old one, a mailbox, somebody else's recipient, mail of ours: taken, so that nobody is
    written to."""
    house.delivered(1)
    forged = dsn("u1@world.test")
    for address in (house.address(1, bytes(32)), house.address(1, age_days=40), "postmaster@bounces.example.org"):
        assert house.deliver(forged, address, sender="evil@example.net") == [TAKEN]
    assert house.deliver(dsn("victim@world.test"), house.address(1)) == [TAKEN]
    assert house.deliver(complaint("victim@world.test"), house.address(1)) == [TAKEN]
    assert house.deliver(complaint("u1@world.test", house.address(1, bytes(32))), "complaints@bounces.example.org")
    assert house.deliver(forged, house.address(1), sender=house.address(2)) == [TAKEN]
    assert house.states(1) == [("delivered", "2.0.0")]
    assert house.shared() == []
    log = house.daemon.log()
    assert log.count("kind=foreign effect=nothing") == 3
    assert log.count("effect=unknown") == 2
    assert "kind=loop effect=nothing" in log


def test_mail_of_another_domain_stays_with_postfix(house: House) -> None:
    """It came by mistake, and is told once how to mend; others in the same mail are taken."""
    house.delivered(1)
    replies = house.deliver(dsn("u1@world.test"), "jane@example.net", house.address(1), "joe@example.net")
    assert replies == ["451 4.3.5 Not a return path of this host", TAKEN, "451 4.3.5 Not a return path of this host"]
    assert house.deliver(b"x", "jane@example.net") == ["451 4.3.5 Not a return path of this host"]
    assert house.states(1) == [("bounced", "5.1.1")]
    assert house.daemon.log().count("watcher.misrouted domain=example.net") == 1


def test_a_store_that_cannot_be_written_makes_mail_wait(house: House) -> None:
    """Nothing is answered 250 that is not stored; once it can be, it counts."""
    house.delivered(1)
    holder = apsw.Connection(str(house.track))
    holder.execute("BEGIN IMMEDIATE")
    assert house.deliver(dsn("u1@world.test"), house.address(1)) == ["451 4.3.0 Cannot be stored now, try again later"]
    holder.execute("ROLLBACK")
    holder.close()
    assert house.deliver(dsn("u1@world.test"), house.address(1)) == [TAKEN]
    assert house.states(1) == [("bounced", "5.1.1")]
    assert house.daemon.log().count("watcher.mail_waits") == 1


@pytest.mark.parametrize(("point", "effect"), [("reports.before_commit", "counted"), ("reports.committed", "repeated")])
def test_killed_in_the_middle_it_counts_once(house: House, point: str, effect: str) -> None:
    """The client has no answer and comes again; whether it was stored before or not, the end is the same."""
    house.delivered(1)
    house.daemon.stop()
    house.daemon.start({"POSTROOM_FAULT": point, "POSTROOM_TEST_BED": str(house.daemon.folder)})
    with pytest.raises(BedError):
        house.deliver(dsn("u1@world.test"), house.address(1))
    assert house.daemon.wait(10) == -signal.SIGKILL
    house.daemon.start()
    assert house.deliver(dsn("u1@world.test"), house.address(1)) == [TAKEN]
    assert f"kind=bounce effect={effect}" in house.daemon.log()
    assert house.states(1) == [("bounced", "5.1.1")]
    assert house.shared() == [("A00001", "invalid_recipient")]


def test_a_large_mail_is_read_at_its_head(house: House) -> None:
    """Forty megabytes behind the report: it is taken, and the daemon stays small."""
    house.delivered(1)
    large = dsn("u1@world.test").removesuffix(b"--b--\r\n") + (b"x" * 70 + b"\r\n") * 600_000
    assert house.deliver(large, house.address(1)) == [TAKEN]
    assert house.states(1) == [("bounced", "5.1.1")]
    peak = Path(f"/proc/{house.daemon.pid}/status").read_text(encoding="ascii").partition("VmHWM:")[2].split()[0]
    assert int(peak) < 200_000, "kB"


def test_hostile_mail_is_taken_in_time(house: House) -> None:
    """Many parts, deep nesting, endless headers: unreadable or nothing, and others are served meanwhile."""
    house.delivered(1)
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(3_000))
    for octets in (
        nested,
        b"--b\r\n" * 50_000,
        b"X: y\r\n" * 100_000,
        b"Final-Recipient: rfc822;\xff@\xff\r\n" * 9_000,
    ):
        started = time.monotonic()
        assert house.deliver(octets, house.address(1)) == [TAKEN]
        assert time.monotonic() - started < 20
    assert house.states(1) == [("delivered", "2.0.0")]


def connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(path))
    return client


def test_more_sessions_than_it_takes_are_told_to_come_again(house: House) -> None:
    """Silent ones cost nothing but their place."""
    silent = [connected(house.daemon.socket) for _ in range(MAX_SESSIONS)]
    for client in silent:
        assert client.recv(200).startswith(b"220 ")
    late = connected(house.daemon.socket)
    assert late.recv(200) == b"421 4.3.2 Too many sessions, try again later\r\n"
    assert late.recv(200) == b""
    silent.pop().close()
    house.delivered(1)

    def is_taken() -> bool:
        try:
            return house.deliver(dsn("u1@world.test"), house.address(1)) == [TAKEN]
        except BedError:
            return False

    until(is_taken, 10, "a place is free again", house.daemon.alive)
    for client in [*silent, late]:
        client.close()


def test_it_stops_in_order_with_sessions_open(house: House) -> None:
    """An idle session and one in the middle of a mail are closed; its socket is gone."""
    idle, busy = connected(house.daemon.socket), connected(house.daemon.socket)
    busy.sendall(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<%s>\r\nDATA\r\nSub" % house.address(1).encode())
    read = b""
    while b"354" not in read:
        read += busy.recv(500)
    started = time.monotonic()
    assert house.daemon.stop() == 0
    assert time.monotonic() - started < 8
    assert not house.daemon.socket.exists()
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


def test_the_figures_say_what_came(house: House) -> None:
    """By kind and by effect, in the beat."""
    house.delivered(1)
    house.deliver(dsn("u1@world.test"), house.address(1))
    house.deliver(VACATION, house.address(1), "jane@example.net")
    house.deliver(VACATION, house.address(1, bytes(32)))

    def beats() -> str:
        shared = house.daemon.state_dir / "shared" / "shared.db"
        return str(rows(shared, "SELECT samples FROM beats WHERE word = 'watcher'"))

    until(lambda: "mails_foreign" in beats(), 15, "a beat", house.daemon.alive)
    for name in ("mails_bounce", "mails_autoreply", "mails_foreign", "reports_counted"):
        assert f'"postroom_watcher_{name}_total":1' in beats().replace(" ", "")
