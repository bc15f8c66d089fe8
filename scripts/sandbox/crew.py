"""The daemons of the quickstart: one configuration, one store, run as the person who asked.

A daemon more is a line more in CREW.
"""

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

CREW = {
    "milter": ("postfix",),
    "policy": ("postfix",),
    "watcher": ("postfix", "postdrop"),
    "monitor": ("postdrop",),
    "submission": ("postdrop",),
}
"""Each daemon with the groups it has beside the person's own: `postfix` may speak to its socket, or it may speak to
Postfix's (`postdrop`). Stopped from the last to the first: the sessions of submission keep the milter busy."""


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


class Crew:
    """The daemons, and the command `postroom`.

    Args:
        folder: their output and sockets of readiness go here.
        config: postroom.yaml.
    """

    def __init__(self, folder: Path, config: Path, person: Person) -> None:
        self.person = person
        self._folder = folder
        self._postroom = [sys.executable, "-m", "postroom", "--config", str(config)]
        self._environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(CHECKOUT / "daemons")}
        self._daemons = {word: Recorded(word, folder) for word in CREW}

    @property
    def logs(self) -> list[Path]:
        """What each daemon says."""
        return [daemon.output for daemon in self._daemons.values()]

    def clear(self) -> None:
        """Stop what a killed run left running."""
        for daemon in reversed(self._daemons.values()):
            daemon.clear()

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
            BedError: one is not ready in time, or ends; the text has its last words.
        """
        with contextlib.ExitStack() as stack:
            sockets = {}
            # All at once: most of the time until they are ready they read Python's modules.
            for word, daemon in self._daemons.items():
                # Open as long as the daemon lives: it says STOPPING=1 too.
                sockets[word] = stack.enter_context(NotifySocket(self._folder / f"{word}.notify", self.person.uid))
                stack.callback(daemon.stop)
                argv = self.person.command([*self._postroom, word], CREW[word])
                daemon.start(argv, {**self._environment, "NOTIFY_SOCKET": str(sockets[word].path)})
            for word, daemon in self._daemons.items():
                try:
                    sockets[word].wait_ready(daemon.pid, READY_S)
                except BedError as error:
                    raise BedError(f"postroom {word}: {error}\n{daemon.last_words()}") from None
            yield

    def stay(self) -> NoReturn:
        """Wait until one of them ends by itself; Ctrl-C raises.

        Raises:
            BedError: one has ended, which, and its last words.
        """
        with contextlib.ExitStack() as stack:
            ends = []
            for daemon in self._daemons.values():
                ends.append(os.pidfd_open(daemon.pid))
                stack.callback(os.close, ends[-1])
            while True:
                select.select(ends, [], [])
                self.check()

    def check(self) -> None:
        """See that all of them run.

        Raises:
            BedError: one has ended, which, and its last words.
        """
        for word, daemon in self._daemons.items():
            if (status := daemon.exit_status()) is not None:
                raise BedError(f"{word} ended by itself, exit status {status}\n{daemon.last_words()}")
