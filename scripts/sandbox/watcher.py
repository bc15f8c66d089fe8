"""postroom-watcher as a process."""

from pathlib import Path

from sandbox.daemon import DEFAULTS, Daemon, indented
from sandbox.process import until

COVERED_S = 20.0


class WatcherDaemon(Daemon):
    """One watcher daemon.

    Args:
        folder:    as for Daemon.
        handover:  folder of Postfix's sockets postroom-in and showq (its queue/public).
        watcher:   lines of the section `watcher`.
        settings:  text of more YAML sections; the defaults are one domain, example.org.
        state_dir: of another daemon, to share its store.
    """

    def __init__(
        self, folder: Path, handover: Path, watcher: str, settings: str = DEFAULTS, state_dir: Path | None = None
    ) -> None:
        text = (
            f"{settings}\n"
            f"handover:\n  socket: {handover / 'postroom-in'}\n  showq: {handover / 'showq'}\n"
            f"watcher:\n{indented(watcher)}"
        )
        super().__init__("watcher", folder, text, state_dir)

    def covered(self) -> None:
        """Return when it says that it has Postfix's whole log from now on."""
        until(lambda: "watcher.covered" in self.log(), COVERED_S, "the log covered", self.alive)
