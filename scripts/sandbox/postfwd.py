"""postfwd(8), a policy daemon in Perl that Debian ships: another program for what postroom-policy does.

It is the preforking one, postfwd2. It runs with taint checks, by which it refuses Unix sockets and also a cache
at another address than its own default, without which its processes would each count for themselves. So the
cache's port is a fixed one.

Source: postfwd2(1)
Limits: only one at a time in a network namespace.
"""

import re
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.process import BedError, Identity, Recorded, until
from sandbox.process_tree import process_tree
from sandbox.sink import free_port, listens

PROGRAM = "/usr/sbin/postfwd2"
CACHE_PORT = 10043
USER = "postfw"
"""Who it becomes; the package makes the account."""


class Postfwd:
    """One postfwd2 on a port of 127.0.0.1.

    Args:
        folder: absolute; holds its rules and output. Made when missing.
        rules:  text of its ruleset.
    """

    def __init__(self, folder: Path, rules: str) -> None:
        self.port = free_port()
        self._rules = folder / "postfwd.cf"
        self._pidfile = folder / "background.pid"
        self._text = rules
        self._process = Recorded("postfwd", folder)

    @property
    def pid(self) -> int:
        """Of its first process, which has put itself into the background."""
        return int(self._pidfile.read_text(encoding="ascii"))

    def counted(self, item: str) -> int:
        """How often a rate limit has counted, by its item and value, such as `sender=anna@example.org`."""
        # Its exit status is 1 in any case.
        asked = subprocess.run([PROGRAM, "--dumpcache"], capture_output=True, text=True, timeout=30, check=False)
        count = rf"^%rate_cache -> %{re.escape(item)} .* -> @count +-> '([0-9]+)'$"
        found = re.search(count, asked.stdout, re.MULTILINE)
        return 0 if found is None else int(found[1])

    def __enter__(self) -> Self:
        self._rules.parent.mkdir(parents=True, exist_ok=True)
        self._rules.write_text(self._text, encoding="ascii")
        self._pidfile.unlink(missing_ok=True)
        free_port(CACHE_PORT)
        self._process.start(
            [PROGRAM, "--file", str(self._rules), "--port", str(self.port), "--pidfile", str(self._pidfile),
             "--user", USER, "--group", USER, "--nodns"]
        )  # fmt: skip
        try:
            until(self._is_up, 20.0, "postfwd's port")
        except BedError as error:
            raise BedError(f"{error}; {self._process.last_words()}") from None
        return self

    def _is_up(self) -> bool:
        return self._pidfile.exists() and any(listens(pid, self.port) for pid in process_tree(self.pid))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pidfile.exists():
            # Its children are told to end and not waited for.
            every = [running for pid in process_tree(self.pid) if (running := Identity.of(pid)) is not None]
            for running in every:
                running.stop()
        self._process.stop()
