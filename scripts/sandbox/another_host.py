"""Another host on a wire to this one: a network namespace with addresses of its own, and commands run there.

Needs root, and iproute2. It is made beside this process's network: scripts/isolated has one that nobody else sees.

Source:  ip-link(8), veth; RFC 5737, RFC 3849 (addresses of documentation).
"""

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.process import BedError, until

HERE, HERE_IPV6 = "192.0.2.1", "2001:db8::1"
"""The addresses of this host on the wire."""
THERE, THERE_IPV6 = "192.0.2.2", "2001:db8::2"

_CLIENT = """
import json, smtplib, sys
server, port, sender, recipient = sys.argv[1:]
with smtplib.SMTP(server, int(port), timeout=30) as client:
    client.ehlo("mx.world.test")
    client.docmd(f"MAIL FROM:<{sender}>")
    code, text = client.docmd(f"RCPT TO:<{recipient}>")
    if code == 250:
        code, text = client.data(sys.stdin.buffer.read())
print(json.dumps([code, text.decode("ascii")]))
"""


class AnotherHost:
    """One other host."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make it, and the wire.

        Raises:
            BedError: it cannot be made.
        """
        child = self._child = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        until(lambda: _network(child.pid) not in {"", _network("self")}, 5.0, "its network")
        for command in (
            f"ip link add wire0 type veth peer name wire1 netns {child.pid}",
            *_addresses("wire0", HERE, HERE_IPV6),
        ):
            _run(command.split())
        for command in ("ip link set lo up", *_addresses("wire1", THERE, THERE_IPV6)):
            self.run(command.split())

    def run(self, command: list[str], stdin: bytes = b"") -> bytes:
        """Run a command there; returns what it prints.

        Raises:
            BedError: it fails.
        """
        if self._child is None:
            raise BedError("the other host was not started")
        return _run(["nsenter", f"--net=/proc/{self._child.pid}/ns/net", *command], stdin)

    def mail(
        self, octets: bytes, recipient: str, sender: str = "", *, port: int, server: str = HERE
    ) -> tuple[int, str]:
        """Send a mail from there by SMTP; the last reply."""
        words = [sys.executable, "-c", _CLIENT, server, str(port), sender, recipient]
        code, text = json.loads(self.run(words, octets))
        return code, text

    def stop(self) -> None:
        """Take it away, and the wire with it."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None
            # With the namespace goes its end of the wire, and with that the other; but only in a while.
            subprocess.run(["ip", "link", "del", "wire0"], capture_output=True, check=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _addresses(interface: str, address: str, ipv6: str) -> tuple[str, ...]:
    return (
        f"ip address add {address}/24 dev {interface}",
        # Without the time in which IPv6 looks for somebody else of this address.
        f"ip -6 address add {ipv6}/64 dev {interface} nodad",
        f"ip link set {interface} up",
    )


def _network(pid: int | str) -> str:
    try:
        return str((Path("/proc") / str(pid) / "ns" / "net").readlink())
    except OSError:
        return ""


def _run(command: list[str], stdin: bytes = b"") -> bytes:
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)
    if done.returncode != 0:
        raise BedError(f"{' '.join(command[:6])}: {done.stderr.decode('utf-8', 'replace').strip()[-300:]}")
    return done.stdout
