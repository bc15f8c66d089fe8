"""The milter as a process on its socket, without Postfix: start, work, reload, trouble, end."""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.milter.conftest import MakeMilter
from tests.milter.scripted_client import MilterClient
from tests.milter.verifiers import dkimpy_verdicts
from tests.runtime.test_lifecycle import Started

from postroom.milter.master import restart_pause_s
from sandbox.daemon import CHECKOUT
from sandbox.milter import MilterDaemon
from sandbox.notify import NotifySocket
from sandbox.process import BedError, Identity, until

pytestmark = pytest.mark.process

QUIET = "socket_group: null"
UID = 54_321
"""A user who has no other process."""


def open_sockets(pid: int) -> int:
    """How many it has; files are left out, for the first beat opens the store in its own time."""
    count = 0
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            count += os.readlink(fd).startswith("socket:")
    return count


def signed_events(daemon: MilterDaemon) -> list[str]:
    return [line for line in daemon.log().splitlines() if " milter.signed " in line]


def test_a_message_is_signed_by_both_keys(make_milter: MakeMilter) -> None:
    """The RSA signature on top; both hold; one log line with queue id, door, domain and selectors, no address."""
    daemon = make_milter(settings=QUIET)
    with MilterClient(daemon.socket, daemon_name="POSTROOM") as client:
        inserted = client.message()
    assert [name for name, _ in inserted] == [b"DKIM-Signature", b"DKIM-Signature"]
    assert b"a=rsa-sha256" in inserted[0][1]
    header = b"".join(name + b": " + value.replace(b"\n", b"\r\n") + b"\r\n" for name, value in inserted)
    assert dkimpy_verdicts(header + b"From: a@example.org\r\n\r\nhello\r\n") == [True, True]
    (event,) = signed_events(daemon)
    assert event.endswith(" milter.signed queue_id=4XyZ1k2 door=socket domain=example.org selectors=2026a,2026e")


def test_mail_from_the_world_passes_before_its_body(make_milter: MakeMilter) -> None:
    """At DATA, the first moment with a queue id; a login on the next message of the same session is seen."""
    daemon = make_milter(networks=("192.0.2.0/24",), settings=QUIET)
    with MilterClient(daemon.socket) as client:
        assert client.begin() == "a"
        assert client.begin(login="jane") == "c"
        assert client.header((b"From", b"x@example.com")) == "a"
        assert client.begin() == "a"
    events = [line.partition("milter.unsigned ")[2] for line in daemon.log().splitlines() if "unsigned" in line]
    assert events == [
        "queue_id=4XyZ1k2 door=inbound reason=inbound",
        "queue_id=4XyZ1k2 door=smtp domain=example.com reason=domain_not_ours",
        "queue_id=4XyZ1k2 door=inbound reason=inbound",
    ]
    with MilterClient(daemon.socket, address="192.0.2.9") as client:
        assert len(client.message()) == 2


SENDERS = "senders:\n  allow:\n    - {domains: [example.org], logins: [anna]}\n"


def test_who_may_not_use_the_domain_is_not_signed(make_milter: MakeMilter) -> None:
    """By SMTP known by its login; with `others: refuse` the mail is not taken, with one From or several."""
    mail, two = ((b"From", b"x@example.org"),), ((b"From", b"x@example.org"), (b"From", b"y@example.org"))
    hosts = ((b"From", b"x@mail.example.org"),)
    daemon = make_milter(settings=QUIET, sections=SENDERS)
    with MilterClient(daemon.socket) as client:
        answers = [(client.begin(login=login), client.header(*mail)) for login in ("joe", None, "anna")]
    assert answers == [("c", "a"), ("c", "a"), ("c", "c")]
    assert daemon.log().count("reason=sender_not_allowed") == 2
    strict = make_milter(settings=QUIET, sections=f"{SENDERS}  others: refuse\n")
    with MilterClient(strict.socket) as client:
        answers = [(client.begin(login="joe"), client.header(*fields)) for fields in (mail, two, hosts)]
        assert answers == [("c", "y"), ("c", "y"), ("c", "y")]
        assert (client.begin(login="anna"), client.header(*mail)) == ("c", "c")
    assert strict.log().count("milter.not_allowed") == 3
    assert strict.log().count("postfix.rewriting_unknown") == 1  # there is no main.cf here, and it serves


def test_a_login_that_no_entry_names_has_what_the_rule_gives(make_milter: MakeMilter) -> None:
    """From this host too: who logged in is not the user whose webmail it is. Without a login nobody is known there."""
    boss, own = ((b"From", b"boss@example.org"),), ((b"From", b"joe@example.org"),)
    for rule, answers in (("own_address", "ac"), ("own_domain", "cc"), ("listed", "cc")):
        daemon = make_milter(settings=QUIET, sections=f"senders: {{logins: {rule}}}")
        with MilterClient(daemon.socket) as client:
            for mail, answer in zip((boss, own), answers, strict=True):
                assert client.begin(login="joe@example.org") == "c"
                assert client.header(*mail) == answer
            assert client.begin() == "c"
            assert client.header(*own) == ("c" if rule == "listed" else "a")
        assert daemon.log().count("milter.port_untold") == (rule != "listed")


def test_the_sendmail_door_answers_nobody_that_it_cannot_name(make_milter: MakeMilter) -> None:
    """A listener that does not tell its port, and a connection there is not: 451, never mail."""
    daemon = make_milter(settings=QUIET)
    with MilterClient(daemon.socket, daemon_name="POSTROOM_SENDMAIL") as client:
        assert [client.begin(), client.begin()] == ["y", "y"]
    assert daemon.log().count("milter.turned_away queue_id=4XyZ1k2 uid=unknown") == 2


def test_a_header_whose_signature_no_milter_could_add_passes_unsigned(make_milter: MakeMilter) -> None:
    """It would be refused for now, and again each time it comes."""
    daemon = make_milter(settings=QUIET)
    author = (b"From", b"jane@example.org")
    for fields in (
        [(b"Content-X%d" % number, b"y") for number in range(5_000)],
        [(b"To", b"joe@example.net")] * 5_000,
        [(b"List-" + b"x" * 60_000, b"y")],
        [(b"x", b"")] * 20_000,
    ):
        with MilterClient(daemon.socket) as client:
            assert client.begin() == "c"
            assert client.header(author, *fields) == "a"
    assert daemon.log().count(" reason=header_too_large") == 4
    with MilterClient(daemon.socket) as client:
        client.begin()
        assert client.header(author, *([(b"Content-X%d" % number, b"y") for number in range(200)])) == "c"


def test_an_aborted_message_leaves_nothing_to_the_next(make_milter: MakeMilter) -> None:
    """RSET in the middle of a body; what came before is forgotten."""
    daemon = make_milter(settings=QUIET)
    with MilterClient(daemon.socket) as client:
        client.begin()
        client.header((b"From", b"a@example.org"), (b"From", b"b@example.org"))
        client.send("A")
        client.begin()
        client.header((b"From", b"a@example.org"))
        client.step("B", b"half of it")
        client.send("A")
        assert len(client.message()) == 2
    assert len(signed_events(daemon)) == 1


def test_a_start_without_good_keys_is_refused_in_one_line(make_milter: MakeMilter) -> None:
    """Exit 78; setting, file, and how to mend; the socket is gone again."""
    daemon = make_milter(settings=QUIET, started=False)
    daemon.rsa_key.chmod(0o644)
    with pytest.raises(BedError):
        daemon.start()
    (line,) = daemon.log().splitlines()
    assert " critical: daemon.refused reason=" in line
    assert f"{daemon.rsa_key}: can be read or changed by everyone (mode 0644); mend: " in line
    assert not daemon.socket.exists()
    check = daemon.command("check")
    assert (check.returncode, f"{daemon.rsa_key}: can be read" in check.stderr) == (78, True)


def test_a_reload_takes_new_keys_and_drains_the_old_ones(make_milter: MakeMilter) -> None:
    """New sessions have the new generation at once; one that was open goes on with the old one, which then ends."""
    daemon = make_milter(settings=QUIET)
    old = set(daemon.workers())
    with MilterClient(daemon.socket) as client:
        assert len(client.message()) == 2
        text = daemon.config.read_text()
        daemon.config.write_text(text.replace(f", {{selector: 2026e, key_file: {daemon.ed25519_key}}}", ""))
        daemon.change("  networks:", "  workers: 3\n  networks:")
        assert " warning: daemon.needs_restart settings=milter.workers " in daemon.reload()
        with MilterClient(daemon.socket) as newcomer:
            assert len(newcomer.message()) == 1
        assert len(client.message()) == 2
        assert len(set(daemon.workers()) & old) >= 1
    until(lambda: not set(daemon.workers()) & old, 10, "the end of the old generation", daemon.alive)
    assert len(daemon.workers()) == 2


def test_a_reload_with_a_broken_key_keeps_the_old_ones(make_milter: MakeMilter) -> None:
    """All or nothing, and logged; a configuration that is broken likewise."""
    daemon = make_milter(settings=QUIET)
    workers = daemon.workers()
    daemon.ed25519_key.write_text("no key")
    daemon.reload()
    daemon.config.write_text("domains: [")
    daemon.reload()
    refused = [line for line in daemon.log().splitlines() if " error: daemon.reload_refused " in line]
    assert len(refused) == 2
    assert "ed25519.pem: contains no private key in PEM; mend: " in refused[0]
    assert daemon.workers() == workers
    with MilterClient(daemon.socket) as client:
        assert len(client.message()) == 2


def test_sigterm_lets_open_sessions_end(make_milter: MakeMilter) -> None:
    """No new ones meanwhile: the socket is gone, and the message under way is signed."""
    daemon = make_milter(settings=QUIET)
    with MilterClient(daemon.socket) as client:
        client.begin()
        client.header((b"From", b"a@example.org"))
        client.step("B", b"half ")
        os.kill(daemon.pid, signal.SIGTERM)
        until(lambda: not daemon.socket.exists(), 10, "the end of listening", daemon.alive)
        with pytest.raises(OSError, match=r"No such file|refused"):
            MilterClient(daemon.socket)
        client.step("B", b"and the other\r\n")
        answer, inserted = client.end()
        assert (answer, len(inserted)) == ("c", 2)
        assert daemon.alive()
    assert daemon.wait(10) == 0
    assert len(signed_events(daemon)) == 1


def test_workers_outlive_a_killed_master_only_until_their_sessions_end(make_milter: MakeMilter) -> None:
    """EOF on the pipe reaches them; a new daemon takes the socket over at once."""
    daemon = make_milter(settings=QUIET)
    workers = [identity for pid in daemon.workers() if (identity := Identity.of(pid))]
    with MilterClient(daemon.socket) as client:
        client.begin()
        daemon.kill()
        client.header((b"From", b"a@example.org"))
        assert len(client.end()[1]) == 2
    until(lambda: not any(worker.alive() for worker in workers), 10, "the end of the workers")
    daemon.start()
    with MilterClient(daemon.socket) as client:
        assert len(client.message()) == 2


def test_a_daemon_that_was_killed_is_started_at_once(make_milter: MakeMilter) -> None:
    """A worker of the old one still serves a session; it does not hold the place of the new one."""
    daemon = make_milter(settings=QUIET)
    with MilterClient(daemon.socket) as old:
        old.begin()
        daemon.kill()
        daemon.start()
        with MilterClient(daemon.socket) as client:
            assert len(client.message()) == 2
        old.header((b"From", b"a@example.org"))
        assert len(old.end()[1]) == 2


@pytest.mark.postfix
def test_no_room_for_another_process_costs_a_worker_for_a_while_and_not_the_daemon(
    bed: Path, make_milter: MakeMilter
) -> None:
    """A worker that died is missing until there is room again; a reload leaves the old ones in their places."""
    daemon = make_milter(settings=QUIET, started=False)
    hash_key = daemon.state_dir / "keys" / "recipient-hash.key"
    for path in (bed, daemon.folder, daemon.folder / "run", daemon.rsa_key, daemon.ed25519_key, hash_key):
        os.chown(path, UID, UID)
    as_user = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--bounding-set=-all")

    def leave_room_for(processes: int) -> None:
        subprocess.run([*as_user, "prlimit", f"--pid={daemon.pid}", f"--nproc={processes}:"], check=True)

    daemon.start(prefix=as_user)
    killed, other = daemon.workers()
    leave_room_for(1)
    os.kill(killed, signal.SIGKILL)
    until(lambda: "milter.worker_missing" in daemon.log(), 10, "a fork in vain", daemon.alive)
    daemon.hang_up()
    until(lambda: "daemon.reload_failed" in daemon.log(), 10, "the reload", daemon.alive)
    assert daemon.workers() == [other]
    leave_room_for(100)
    until(lambda: len(daemon.workers()) == 2, 10, "two workers", daemon.alive)
    daemon.reload()
    until(lambda: other not in daemon.workers() and len(daemon.workers()) == 2, 10, "new workers", daemon.alive)
    with MilterClient(daemon.socket) as client:
        assert len(client.message()) == 2


def test_restarts_slow_down() -> None:
    """A worker that dies at its start does not keep the machine busy."""
    assert [restart_pause_s(deaths) for deaths in (0, 1, 2, 8, 9, 10_000)] == [0.1, 0.2, 0.4, 25.6, 30.0, 30.0]


GARBAGE = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\0" * 100,
    b"\xff" * 100,
    b"\0\0\0\x01E",
    b"\0\0\0\x01T" * 50,
    b"\0\0\0\x0dO\0\0\0\x06\0\0\0\x01\0\0\0\0\0\0\0\x01E",
    b"\0\0\0\x0dO\0\0\0\x06\0\0\0\x01\0\x1f\xff\xff\0\0\0\x05LFrom\0\0\0\x01N\0\0\0\x01E",
    b"\0\0\0\x0dO\0\0\0\x02\0\0\0\x01\0\0\0\0\0\0\0\x03Mx\0",
]


def test_garbage_on_the_socket_disturbs_nobody(make_milter: MakeMilter) -> None:
    """Whatever comes, in pieces and as a whole, no worker dies and the next message is signed."""
    daemon = make_milter(settings=QUIET)
    workers = daemon.workers()
    for octets in GARBAGE:
        for pieces in ([octets], [octets[at : at + 1] for at in range(len(octets))]):
            with socket.socket(socket.AF_UNIX) as stranger, contextlib.suppress(ConnectionError):
                stranger.settimeout(5)
                stranger.connect(str(daemon.socket))
                for piece in pieces:
                    stranger.sendall(piece)
                stranger.shutdown(socket.SHUT_WR)
                while stranger.recv(4096):
                    pass
    with MilterClient(daemon.socket) as client:
        assert len(client.message()) == 2
    assert daemon.workers() == workers


def test_a_message_out_of_order_is_told_to_come_again(make_milter: MakeMilter) -> None:
    """A fault of ours or of the other side is no unsigned mail: 4xx at its end, one line in the log."""
    daemon = make_milter(settings=QUIET)
    with MilterClient(daemon.socket) as client:
        client.step("M", b"<a@example.org>\0")
        client.step("R", b"<b@example.net>\0")
        assert client.header((b"From", b"a@example.org"), (b"To", b"b@example.net")) == "t"
        assert len(client.message()) == 2
    faults = [line for line in daemon.log().splitlines() if " error: milter.fault " in line]
    assert len(faults) == 1
    assert 'queue_id=NOQUEUE effect="the client is told to try again later" error=LookupError where=' in faults[0]


def test_a_client_that_vanishes_in_a_body_costs_nothing(make_milter: MakeMilter) -> None:
    """Its descriptor is closed, the worker goes on."""
    daemon = make_milter(settings="socket_group: null\n  workers: 1")
    (worker,) = daemon.workers()
    with MilterClient(daemon.socket) as client:
        client.message()
    before = open_sockets(worker)
    for _ in range(20):
        client = MilterClient(daemon.socket)
        client.greet()
        client.begin()
        client.header((b"From", b"a@example.org"))
        client.step("B", b"x" * 60_000)
        client.socket.close()
    until(lambda: open_sockets(worker) <= before, 10, "the descriptors closed", daemon.alive)
    assert daemon.workers() == [worker]


def test_figures_reach_the_shared_store(make_milter: MakeMilter) -> None:
    """Signed, unsigned by reason, faults: each worker's beat; the last one is sent when it ends."""
    daemon = make_milter(settings=QUIET, store=True)
    with MilterClient(daemon.socket) as client:
        for _ in range(3):
            client.message()
        client.begin()
        client.header((b"From", b"a@example.com"))
    daemon.stop()
    sums: dict[str, float] = {}
    for samples in beats(daemon):
        for name, value in samples.items():
            sums[name] = sums.get(name, 0) + value
    assert sums == {"postroom_milter_signed_total": 3, "postroom_milter_unsigned_domain_not_ours_total": 1}


def beats(daemon: MilterDaemon) -> list[dict[str, float]]:
    import asyncio

    from postroom.store.sqlite_store import open_sqlite_store

    async def read() -> list[dict[str, float]]:
        store = open_sqlite_store(daemon.state_dir / "shared")
        try:
            return [dict(beat.samples) for beat in await store.beats.recent(60)]
        finally:
            await store.close()

    return asyncio.run(read())


def test_without_its_store_it_signs(make_milter: MakeMilter) -> None:
    """Figures are lost, service is not; said once."""
    daemon = make_milter(settings=QUIET)
    assert not (daemon.state_dir / "shared").exists()
    with MilterClient(daemon.socket) as client:
        assert len(client.message()) == 2
    until(lambda: " warning: store.unavailable " in daemon.log(), 10, "the warning", daemon.alive)


@contextlib.contextmanager
def under_systemd(daemon: MilterDaemon, bed: Path, shell: str, *, fds: tuple[int, ...] = ()) -> Iterator[Started]:
    """The daemon as a shell line starts it, `$COMMAND` being its own, and all it tells systemd."""
    command = shlex.join([sys.executable, "-m", "postroom", "--config", str(daemon.config), "milter"])
    with (
        NotifySocket(bed / "notify") as notify,
        subprocess.Popen(
            ["bash", "-c", shell.replace("$COMMAND", command)],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT / "daemons"), "NOTIFY_SOCKET": str(notify.path)},
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=fds,
        ) as child,
    ):
        try:
            yield Started(child, notify)
        finally:
            child.kill()


def test_systemd_is_told_of_each_turn(make_milter: MakeMilter, bed: Path) -> None:
    """READY=1, WATCHDOG=1, RELOADING=1 with its time, STOPPING=1: from the master, which has no event loop."""
    daemon = make_milter(settings=QUIET, started=False)
    with under_systemd(daemon, bed, "WATCHDOG_USEC=60000000 WATCHDOG_PID=$$ exec $COMMAND") as started:
        words = [started.word() for _ in range(3)]
        assert words == ["READY=1", f"STATUS=listening on {daemon.socket}", "WATCHDOG=1"]
        started.child.send_signal(signal.SIGHUP)
        words = list(iter(started.word, "READY=1"))  # beats may come in between: postconf(1) ends as a child does
        assert [word.partition("=")[0] for word in words if word != "WATCHDOG=1"] == ["RELOADING", "MONOTONIC_USEC"]
        started.child.terminate()
        while (word := started.word()) == "WATCHDOG=1":
            pass
        assert word == "STOPPING=1"
        assert started.child.wait(10) == 0


def test_the_watchdog_is_fed_without_any_other_turn(make_milter: MakeMilter, bed: Path) -> None:
    """At half its period, while nothing happens."""
    daemon = make_milter(settings=QUIET, started=False)
    with under_systemd(daemon, bed, "WATCHDOG_USEC=100000 WATCHDOG_PID=$$ exec $COMMAND") as started:
        assert started.word() == "READY=1"
        assert [started.word() for _ in range(6)][1:] == ["WATCHDOG=1"] * 5


def test_a_socket_passed_by_systemd_is_served_and_left(make_milter: MakeMilter, bed: Path) -> None:
    """LISTEN_FDS; what connected before the start waits in it; the file is systemd's and stays at the end."""
    daemon = make_milter(settings=QUIET, started=False)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(daemon.socket))
        listener.listen()
        early = MilterClient(daemon.socket)
        shell = f"exec 3<&{listener.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec $COMMAND"
        with under_systemd(daemon, bed, shell, fds=(listener.fileno(),)) as started:
            with early as client:
                assert len(client.message()) == 2
            started.child.terminate()
            assert started.child.wait(10) == 0
        assert daemon.socket.is_socket()


def test_a_weak_key_serves_with_a_warning(make_milter: MakeMilter) -> None:
    """1024 bits: told at the start, which is when somebody looks."""
    daemon = make_milter(settings=QUIET, started=False)
    weak = subprocess.run(["openssl", "genrsa", "1024"], capture_output=True, check=True).stdout
    daemon.rsa_key.write_bytes(weak)
    daemon.start()
    assert " warning: milter.key_weak domain=example.org selector=2026a bits=1024" in daemon.log()
    with MilterClient(daemon.socket) as client:
        assert len(client.message()) == 2
