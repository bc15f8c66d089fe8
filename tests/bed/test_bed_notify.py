"""READY=1 is waited for with a deadline, and never for a dead daemon."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.notify import NotifySocket
from sandbox.process import BedError

pytestmark = pytest.mark.process

SAY = """
import os, socket, sys
say = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
say.connect(os.environ["NOTIFY_SOCKET"])
for word in sys.argv[1:]:
    say.send(word.encode())
"""


@pytest.fixture
def notify(bed: Path) -> Iterator[NotifySocket]:
    with NotifySocket(bed / "notify") as notify:
        yield notify


def say(notify: NotifySocket, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SAY, *words], env={**os.environ, "NOTIFY_SOCKET": str(notify.path)})


def test_ready_is_seen_with_what_was_said_before_it(notify: NotifySocket) -> None:
    """Status lines come first, several in one datagram or one in each."""
    with say(notify, "STATUS=opening the store", "READY=1\nMAINPID=7") as daemon:
        lines = notify.wait_ready(daemon.pid, 10)
    assert lines == ["STATUS=opening the store", "READY=1", "MAINPID=7"]


def test_a_daemon_that_dies_first_ends_the_wait_at_once(notify: NotifySocket) -> None:
    """An hour's deadline is not waited out for a process that ended."""
    with say(notify, "STATUS=bad config") as daemon, pytest.raises(BedError, match="ended before it was ready"):
        notify.wait_ready(daemon.pid, 3600)


def test_a_daemon_long_gone_ends_the_wait_at_once(notify: NotifySocket) -> None:
    """Its process id names nobody any more."""
    daemon = say(notify)
    daemon.wait()
    with pytest.raises(BedError, match="ended before it was ready"):
        notify.wait_ready(daemon.pid, 3600)


def test_silence_ends_at_the_deadline(notify: NotifySocket) -> None:
    """A daemon that lives but is never ready."""
    with pytest.raises(BedError, match="not ready within 0"):
        notify.wait_ready(os.getpid(), 0.02)


def test_a_leftover_socket_is_replaced(bed: Path) -> None:
    """A run killed before it could clean up does not keep the next one from starting."""
    path = bed / "leftover"
    first = NotifySocket(path)
    with NotifySocket(path) as second, say(second, "READY=1") as daemon:
        assert second.wait_ready(daemon.pid, 10) == ["READY=1"]
    first.close()
    assert not path.exists()
