"""postroom serve: all daemons as children of one process in the foreground, wired.

For containers and trials, where no systemd runs each daemon by itself. All run as the user that runs this
one; their log lines go to its stderr as they are.

    signals, words of the children, time ─► supervision (pure) ─► start, signal, tell systemd

SIGTERM, SIGINT  end all in their order; a second one kills
SIGHUP           goes on to all: each reloads, or says why not

Exit:    0 ended as asked, 78 a daemon cannot start as it is configured, 70 a fault in Postroom.
BUGS:    SIGHUP does not change which daemons run, nor the other settings of `serve`: that needs a restart.
"""

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from postroom.config.model import Config
from postroom.runtime.lifecycle import StartRefused
from postroom.runtime.log import Log
from postroom.runtime.notify import RETRY_S, beat, deliver_kept, show_status, tell_systemd, watchdog_period_s
from postroom.serve.children import Children
from postroom.serve.supervision import Action, AllReady, ChildLost, SendSignal, StartChild, Supervision

WORD = "serve"
LOOK_S = 60.0


def serve(config: Config, path: Path, log: Log) -> None:
    """The supervisor's whole life.

    Args:
        path: of the configuration, for the daemons.

    Raises:
        StartRefused: a daemon cannot start as it is configured; the others have ended.
    """
    settings = config.serve
    supervision = Supervision(settings.daemons, settings.watchdog, settings.drain, os.EX_CONFIG)
    command = [sys.executable, "-m", "postroom", "--config", str(path)]
    children = Children(command, settings.watchdog, os.environ, log)
    supervisor = Supervisor(supervision, children, f"running {', '.join(settings.daemons)}", log)
    try:
        supervisor.run(signals_socket())
    finally:
        children.close()
    if supervision.refused is not None:
        raise StartRefused(
            f"postroom-{supervision.refused} cannot start as it is configured; mend: see its own line above"
        )


def signals_socket() -> socket.socket:
    """A socket from which the numbers of our signals can be read, an octet each (signal.set_wakeup_fd)."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda _number, _frame: None)
    return reader


class Supervisor:
    """The loop: what happens goes to the supervision, what that decides is done."""

    def __init__(self, supervision: Supervision, children: Children, status: str, log: Log) -> None:
        self._supervision = supervision
        self._children = children
        self._status = status
        self._log = log
        self._was_ready = False
        self._was_stopping = False

    def run(self, signals: socket.socket) -> None:
        """Run until all children have ended."""
        beat_s = watchdog_period_s()
        self._do(self._supervision.begin(time.monotonic()))
        while not self._supervision.has_ended:
            if beat_s is not None:
                beat()
            left_s = self._supervision.next_moment - time.monotonic()
            pauses = [left_s, beat_s or LOOK_S, LOOK_S if deliver_kept() else RETRY_S]
            select.select([signals, *self._children.sockets], [], [], max(0.0, min(pauses)))
            for number in came(signals):
                self._take_signal(number)
            # Words before deaths: a child may say something and end in the same moment.
            for word, lines in self._children.heard():
                self._do(self._supervision.said(word, lines, time.monotonic()))
            for word, exit_code in self._children.reap():
                self._do(self._supervision.died(word, exit_code, time.monotonic()))
            self._do(self._supervision.passed(time.monotonic()))
        self._log.info("daemon.stopped", pid=os.getpid())

    def _take_signal(self, number: int) -> None:
        match number:
            case signal.SIGTERM | signal.SIGINT:
                self._do(self._supervision.stop(time.monotonic()))
            case signal.SIGHUP:
                self._do(self._supervision.hang_up())

    def _do(self, actions: Iterable[Action]) -> None:
        if self._supervision.is_stopping and not self._was_stopping:
            self._was_stopping = True
            tell_systemd("STOPPING=1")
            self._log.info("daemon.stopping", pid=os.getpid())
        for action in actions:
            match action:
                case StartChild(word):
                    self._start(word)
                case SendSignal(word, number, why):
                    self._send(word, number, why)
                case AllReady():
                    tell_systemd(f"READY=1\nSTATUS={self._status}")
                    if not self._was_ready:
                        self._log.info("daemon.ready", pid=os.getpid())
                    self._was_ready = True
                case ChildLost(word, code, restart_in_s):
                    died_of = signal.Signals(-code).name if code < 0 else None
                    exit_code = code if code >= 0 else None
                    show_status(f"{word} died and is started again")
                    self._log.error(
                        "serve.lost", daemon=word, signal=died_of, exit=exit_code, restart_in_s=restart_in_s
                    )

    def _start(self, word: str) -> None:
        try:
            self._children.start(word)
        except OSError as error:
            self._log.error("serve.start_failed", daemon=word, error=error.strerror)
            self._do(self._supervision.died(word, os.EX_OSERR, time.monotonic()))

    def _send(self, word: str, number: signal.Signals, why: str | None) -> None:
        if why is not None:
            self._log.error("serve.killed", daemon=word, reason=why)
        self._children.send(word, number)


def came(signals: socket.socket) -> bytes:
    """The numbers of the signals that came since."""
    with suppress(BlockingIOError):
        return signals.recv(4096)
    return b""
