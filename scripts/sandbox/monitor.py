"""postroom-monitor as a process, and its answers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.api import UnixConnection
from sandbox.daemon import DEFAULTS, Daemon, indented
from sandbox.process import until

HEARD_S = 20.0


@dataclass(frozen=True)
class Text:
    """An answer as it came; header names in lower case."""

    status: int
    headers: dict[str, str]
    text: str


class MonitorDaemon(Daemon):
    """One monitor daemon.

    Args:
        folder:    as for Daemon.
        showq:     Postfix's socket of that name.
        daemons:   those expected of this host.
        monitor:   lines of the section `monitor`, below its socket and `daemons`.
        settings:  text of more YAML sections; the defaults are one domain, example.org.
        state_dir: of the daemons it looks at.
        group:     of its socket.
    """

    def __init__(
        self,
        folder: Path,
        showq: Path,
        daemons: tuple[str, ...] = ("policy",),
        monitor: str = "",
        settings: str = DEFAULTS,
        state_dir: Path | None = None,
        group: str = "null",
    ) -> None:
        self.socket = folder / "run" / "monitor.sock"
        super().__init__(
            "monitor",
            folder,
            f"{settings}\nhandover:\n  showq: {showq}\n"
            f"monitor:\n  socket_group: {group}\n  daemons: [{', '.join(daemons)}]\n{indented(monitor)}",
            state_dir,
        )

    def get(self, target: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Text:
        """One request on a connection of its own; a Host among `headers` stands for that of the connection."""
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, target, headers=dict(headers or {}))
            response = connection.getresponse()
            answered = {name.lower(): value for name, value in response.getheaders()}
            return Text(response.status, answered, response.read().decode("utf-8"))
        finally:
            connection.close()

    def health(self) -> Any:
        """The document of /healthz."""
        return json.loads(self.get("/healthz").text)

    def findings(self) -> list[str]:
        """What /healthz finds, without where and how to mend."""
        return [finding["what"] for finding in self.health()["findings"]]

    def heard(self, *words: str) -> None:
        """Return when these daemons' beats were heard."""
        until(
            lambda: all(self.health()["daemons"].get(word, {}).get("state") == "ok" for word in words),
            HEARD_S,
            f"beats of {words}",
            self.alive,
            0.1,
        )
