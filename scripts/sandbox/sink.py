"""A recipient's server: smtp-sink(1) takes what Postfix sends, and what it stored is read back here.

Reading is separate code on purpose: what Postroom says about a mail is compared with what arrived.

Format of a stored mail: header lines that smtp-sink writes (X-Client-Addr, X-Client-Proto, X-Helo-Args,
X-Mail-Args, one X-Rcpt-Args for each recipient, then its own Received), the mail as it came, an empty line.
Source: smtp-sink(1), "DUMP FORMAT" of option -d.
Limits: line ends are stored as LF, so a bare LF inside a mail cannot be told from CR LF.
"""

import contextlib
import email
import email.policy
import os
import re
import shutil
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.process import BedError, Recorded, until

SINK_USER = "nobody"
"""Who smtp-sink becomes when root starts it: it refuses to stay root."""

COUNTERS_OCTETS = 200
"""More than smtp-sink's line of counters takes (option -c)."""


@dataclass(frozen=True)
class StoredMail:
    """One SMTP transaction as the far end saw it."""

    sender: str
    """Envelope sender without the angle brackets; empty for the null sender."""
    recipients: tuple[str, ...]
    """Envelope recipients without the angle brackets, in the order of RCPT TO."""
    raw: bytes
    """The mail, header and body, with LF line ends; the trace header that smtp-sink adds is left out."""

    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.raw, policy=email.policy.default)


def parse_stored(data: bytes) -> StoredMail | None:
    """Read one stored mail; None while it is not written to its end.

    Raises:
        BedError: this is no file of smtp-sink's.
    """
    if not data.endswith(b"\n\n"):
        return None
    lines = data[:-1].split(b"\n")
    sender: str | None = None
    recipients: list[str] = []
    for number, line in enumerate(lines):
        name, _, value = line.partition(b": ")
        if name == b"X-Mail-Args":
            sender = _path(value)
        elif name == b"X-Rcpt-Args":
            recipients.append(_path(value))
        elif name == b"Received" and sender is not None:
            own = number + 1
            while own < len(lines) and lines[own][:1] in (b" ", b"\t"):
                own += 1
            return StoredMail(sender, tuple(recipients), b"\n".join(lines[own:]))
        elif not line.startswith(b"X-"):
            break
    raise BedError(f"not a mail stored by smtp-sink: it begins with {data[:60]!r}")


def _path(arguments: bytes) -> str:
    """The address of `<a@b> SIZE=1 …` (RFC 5321 §4.1.2, Path), a quoted local part included."""
    found = re.match(rb'<((?:"(?:\\.|[^"\\])*"|[^<>"])*)>', arguments)
    if found is None:
        raise BedError(f"not an SMTP path: {arguments[:60]!r}")
    return found[1].decode("utf-8", errors="surrogateescape")


def free_port(wanted: int = 0) -> int:
    """A TCP port that was free on 127.0.0.1 a moment ago: the wanted one, or any.

    Raises:
        BedError: the wanted one is taken.
    """
    try:
        with socket.create_server(("127.0.0.1", wanted)) as server:
            port: int = server.getsockname()[1]
            return port
    except OSError as error:
        raise BedError(f"port 127.0.0.1:{wanted}: {error.strerror}. Mend: see who has it with `ss -ltnp`.") from None


def listens(pid: int, port: int) -> bool:
    """Whether this process has a listening TCP socket at that port of 127.0.0.1 (proc_net_tcp(5))."""
    # The kernel prints the address as one word in host byte order, the port as a number.
    address = f"{int.from_bytes(bytes([127, 0, 0, 1]), sys.byteorder):08X}:{port:04X}"
    fields = (line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines())
    sockets = {f"socket:[{field[9]}]" for field in fields if field[1] == address and field[3] == "0A"}
    with contextlib.suppress(FileNotFoundError):
        return any(os.readlink(fd) in sockets for fd in Path(f"/proc/{pid}/fd").iterdir())
    return False


class Sink:
    """An SMTP server on 127.0.0.1 that accepts and stores what it is sent.

    Args:
        folder: where mails (`mail.*`) and output go; made when missing.
        port: 0 picks a free one.
        options: more options of smtp-sink(1): ("-r", "RCPT") answers RCPT with 450, ("-f", "DATA") DATA
            with 500, ("-w", "2") waits 2 s before it answers DATA, ("-q", "RCPT") hangs up.
        stores: false for loads: mails are counted as they come, see `count`, and not written.
    """

    def __init__(self, folder: Path, port: int = 0, options: Sequence[str] = (), stores: bool = True) -> None:
        self.folder = folder
        self.port = port
        self._pick = port == 0
        # A relative dump path, used from inside: it works where SINK_USER cannot enter the folders above.
        self._options = (*options, *(("-d", "mail.") if stores else ("-c",)))
        self._process = Recorded("sink", folder)

    def start(self) -> None:
        """Start it and return when it accepts connections.

        Raises:
            BedError: smtp-sink is missing, or it does not come up.
        """
        program = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
        if program is None:
            raise BedError(
                "smtp-sink is missing. Mend: apt-get install postfix (scripts/test and scripts/quickstart do)."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        user: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(self.folder, SINK_USER)
            user = ["-u", SINK_USER]
        for _ in range(5):
            # Asked for a numbered port too: Postfix sets SO_REUSEPORT, a second smtp-sink would silently share it.
            self.port = free_port(0 if self._pick else self.port)
            argv = [program, *user, *self._options, f"inet:127.0.0.1:{self.port}", "128"]
            self._process.start(argv, cwd=self.folder)
            try:
                until(self._listens, 5.0, f"smtp-sink on port {self.port}", self.alive)
            except BedError:
                # Somebody else took the port between our look and its bind: once more, with another one.
                if self._pick and "in use" in self._process.last_words():
                    continue
                words = self._process.last_words()
                self._process.stop()
                raise BedError(f"smtp-sink does not accept connections on 127.0.0.1:{self.port}: {words}") from None
            return
        raise BedError("smtp-sink found no free port in five tries")

    def stop(self) -> None:
        self._process.stop()

    def clear(self) -> bool:
        """Stop what a killed run left behind; true when a process was found."""
        return self._process.clear()

    def alive(self) -> bool:
        return self._process.exit_status() is None

    def messages(self) -> list[StoredMail]:
        """Every mail stored so far, in no certain order: the files bear random numbers."""
        return [mail for path in self.folder.glob("mail.*") if (mail := parse_stored(path.read_bytes())) is not None]

    def count(self) -> int:
        """How many mails came so far; only of a sink that does not store them."""
        with self._process.output.open("rb") as output:
            # It writes its counters anew at each event, each time behind the last: the end is enough.
            output.seek(max(0, output.seek(0, os.SEEK_END) - COUNTERS_OCTETS))
            counted = re.findall(rb"mesg=([0-9]+)\r", output.read())
        return int(counted[-1]) if counted else 0

    def _listens(self) -> bool:
        # Not by connecting: where the port is taken, the other one would answer before ours has failed.
        return listens(self._process.pid, self.port)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
