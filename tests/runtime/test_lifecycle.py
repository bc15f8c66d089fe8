"""A daemon's life, as systemd sees it: real processes, real signals, a real notification socket."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import pytest

import postroom
from postroom.runtime.notify import Notifier
from sandbox.notify import NotifySocket

pytestmark = pytest.mark.process

SOURCES = Path(postroom.__file__).parent.parent
DAEMON = Path(__file__).with_name("some_daemon.py")
WITHIN_S = 10.0


class Started:
    """A daemon and what it tells systemd."""

    def __init__(self, child: "subprocess.Popen[str]", notify: NotifySocket) -> None:
        self.child = child
        self._socket: socket.socket = notify._socket
        self._words: list[str] = []

    def word(self) -> str:
        """The next line it sends to systemd."""
        while not self._words:
            assert select.select([self._socket], [], [], WITHIN_S)[0], "it says nothing"
            self._words = self._socket.recv(4096).decode("ascii").splitlines()
        return self._words.pop(0)

    def is_silent_for(self, time_s: float) -> bool:
        return not self._words and not select.select([self._socket], [], [], time_s)[0]

    def line(self) -> str:
        """The next line on its stdout."""
        return self._file(self.child.stdout).readline().rstrip("\n")

    def tell(self, text: str) -> None:
        self._file(self.child.stdin).write(f"{text}\n")
        self._file(self.child.stdin).flush()

    def errors(self) -> list[str]:
        """All it logged; it must have ended."""
        self.child.wait(WITHIN_S)
        return self._file(self.child.stderr).read().splitlines()

    @staticmethod
    def _file(file: IO[str] | None) -> IO[str]:
        assert file is not None
        return file


@contextmanager
def daemon(bed: Path, how: str, **environment: str) -> Iterator[Started]:
    with (
        NotifySocket(bed / "notify") as notify,
        subprocess.Popen(
            [sys.executable, str(DAEMON), how],
            env={"PYTHONPATH": str(SOURCES), "NOTIFY_SOCKET": str(notify.path), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child,
    ):
        # A word that never comes ends the test, not the patience of who runs it.
        deadline = threading.Timer(2 * WITHIN_S, child.kill)
        deadline.start()
        try:
            yield Started(child, notify)
        finally:
            deadline.cancel()
            child.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_is_ready_drains_and_ends_well(bed: Path, number: signal.Signals) -> None:
    """READY=1 when all is open; at SIGTERM (Ctrl-C too) STOPPING=1, then it drains, then exit 0."""
    with daemon(bed, "serves") as started:
        assert [started.word(), started.word()] == ["READY=1", "STATUS=at your service"]
        started.child.send_signal(number)
        assert started.word() == "STOPPING=1"
        assert started.line() == "drained"
        assert started.child.wait(WITHIN_S) == 0
        events = [text.split(": ", 1)[1] for text in started.errors()]
        pid = started.child.pid
        assert events == [f"daemon.{event} pid={pid}" for event in ("ready", "stopping", "stopped")]


@pytest.mark.parametrize("notify_socket", ["", "/nonexistent/notify"])
def test_without_systemd_it_lives_as_well(bed: Path, notify_socket: str) -> None:
    """No notification socket, or one that is gone: nothing is missed."""
    with daemon(bed, "serves", NOTIFY_SOCKET=notify_socket) as started:
        assert " daemon.ready " in Started._file(started.child.stderr).readline()
        started.child.terminate()
        assert started.child.wait(WITHIN_S) == 0


def test_a_start_that_is_refused_is_one_line_and_exit_78(bed: Path) -> None:
    """What, where and how to mend; no traceback; a code that the unit does not restart; systemd hears no READY."""
    with daemon(bed, "refuses") as started:
        assert started.child.wait(WITHIN_S) == 78
        (text,) = started.errors()
        assert text.endswith(
            ' critical: daemon.refused reason="/etc/postroom/postroom.yaml: no such thing; mend: write one"'
        )
        assert started.is_silent_for(0)


def test_a_fault_of_ours_is_one_line_and_exit_70(bed: Path) -> None:
    """The kind of the error and its place, so that it can be mended; not its text, which may quote an address."""
    with daemon(bed, "breaks") as started:
        assert started.child.wait(WITHIN_S) == 70
        (text,) = started.errors()
        line = next(n for n, code in enumerate(DAEMON.read_text().splitlines(), 1) if "raise ValueError" in code)
        assert text.endswith(f" critical: daemon.failed error=ValueError where={DAEMON}:{line}")


def test_a_store_that_fails_says_how_to_mend_it(bed: Path) -> None:
    """The store's own words name files, never addresses: they are logged."""
    with daemon(bed, "loses") as started:
        assert started.child.wait(WITHIN_S) == 70
        (text,) = started.errors()
        assert text.endswith('reason="mail.db: no space left; mend: free space on its file system"')
        assert " daemon.failed error=StoreFull " in text


def test_sighup_reloads(bed: Path) -> None:
    """RELOADING=1 with the time systemd asks for, then READY=1 when the new state is in use."""
    with daemon(bed, "reloads") as started:
        assert [started.word(), started.word()] == ["READY=1", "STATUS=at your service"]
        asked_at = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        started.child.send_signal(signal.SIGHUP)
        assert started.word() == "RELOADING=1"
        name, _, moment = started.word().partition("=")
        assert name == "MONOTONIC_USEC"
        assert asked_at <= int(moment) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        assert started.line() == "reloading"
        assert started.is_silent_for(0)
        started.tell("go on")
        assert (started.line(), started.word()) == ("reloaded", "READY=1")


def test_a_sighup_during_a_reload_is_not_lost(bed: Path) -> None:
    """The reload under way may have read the old files already: another one follows, one for however many."""
    with daemon(bed, "reloads") as started:
        started.word(), started.word()
        started.child.send_signal(signal.SIGHUP)
        assert [started.word(), started.word().partition("=")[0]] == ["RELOADING=1", "MONOTONIC_USEC"]
        assert started.line() == "reloading"
        for _ in range(3):
            started.child.send_signal(signal.SIGHUP)
        started.tell("go on")
        assert (started.line(), started.word()) == ("reloaded", "READY=1")
        assert (started.line(), started.word()) == ("reloading", "RELOADING=1")
        started.tell("go on")
        assert (started.line(), started.word().partition("=")[0]) == ("reloaded", "MONOTONIC_USEC")
        assert started.word() == "READY=1"
        started.child.terminate()
        assert [started.word(), started.line()] == ["STOPPING=1", "drained"]


def test_a_reload_that_breaks_leaves_the_daemon_serving(bed: Path) -> None:
    """It is logged at once, systemd is told READY=1, and the next SIGHUP reloads."""
    with daemon(bed, "reloads") as started:
        started.word(), started.word()
        for word, answer in (("fail", None), ("go on", "reloaded")):
            started.child.send_signal(signal.SIGHUP)
            assert started.line() == "reloading"
            started.tell(word)
            assert [started.word() for _ in range(3)][::2] == ["RELOADING=1", "READY=1"]
            assert answer is None or started.line() == answer
        started.child.terminate()
        assert started.child.wait(WITHIN_S) == 0
        failed = [text for text in started.errors() if " error: " in text]
        assert len(failed) == 1
        assert ' error: daemon.reload_failed effect="the old state stays in use" error=ValueError where=' in failed[0]
        assert "jane" not in failed[0]


def test_a_reload_says_what_came_of_it(bed: Path) -> None:
    """Refused: every reason, and the old state stays. Taken: and which changed settings wait for a restart."""
    with daemon(bed, "reloads") as started:
        started.word(), started.word()
        for word in ("refuse", "half", "go on"):
            started.child.send_signal(signal.SIGHUP)
            assert started.line() == "reloading"
            started.tell(word)
            assert [started.word() for _ in range(3)][2] == "READY=1"
            assert word == "refuse" or started.line() == "reloaded"
        started.child.terminate()
        said = [text.split("] ", 1)[1] for text in started.errors() if "reload" in text or "restart" in text]
        reason = "postroom.yaml:3: log.level: 'loud' is none; postroom.yaml:5: x: is no setting"
        assert said == [
            f'error: daemon.reload_refused reason="{reason}" effect="the old state stays in use"',
            'warning: daemon.needs_restart settings="policy.socket log" effect="their old values stay in use"',
            "info: daemon.reloaded",
            "info: daemon.reloaded",
        ]


def test_a_sighup_without_anything_to_reload_ends_nothing(bed: Path) -> None:
    """The signal's default would be the end."""
    with daemon(bed, "serves") as started:
        started.word(), started.word()
        started.child.send_signal(signal.SIGHUP)
        started.child.terminate()
        assert started.word() == "STOPPING=1"
        assert started.child.wait(WITHIN_S) == 0


def test_the_watchdog_is_fed_at_half_its_period(bed: Path) -> None:
    """Twice in each period, so that one late beat is no death; and not more often than that."""
    period_s = 0.4
    with daemon(bed, "serves", WATCHDOG_USEC=str(int(period_s * 1e6))) as started:
        words, began = [started.word()], time.monotonic()
        while words.count("WATCHDOG=1") < 9:
            words.append(started.word())
        took_s = time.monotonic() - began
        assert set(words) == {"READY=1", "STATUS=at your service", "WATCHDOG=1"}
        # Eight gaps of half a period each; on a busy machine they may be longer, never shorter.
        assert 8 * period_s / 2 * 0.9 < took_s < 8 * period_s


def test_a_loop_that_stands_still_feeds_no_watchdog(bed: Path) -> None:
    """The beat comes from the loop that serves, so systemd notices when that one is stuck."""
    with daemon(bed, "reloads", WATCHDOG_USEC="40000") as started:
        started.child.send_signal(signal.SIGHUP) if started.word() else None
        assert started.line() == "reloading"
        started.tell("stand still")
        assert started.line() == "standing still"
        while not started.is_silent_for(0):
            started.word()
        assert started.is_silent_for(0.2), "five periods without a beat"
        started.tell("go on")
        assert started.line() == "reloaded"
        assert "WATCHDOG=1" in {started.word() for _ in range(4)}


@pytest.mark.parametrize(
    "environment",
    [
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "it"},
    ],
)
def test_a_watchdog_that_is_not_ours_is_not_fed(bed: Path, environment: dict[str, str]) -> None:
    """Another process's (sd_watchdog_enabled(3)), or one without a period."""
    with daemon(bed, "serves", **environment) as started:
        assert [started.word(), started.word()] == ["READY=1", "STATUS=at your service"]
        started.child.terminate()
        assert started.word() == "STOPPING=1"
        assert started.child.wait(WITHIN_S) == 0
        assert started.is_silent_for(0)


def test_the_pid_of_the_watchdog_is_our_own(bed: Path) -> None:
    """With $WATCHDOG_PID naming us, as systemd sets it, it is fed."""
    program = f'WATCHDOG_PID=$$ exec "{sys.executable}" "{DAEMON}" serves'
    with NotifySocket(bed / "notify") as notify:
        environment = {"PYTHONPATH": str(SOURCES), "NOTIFY_SOCKET": str(notify.path), "WATCHDOG_USEC": "20000"}
        with subprocess.Popen(
            ["sh", "-c", program], env={**os.environ, **environment}, text=True, stderr=subprocess.PIPE
        ) as child:
            try:
                started = Started(child, notify)
                assert "WATCHDOG=1" in {started.word() for _ in range(3)}
            finally:
                child.kill()


def test_a_manager_that_does_not_listen_is_not_waited_for(bed: Path) -> None:
    """With the queue of its socket full a daemon serves and reloads; it hears READY=1 as soon as there is room."""
    with daemon(bed, "reloads", WATCHDOG_USEC="20000") as started:
        lines = started._file(started.child.stderr)
        assert " daemon.ready " in lines.readline()
        for _ in range(20):
            started.child.send_signal(signal.SIGHUP)
            assert started.line() == "reloading"
            started.tell("well")
            assert started.line() == "reloaded"
            assert " daemon.reloaded" in lines.readline()
        words = [started.word() for _ in range(40)]
        assert words[:2] == ["READY=1", "STATUS=at your service"]
        while "READY=1" not in words[2:]:  # after the signs of life that filled the queue
            words.append(started.word())
        started.child.terminate()
        assert started.line() == "drained"
        assert started.child.wait(WITHIN_S) == 0


@pytest.mark.parametrize("name", ["@postroom-test-{pid}", "{bed}/manager"])
def test_what_must_arrive_waits_for_room_in_order_and_the_rest_is_dropped(bed: Path, name: str) -> None:
    """Two hundred signs of life and a status at a full queue cost nothing; READY=1 comes before STOPPING=1."""
    name = name.format(pid=os.getpid(), bed=bed)
    with ExitStack() as stack, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listening:
        listening.bind("\0" + name[1:] if name.startswith("@") else name)
        notifier = Notifier({"NOTIFY_SOCKET": name})
        stack.callback(notifier.close)
        for _ in range(2000):
            notifier.mention("WATCHDOG=1")
        for word in ("READY=1", "RELOADING=1", "READY=1", "STOPPING=1"):
            notifier.tell(word)
        assert not notifier.deliver_kept()
        heard: list[bytes] = []
        while not notifier.deliver_kept() or not heard:
            heard.append(listening.recv(100))
        while select.select([listening], [], [], 0)[0]:
            heard.append(listening.recv(100))
        assert heard[-4:] == [b"READY=1", b"RELOADING=1", b"READY=1", b"STOPPING=1"]
        assert set(heard[:-4]) == {b"WATCHDOG=1"}
