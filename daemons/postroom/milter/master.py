"""The master: forks the workers, replaces those that die, and changes them for new ones at a reload.

    load ─► fork ─► READY=1 ─► sigwait ┬ SIGHUP: load ─► fork the next generation ─► drain the old one
                                       ├ SIGCHLD: a worker died ─► another one, after a pause
                                       └ SIGTERM: stop listening ─► drain all ─► end

One thread, and no event loop, database or lock: nothing that a fork could leave
half done in the child. The listening socket outlives every worker, so a
connection waits in it rather than being refused. All workers of a generation
hold one end of a socket pair. EOF on it tells them to drain, also when the
master is killed; each closes it once it takes no more connections, and when all
have, the master sees EOF in turn. So READY=1 after a reload means that whoever
connects from then on is served by the new generation.

Source:  sigwait(3), socketpair(2), shutdown(2); systemd.kill(5): the unit needs KillMode=mixed,
         for SIGTERM is the master's alone.
Limits:  after a reload the old generation may go on for RELOAD_DRAIN_S, longer than smtpd(8)
         keeps an idle session (smtpd_timeout, 300s); then its workers are killed.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from postroom.runtime.lifecycle import log_not_reloaded, log_reloaded
from postroom.runtime.log import Log, error_fields
from postroom.runtime.notify import RETRY_S, beat, deliver_kept, reloading, tell_systemd, watchdog_period_s

SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})
RELOAD_DRAIN_S = 600.0
STOP_ACCEPTING_S = 5.0
"""A worker needs milliseconds; a reload waits no longer for one that hangs."""
LIVED_S = 60.0
"""A worker that lived so long did not die of its start."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0
LOOK_S = 60.0

Work = Callable[[socket.socket], None]
"""What a worker does. EOF on the socket it gets means: drain, then return or exit. It closes it when it has stopped
to take connections."""


def restart_pause_s(early_deaths: int) -> float:
    """Seconds before another worker is forked, after so many that died early (0 or more): doubles up to 30."""
    return min(FIRST_PAUSE_S * 2.0 ** min(early_deaths, 20), LONGEST_PAUSE_S)


@dataclass
class _Generation:
    """The workers that were forked with one configuration."""

    work: Work
    master_end: socket.socket
    worker_end: socket.socket
    born: dict[int, float] = field(default_factory=dict)
    """When each worker was forked, by pid."""
    due: list[float] = field(default_factory=list)
    """When dead workers are to be replaced."""
    early_deaths: int = 0
    kill_at: float | None = None
    """Set while it drains."""


class Master:
    """The life of the daemon's first process.

    Args:
        load:    reads configuration and keys; gives what a worker does and the names of changed settings that only a
                 restart takes, or raises StartRefused.
        workers: how many.
        drain_s: how long sessions may go on after SIGTERM.
    """

    def __init__(
        self,
        load: Callable[[], tuple[Work, Sequence[str]]],
        workers: int,
        drain_s: float,
        log: Log,
    ) -> None:
        self._load = load
        self._workers = workers
        self._drain_s = drain_s
        self._log = log
        self._generations: list[_Generation] = []
        """The last one serves, those before it drain."""
        self._is_stopping = False

    def run(self, status: str, stop_listening: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT, drain and return.

        Args:
            status:         what systemd shows.
            stop_listening: closes the listening socket of this process and removes its file.

        Raises:
            StartRefused: the first load failed.
        """
        # Blocked before the first fork: a signal that comes early waits until it is asked for.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self._start_generation()
        tell_systemd(f"READY=1\nSTATUS={status}")
        self._log.info("daemon.ready", pid=os.getpid())
        beat_s = watchdog_period_s()
        while self._generations:
            if beat_s is not None:
                beat()
            came = signal.sigtimedwait(SIGNALS, self._pause_s(beat_s))
            match came.si_signo if came is not None else None:
                case signal.SIGHUP if not self._is_stopping:
                    self._reload()
                case signal.SIGTERM | signal.SIGINT if not self._is_stopping:
                    self._stop(stop_listening)
            self._look_after_workers()
        self._log.info("daemon.stopped", pid=os.getpid())

    def _pause_s(self, beat_s: float | None) -> float:
        now = time.monotonic()
        moments = [moment for generation in self._generations for moment in generation.due]
        moments += [generation.kill_at for generation in self._generations if generation.kill_at is not None]
        pauses = [LOOK_S if deliver_kept() else RETRY_S, *([] if beat_s is None else [beat_s])]
        return max(0.0, min([*pauses, *(moment - now for moment in moments)]))

    def _start_generation(self) -> Sequence[str]:
        work, needs_restart = self._load()
        generation = _Generation(work, *socket.socketpair())
        self._generations.append(generation)
        try:
            for _ in range(self._workers):
                self._fork(generation)
        except OSError:
            self._drain(generation, 0.0)
            raise
        return needs_restart

    def _reload(self) -> None:
        tell_systemd(reloading())
        try:
            needs_restart = self._start_generation()
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end a daemon that serves
            log_not_reloaded(self._log, error)
        else:
            for generation in self._generations[:-1]:
                self._drain(generation, RELOAD_DRAIN_S)
                with suppress(OSError):
                    generation.master_end.recv(1)
            log_reloaded(self._log, needs_restart)
        tell_systemd("READY=1")

    def _stop(self, stop_listening: Callable[[], None]) -> None:
        tell_systemd("STOPPING=1")
        self._log.info("daemon.stopping", pid=os.getpid())
        self._is_stopping = True
        stop_listening()
        for generation in self._generations:
            self._drain(generation, self._drain_s)

    def _drain(self, generation: _Generation, within_s: float) -> None:
        kill_at = time.monotonic() + within_s
        if generation.kill_at is None:
            generation.worker_end.close()
            generation.master_end.shutdown(socket.SHUT_WR)
            generation.master_end.settimeout(STOP_ACCEPTING_S)
            generation.due.clear()
            generation.kill_at = kill_at
        generation.kill_at = min(kill_at, generation.kill_at)

    def _look_after_workers(self) -> None:
        while self._reap():
            pass
        now = time.monotonic()
        for generation in self._generations:
            if generation.kill_at is not None and now >= generation.kill_at:
                self._cut(generation)
            for moment in [moment for moment in generation.due if moment <= now]:
                generation.due.remove(moment)
                self._fork_again(generation)
        for generation in [one for one in self._generations if not one.born and one.kill_at is not None]:
            generation.master_end.close()
            self._generations.remove(generation)

    def _cut(self, generation: _Generation) -> None:
        for pid in generation.born:
            self._log.warning("milter.drain_cut", worker=pid, effect="its open sessions are cut")
            os.kill(pid, signal.SIGKILL)
        generation.kill_at = time.monotonic() + LOOK_S

    def _reap(self) -> bool:
        """Take note of one dead worker; false when there is none."""
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        for generation in self._generations:
            born = generation.born.pop(pid, None)
            if born is not None and generation.kill_at is None:
                self._replace(generation, pid, os.waitstatus_to_exitcode(status), time.monotonic() - born)
        return pid != 0

    def _fork_again(self, generation: _Generation) -> None:
        try:
            self._fork(generation)
        except OSError as error:  # no room for another process, or no memory, now
            pause_s = self._due_later(generation)
            self._log.error("milter.worker_missing", error=error.strerror, restart_in_s=pause_s)

    def _due_later(self, generation: _Generation) -> float:
        """Have another worker forked, after a pause; returns its seconds."""
        pause_s = restart_pause_s(generation.early_deaths)
        generation.early_deaths += 1
        generation.due.append(time.monotonic() + pause_s)
        return pause_s

    def _replace(self, generation: _Generation, pid: int, code: int, lived_s: float) -> None:
        if lived_s >= LIVED_S:
            generation.early_deaths = 0
        pause_s = self._due_later(generation)
        died_of = signal.Signals(-code).name if code < 0 else None
        exit_code = code if code >= 0 else None
        self._log.error("milter.worker_died", worker=pid, signal=died_of, exit=exit_code, restart_in_s=pause_s)

    def _fork(self, generation: _Generation) -> None:
        pid = os.fork()
        if pid:
            generation.born[pid] = time.monotonic()
            return
        # The worker. It never returns into the master's code, whatever happens.
        try:
            # A group of its own: Ctrl-C at a terminal is for the master, which drains.
            os.setpgid(0, 0)
            for one in self._generations:  # else no EOF would come while this worker lives
                one.master_end.close()
                if one is not generation:
                    one.worker_end.close()
            generation.work(generation.worker_end)
            os._exit(os.EX_OK)
        except Exception as error:  # noqa: BLE001 - nobody is left to catch it
            self._log.critical("daemon.failed", **error_fields(error))
        finally:
            os._exit(os.EX_SOFTWARE)
