"""postroom-policy as a process, and a client that asks it what smtpd(8) asks."""

import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.daemon import DEFAULTS, Daemon, indented

TIMEOUT_S = 10.0


class PolicyDaemon(Daemon):
    """One policy daemon.

    Args:
        folder:    as for Daemon.
        path:      its socket; in a Postfix's queue directory for that one to ask.
        settings:  text of more YAML sections; the defaults are one domain, example.org.
        policy:    lines of the section `policy`, below its socket, which everybody may connect to.
        state_dir: of another daemon, to share its store.
    """

    def __init__(
        self, folder: Path, path: Path, settings: str = DEFAULTS, policy: str = "", state_dir: Path | None = None
    ) -> None:
        self.socket = path
        text = f"{settings}\npolicy:\n  socket: {path}\n  socket_group: null\n  socket_mode: 0666\n{indented(policy)}"
        super().__init__("policy", folder, text, state_dir)

    def write(self) -> None:
        """Write the configuration, and make the socket's folder."""
        super().write()
        self.socket.parent.mkdir(parents=True, exist_ok=True)


def request(**attributes: str | int) -> bytes:
    """A request with these attributes; those that are always there have values of their own."""
    every = {
        "request": "smtpd_access_policy",
        "protocol_state": "RCPT",
        "protocol_name": "ESMTP",
        "client_address": "192.0.2.1",
        "client_name": "client.example.com",
        "instance": "123.1",
        "sender": "anna@example.org",
        "recipient": "jane@example.net",
        "recipient_count": 0,
        "queue_id": "",
        "sasl_username": "",
        "policy_context": "smtp",
        **attributes,
    }
    return "".join(f"{name}={value}\n" for name, value in every.items()).encode("utf-8") + b"\n"


def end_of_message(instance: str, **attributes: str | int) -> bytes:
    """The request at the end of a message with one recipient."""
    named: Mapping[str, str | int] = {"recipient_count": 1, "queue_id": "4XyZ1k2bQvz6Qb", **attributes}
    return request(protocol_state="END-OF-MESSAGE", instance=instance, **named)


class PolicyClient:
    """One connection, as an smtpd process keeps it."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        # A connection waits its turn when many come at once; with a timeout set it would be refused (unix(7), EAGAIN).
        self.sock.connect(str(path))
        self.sock.settimeout(TIMEOUT_S)

    def ask(self, octets: bytes) -> str:
        """Send a request; returns the action. An answer that is not exactly one line and an empty one raises."""
        self.sock.sendall(octets)
        return self.answer()

    def answer(self) -> str:
        """The next answer.

        Raises:
            ConnectionError: the daemon hung up.
            AssertionError:  it said something else than one answer.
        """
        read = b""
        while not read.endswith(b"\n\n"):
            octets = self.sock.recv(65_536)
            if not octets:
                raise ConnectionResetError(f"hung up after {len(read)} octets")
            read += octets
        assert read.startswith(b"action="), read
        assert read.count(b"\n") == 2, read
        return read[len(b"action=") : -2].decode("ascii")

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
