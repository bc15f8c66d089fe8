"""The sendmail door's port, held by whoever likes to: users of the host connect to it, and others' mail goes on."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.milter.door_bed import BACKUP, DoorBed, door_bed

from sandbox.process import until
from sandbox.sink import Sink

pytestmark = pytest.mark.postfix

PER_UID = "  - {name: per-uid, key: uid, rate: 1000/1h}"
EVE = 65534
NO_SUCH = 4_000_000_000
"""A uid without a name."""

HOLD = """
import socket, sys
socks = []
for _ in range(int(sys.argv[2])):
    socks.append(socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=300))
print("connected", flush=True)
said = {sock.makefile("rb").readline()[:9].decode() for sock in socks}
print(*said, sep=",", flush=True)
sys.stdin.read()
"""
"""So many connections that say nothing; prints what they were told, each in its turn."""

AGAIN = """
import socket, sys
while True:
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=300) as sock:
            sock.makefile("rb").readline()
            print("told", flush=True)
    except OSError:
        pass
"""
"""Connects again and again, for ever."""


@contextmanager
def as_user(uid: int, script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python script that runs as another user, until the end."""
    command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", sys.executable, "-c", script]
    with subprocess.Popen(
        [*command, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/"
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def line(of: subprocess.Popen[str]) -> str:
    assert of.stdout is not None
    return of.stdout.readline().strip()


def passes(room: DoorBed, already: int) -> None:
    """An honest user's mail goes through while the others still do what they do."""
    room.send(1, BACKUP)
    room.arrived(already + 1)


@pytest.mark.parametrize("count", [150, 1000])
def test_connections_that_say_nothing_hold_up_nobody(bed: Path, sink: Sink, count: int) -> None:
    """More than the door has processes: each is told 421 and closed, and sendmail(1) of another user goes on."""
    with door_bed(bed, sink, PER_UID) as room, as_user(EVE, HOLD, room.port, count) as eve:
        assert line(eve) == "connected"
        passes(room, 0)
        assert line(eve) == "421 4.7.1"
        passes(room, 1)
        assert room.policy.log().count("policy.turned_away uid=65534 ") == 1, "a line for each user, not for each try"


def test_connections_made_again_and_again_hold_up_nobody(bed: Path, sink: Sink) -> None:
    """Twelve processes of two users that do nothing else."""
    with door_bed(bed, sink, PER_UID) as room, ExitStack() as running:
        users = (EVE, NO_SUCH) * 6
        for process in [running.enter_context(as_user(uid, AGAIN, room.port)) for uid in users]:
            assert line(process) == "told"
        for number in range(5):
            passes(room, number)
        assert room.outcomes() == ["pass"] * 5


def test_a_policy_daemon_that_is_gone_opens_nothing(bed: Path, sink: Sink) -> None:
    """Connections that say nothing then end after a while; honest mail waits for the daemon, whose answer about
    recipients it needs, and comes when it is back."""
    with door_bed(bed, sink, PER_UID) as room, as_user(EVE, HOLD, room.port, 150) as eve:
        assert line(eve) == "connected"
        assert line(eve) == "421 4.7.1"
        room.policy.kill()
        with as_user(EVE, HOLD, room.port, 150) as more:
            assert line(more) == "connected"
            room.send(1, BACKUP)
            assert line(more) == "220 mail."
        room.policy.start()
        room.delivered(1)


def test_a_policy_daemon_that_is_stuck_stops_no_mail_for_long(bed: Path, sink: Sink) -> None:
    """Stopped like a process that hangs: what waits meanwhile comes when it goes on."""
    with door_bed(bed, sink, PER_UID) as room:
        passes(room, 0)
        os.kill(room.policy.pid, signal.SIGSTOP)
        room.send(1, BACKUP)
        until(lambda: bool(room.postfix.queue()), 40, "a mail that waits", room.postfix.alive, 0.2)
        os.kill(room.policy.pid, signal.SIGCONT)
        room.delivered(2)
