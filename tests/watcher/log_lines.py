"""Lines as Postfix writes them, with parts of the test's choosing."""

from datetime import UTC, datetime, timedelta

from postroom.mail.tokens import NAME_OCTETS, mint
from postroom.watcher.lines import Line

KEY = b"k" * 32
NOW = 1_790_000_000.0
STARTED = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
"""Of lines in a file: a daemon that reads them forgets what is long past."""
LISTENER = "postfix/postroom-in"


def token(number: int) -> str:
    """A token of its own for each number."""
    return mint(KEY, number.to_bytes(NAME_OCTETS, "big"), NOW)


def line(daemon: str, text: str, syslog_name: str = "postfix", pid: int = 446, at: float = NOW) -> Line:
    return Line(syslog_name, daemon, pid, at, text)


def active(queue_id: str, sender: str) -> str:
    return f"{queue_id}: from=<{sender}>, size=324, nrcpt=1 (queue active)"


def tried(
    queue_id: str,
    to: str = "jane@example.net",
    dsn: str = "2.0.0",
    status: str = "sent",
    reason: str = "250 2.0.0 Ok: queued as EECF7E07",
    extra: str = "",
) -> str:
    """A line of a delivery agent; `extra` stands behind the recipient."""
    return (
        f"{queue_id}: to=<{to}>, {extra}relay=mx.example.net[192.0.2.2]:25, delay=0.1, "
        f"delays=0.01/0.01/0.04/0.04, dsn={dsn}, status={status} ({reason})"
    )


def in_file(daemon: str, text: str, second: int = 0, syslog_name: str = "postfix", pid: int = 446) -> str:
    """The same as a line of a log file (RFC 3339), with its line end."""
    at = STARTED + timedelta(seconds=second)
    return f"{at:%Y-%m-%dT%H:%M:%S}.000000+00:00 mail {syslog_name}/{daemon}[{pid}]: {text}\n"
