"""The daemons of the quickstart: `postroom serve`, with one configuration and one store, as the person who asked."""

import contextlib
import grp
import os
import pwd
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from sandbox.notify import NotifySocket
from sandbox.postfix import CHECKOUT
from sandbox.process import BedError, Recorded

READY_S = 20.0
COMMAND_S = 60.0

GROUPS = ("postfix", "postdrop")
"""What the daemons have beside the person's own groups: `postfix` is given their sockets, `postdrop` may speak to
those of Postfix."""


@dataclass(frozen=True)
class Person:
    """Who the daemons run as."""

    uid: int

    @property
    def gid(self) -> int:
        """Their group; for a number without a name the same number."""
        try:
            return pwd.getpwuid(self.uid).pw_gid
        except KeyError:
            return self.uid

    def command(self, argv: Sequence[str], groups: Sequence[str] = ()) -> list[str]:
        """`argv` as this person, with their own groups and `groups`."""
        try:
            own = os.getgrouplist(pwd.getpwuid(self.uid).pw_name, self.gid)
        except KeyError:
            own = [self.gid]
        numbers = sorted({*own, *(grp.getgrnam(group).gr_gid for group in groups)})
        return [
            "setpriv",
            f"--reuid={self.uid}",
            f"--regid={self.gid}",
            f"--groups={','.join(map(str, numbers))}",
            *argv,
        ]


class QuickstartDaemons:
    """The daemons, and the command `postroom`.

    Args:
        folder: their output and the socket of readiness go here.
        config: postroom.yaml.
    """

    def __init__(self, folder: Path, config: Path, person: Person) -> None:
        self.person = person
        self._notify = folder / "serve.notify"
        self._postroom = [sys.executable, "-m", "postroom", "--config", str(config)]
        self._environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(CHECKOUT / "daemons")}
        self._serve = Recorded("serve", folder)

    @property
    def log(self) -> Path:
        """What all daemons say."""
        return self._serve.output

    def clear(self) -> None:
        """Stop what a killed run left running."""
        self._serve.clear()

    def command(self, *arguments: str, fine: Sequence[int] = (0,)) -> str:
        """Run `postroom ARGUMENTS` as the person; what it printed.

        Raises:
            BedError: it ended with an exit status that is not `fine`.
        """
        done = subprocess.run(
            self.person.command([*self._postroom, *arguments]),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        if done.returncode not in fine:
            raise BedError(f"postroom {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """All of them ready; stopped whatever happens.

        Raises:
            BedError: they are not ready in time, or end; the text has the last words.
        """
        # Open as long as they live: they say STOPPING=1 too.
        with NotifySocket(self._notify, self.person.uid) as notify, contextlib.ExitStack() as stack:
            stack.callback(self._serve.stop)
            argv = self.person.command([*self._postroom, "serve"], GROUPS)
            self._serve.start(argv, {**self._environment, "NOTIFY_SOCKET": str(notify.path)})
            try:
                notify.wait_ready(self._serve.pid, READY_S)
            except BedError as error:
                raise BedError(f"postroom serve: {error}\n{self._last_words()}") from None
            with notify.being_read():
                yield

    def stay(self) -> NoReturn:
        """Wait until serve ends by itself; Ctrl-C raises.

        Raises:
            BedError: it has ended, with its last words.
        """
        end = os.pidfd_open(self._serve.pid)
        try:
            while True:
                select.select([end], [], [])
                self.check()
        finally:
            os.close(end)

    def check(self) -> None:
        """See that serve runs, which starts a daemon again that ends.

        Raises:
            BedError: it has ended, with its last words.
        """
        if (status := self._serve.exit_status()) is not None:
            raise BedError(f"postroom serve ended by itself, exit status {status}\n{self._last_words()}")

    def _last_words(self) -> str:
        """Who could not go on says so at once; the others, which are ended for it, speak last."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([line for line in lines if " critical: " in line] or lines[-5:])
