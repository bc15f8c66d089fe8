"""`postroom serve` as a process, with all daemons it can run without a Postfix."""

from pathlib import Path

from sandbox.daemon import DEFAULTS, Daemon


class ServeDaemon(Daemon):
    """One supervisor with its children.

    Args:
        folder:   as for Daemon; also holds their sockets and mail.log.
        settings: lines of the section `serve`, in YAML's short form.
    """

    def __init__(self, folder: Path, settings: str = "drain: 30s") -> None:
        self.mail_log = folder / "mail.log"
        self.policy_socket, self.milter_socket = folder / "policy.sock", folder / "milter.sock"
        self.submission_socket, self.monitor_socket = (
            folder / "run" / "submission.sock",
            folder / "run" / "monitor.sock",
        )
        text = (
            f"{DEFAULTS}\n"
            "submission: {socket_group: null}\n"
            "templates: {folder: null}\n"
            f"policy: {{socket: {self.policy_socket}, socket_group: null}}\n"
            f"milter: {{socket: {self.milter_socket}, socket_group: null, networks: [127.0.0.0/8]}}\n"
            f"watcher: {{source: {self.mail_log}, socket: {folder / 'lmtp.sock'}, socket_group: null}}\n"
            f"handover: {{socket: {folder / 'in'}, showq: {folder / 'showq'}}}\n"
            "monitor: {socket_group: null}\n"
            f"serve: {{{settings}}}\n"
        )
        super().__init__("serve", folder, text)

    def write(self) -> None:
        super().write()
        self.mail_log.touch()

    def children(self) -> dict[str, int]:
        """The daemons that run now, by word."""
        return children_of(self.pid)


def children_of(pid: int) -> dict[str, int]:
    """The daemons that this `postroom serve` runs now, by word."""
    words = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
        # Between fork and exec a child still has our own command line.
        if len(command) > 2 and command[-2] != b"serve":
            words[command[-2].decode("ascii")] = int(child)
    return words
