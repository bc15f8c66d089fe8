"""All daemons on one store and one private Postfix, killed at random and started again.

submission ─► hand-over listener ─► milter ─┐
SMTP clients ─► two submission services ─► policy (each its own process) ─► milter ─┴► Postfix ─► far end
Postfix's log ─► a journal of its own ─► watcher
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.policy.conftest import assert_private
from tests.watcher.far_end import FarEnd

from sandbox.daemon import DEFAULTS, Daemon, SubmissionDaemon
from sandbox.journald import Journald
from sandbox.milter import MilterDaemon
from sandbox.policy import PolicyDaemon
from sandbox.postfix import PrivatePostfix
from sandbox.process import BedError
from sandbox.sink import free_port
from sandbox.submission_service import WORDS, service_options
from sandbox.watcher import WatcherDaemon

MOST_FROZEN_S = 1.0


class Keeper(threading.Thread):
    """Kills a daemon at moments that are drawn, and starts it again as systemd would.

    Args:
        pauses:   how far the work goes on, each time, until it is killed once more.
        progress: how far it is.
        failed:   told when the daemon ended by itself, or did not come up again.
        is_frozen_too: every other time it is stopped for a while (SIGSTOP) before.
    """

    def __init__(
        self,
        name: str,
        daemon: Daemon,
        pauses: Sequence[int],
        progress: Callable[[], int],
        failed: Callable[[str], None],
        *,
        is_frozen_too: bool,
    ) -> None:
        super().__init__(name=name)
        self.kills = 0
        self._daemon = daemon
        self._pauses = pauses
        self._progress = progress
        self._failed = failed
        self._is_frozen_too = is_frozen_too
        self._stopping = threading.Event()

    def run(self) -> None:
        try:
            for pause in self._pauses:
                moment = self._progress() + pause
                while self._progress() < moment:
                    if self._stopping.wait(0.01):
                        return
                assert self._daemon.alive(), f"{self.name} ended by itself: {self._daemon.last_words()}"
                if self._is_frozen_too and self.kills % 2 == 1:
                    os.kill(self._daemon.pid, signal.SIGSTOP)
                    self._stopping.wait(MOST_FROZEN_S)
                self._daemon.kill()
                self.kills += 1
                self._daemon.start()
        except (AssertionError, BedError) as error:
            self._failed(f"{self.name}: {error}")

    def stop(self) -> None:
        """Let it finish what it is about."""
        self._stopping.set()
        self.join()


@dataclass(frozen=True)
class AllDaemons:
    """What a test uses of it."""

    submission: SubmissionDaemon
    watcher: WatcherDaemon
    by_name: dict[str, Daemon]
    """All of them; policy and policy2 are two processes of one word."""
    postfix: PrivatePostfix
    far_end: FarEnd
    ports: list[int]
    """The submission services for SMTP clients."""

    def keepers(
        self, kills: int, upto: int, progress: Callable[[], int], failed: Callable[[str], None], random: Random
    ) -> list[Keeper]:
        """One for each daemon: at most so many kills each, while the work goes from 0 to `upto`."""
        keepers = []
        for name, daemon in self.by_name.items():
            pauses = [random.randint(1, 2 * upto // kills) for _ in range(kills)]
            keepers.append(Keeper(name, daemon, pauses, progress, failed, is_frozen_too=daemon is self.watcher))
        return keepers


@contextmanager
def all_daemons(bed: Path, limits: Sequence[str]) -> Iterator[AllDaemons]:
    """All of them, ready; at the end all is stopped, and no log holds an address or a traceback.

    Args:
        limits: each in YAML's short form.
    """
    settings = DEFAULTS + "limits:\n" + "".join(f"  - {limit}\n" for limit in limits)
    with ExitStack() as at_end:
        journald, far_end = at_end.enter_context(Journald()), at_end.enter_context(FarEnd())
        store = bed / "s" / "state"
        milter = MilterDaemon(bed / "m", settings="socket_group: postfix\n  workers: 2", state_dir=store)
        ports, sockets = [free_port(), free_port()], ["policy.sock", "policy2.sock"]
        postfix = PrivatePostfix(
            bed / "postfix",
            ("127.0.0.1", far_end.port),
            smtp_ports={port: service_options(name) for port, name in zip(ports, sockets, strict=True)},
            # What the far end defers is soon tried again.
            settings={**WORDS, "minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "1s"},
            milter=milter.socket,
            journald=journald,
        )
        handover = postfix.handover_socket.parent
        submission = SubmissionDaemon(
            bed / "s", handover, settings, handover_settings="away_retry_max: 1s\nretry_first: 1s\nretry_max: 2s"
        )
        watcher = WatcherDaemon(bed / "w", handover, "source: journal", settings, store, journald)
        policies = [
            PolicyDaemon(bed / f"p{number}", postfix.queue_directory / "postroom" / name, settings, state_dir=store)
            for number, name in enumerate(sockets)
        ]
        daemons: dict[str, Daemon] = {
            "policy": policies[0],
            "policy2": policies[1],
            "milter": milter,
            "watcher": watcher,
            "submission": submission,
        }
        submission.init()
        for daemon in daemons.values():
            daemon.write()
        for name in ("milter", "policy", "policy2"):
            at_end.callback(daemons[name].stop)
            daemons[name].start()
        at_end.enter_context(postfix)
        for daemon in (watcher, submission):
            at_end.callback(daemon.stop)
            daemon.start()
        watcher.covered()
        yield AllDaemons(submission, watcher, daemons, postfix, far_end, ports)
    for daemon in daemons.values():
        assert_private(daemon.log())
