"""postroom-watcher as a process."""

import time
from collections.abc import Mapping
from pathlib import Path

from postroom.store.track.witness import CLOCK_SLACK_S
from sandbox.daemon import DEFAULTS, Daemon, indented
from sandbox.journald import Journald
from sandbox.process import until

COVERED_S = 20.0


class WatcherDaemon(Daemon):
    """One watcher daemon.

    Args:
        folder:    as for Daemon.
        handover:  folder of Postfix's sockets postroom-probe and showq (its queue/public).
        watcher:   lines of the section `watcher`.
        settings:  text of more YAML sections; the defaults are one domain, example.org.
        state_dir: of another daemon, to share its store.
        journald:  whose journal it reads, where that is not the host's.
        socket:    where it takes bounce mails; in a Postfix's queue directory for that one to deliver.
    """

    def __init__(
        self,
        folder: Path,
        handover: Path,
        watcher: str,
        settings: str = DEFAULTS,
        state_dir: Path | None = None,
        journald: Journald | None = None,
        socket: Path | None = None,
    ) -> None:
        self._journald = journald
        self.socket = socket or folder / "run" / "lmtp.sock"
        text = (
            f"{settings}\n"
            f"handover: {{showq: {handover / 'showq'}}}\n"
            f"watcher:\n  probe: {handover / 'postroom-probe'}\n"
            f"  socket: {self.socket}\n  socket_group: null\n  socket_mode: 0666\n{indented(watcher)}"
        )
        super().__init__("watcher", folder, text, state_dir)

    def write(self) -> None:
        """Write the configuration, and make the socket's folder."""
        super().write()
        self.socket.parent.mkdir(parents=True, exist_ok=True)

    def start(self, environment: Mapping[str, str] | None = None, prefix: tuple[str, ...] = ()) -> None:
        """Start it where its journal is."""
        super().start(environment, (*(() if self._journald is None else self._journald.enter), *prefix))

    def covered(self) -> None:
        """Return when it says that it has Postfix's whole log, and can speak of attempts that begin now."""
        until(lambda: "watcher.covered" in self.log(), COVERED_S, "the log covered", self.alive)
        # Only the clock ends this wait: of an attempt begun sooner the witness never says that it was not queued.
        time.sleep(CLOCK_SLACK_S)
