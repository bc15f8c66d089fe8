"""A real DNS server on a port of 127.0.0.1 that serves TXT records as a zone file has them: dnsmasq(8).

It knows these records and nothing else, and asks no other server.

Source:  dnsmasq(8), --txt-record; RFC 1035 §5.1 (lines of a zone file).
Limits:  TXT records only, one on a line, with the whole name, without quotes inside the text.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.process import BedError, Recorded, until
from sandbox.sink import free_port, listens

PROGRAM = "/usr/sbin/dnsmasq"

SETTINGS = """\
listen-address=127.0.0.1
bind-interfaces
port={port}
no-resolv
no-hosts
no-poll
user=nobody
pid-file=
log-facility=-
log-queries
"""


def txt_setting(line: str) -> str:
    """The setting of dnsmasq that serves a line of a zone file.

    Raises:
        BedError: the line is no TXT record.
    """
    found = re.fullmatch(r'(\S+)\.\s+IN\s+TXT\s+((?:"[^"]*"|[()\s])+)', line.strip())
    if found is None:
        raise BedError(f"not a TXT record as a zone file has it: {line[:80]!r}")
    # In quotes, for a comma parts the strings of a record.
    return ",".join([f"txt-record={found[1]}", *re.findall(r'"[^"]*"', found[2])])


class NameServer:
    """One DNS server.

    Args:
        folder:  holds its configuration and output; made when missing.
        records: lines of a zone file.
        port:    0 is any that is free.
    """

    def __init__(self, folder: Path, records: Sequence[str] = (), port: int = 0) -> None:
        self.folder = folder
        self.records = tuple(records)
        self._wanted = port
        self.port = 0
        self._process = Recorded("dns", folder)

    def start(self) -> None:
        """Start it and return when it listens.

        Raises:
            BedError: dnsmasq is missing, or it does not come up.
        """
        if shutil.which(PROGRAM) is None:
            raise BedError(f"{PROGRAM} is missing. Mend: apt-get install dnsmasq-base (the scripts do).")
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "dnsmasq.conf"
        records = "".join(f"{txt_setting(line)}\n" for line in self.records)
        for _ in range(5):
            self.port = self._wanted or free_port()
            config.write_text(SETTINGS.format(port=self.port) + records, encoding="ascii")
            self._process.start([PROGRAM, "--keep-in-foreground", f"--conf-file={config}"])
            try:
                # It opens UDP and TCP one after the other, before it says a word.
                until(lambda: listens(self._process.pid, self.port), 5.0, "the DNS server", self.alive)
            except BedError:
                words = self._process.last_words()
                self._process.stop()
                # Somebody else took the port meanwhile, or has it for UDP: once more, with another one.
                if "in use" not in words:
                    raise BedError(f"dnsmasq does not listen on 127.0.0.1:{self.port}: {words}") from None
            else:
                return
        raise BedError("dnsmasq found no free port in five tries")

    def stop(self) -> None:
        self._process.stop()

    def clear(self) -> bool:
        """Stop what a killed run left behind; true when a process was found."""
        return self._process.clear()

    def alive(self) -> bool:
        return self._process.exit_status() is None

    @property
    def log(self) -> Path:
        """Where it tells of each question."""
        return self._process.output

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
