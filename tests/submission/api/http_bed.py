"""Requests as no library would write them: octets on the daemon's socket, and what comes back."""

import re
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

WELCOME: dict[str, Any] = {
    "from": "Shop <shop@example.org>",
    "to": ["Zaphod <zaphod@example.net>"],
    "template": {
        "name": "welcome",
        "data": {"first_name": "Zaphod", "action_url": "https://example.org/?t=pr1vate-token"},
    },
}
"""A request that is accepted; its values are among conftest.PRIVATE."""

PLAIN: dict[str, Any] = {
    "from": "shop@example.org",
    "to": "zaphod@example.net",
    "subject": "Quokka",
    "text": "The Quokka is well.\n",
}

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


def connected(path: Path, timeout_s: float = 10.0) -> socket.socket:
    """A connection to the daemon."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    connection.settimeout(timeout_s)
    return connection


def said(path: Path, octets: bytes) -> bytes:
    """Send octets; all that comes back until the daemon closes the connection."""
    with connected(path) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(octets)
        return rest(connection)


def rest(connection: socket.socket) -> bytes:
    """All that still comes until the other side closes.

    Raises:
        TimeoutError: it does not close.
    """
    answer = b""
    with suppress(ConnectionResetError):
        while octets := connection.recv(1_000_000):
            answer += octets
    return answer


def statuses(answer: bytes) -> list[int]:
    """The status of each HTTP answer in these octets."""
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d\d\d) ", answer)]


def post_head(length: int | None, *more: str) -> bytes:
    """The head of POST /v1/messages; None is a chunked body."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = ["POST /v1/messages HTTP/1.1", "Host: x", "Content-Type: application/json", size, *more, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def resident_octets(pid: int) -> int:
    """The memory of a process that is in RAM (proc_pid_status(5), VmRSS)."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) * 1024
