"""Postfix's own commands, run to their end: what postconf.py and queue_commands.py are made of.

For set-up too, so this room's part of it needs the standard library alone.

Source:  postfix(1), postconf(1), postqueue(1), postsuper(1), postmap(1).
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("/usr/sbin")
"""Where Debian has them. Daemons under systemd have no PATH of their own to look in."""

TIMEOUT_S = 120.0


class PostfixCommandFailed(Exception):
    """One of Postfix's commands cannot be run, or failed; the text says which, why and how to mend.

    Attributes:
        cause: the kind of fault, in one word: `FileNotFoundError`, `TimeoutExpired`, `CalledProcessError`.
    """

    def __init__(self, text: str, cause: str) -> None:
        super().__init__(text)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Output:
    """What a command that succeeded has printed."""

    stdout: str
    stderr: str


def run(
    command: str,
    *arguments: str,
    stdin: str = "",
    timeout_s: float = TIMEOUT_S,
    mend: str = "see what it says when run by hand",
) -> Output:
    """Run `command` with these arguments, `stdin` on its standard input.

    Args:
        mend: what to do when it fails.

    Raises:
        PostfixCommandFailed: it cannot be run, takes too long, or exits with another status than 0.
    """
    line = " ".join([command, *arguments])
    try:
        done = subprocess.run(  # noqa: S603 - a command of Postfix, by words of our own
            [FOLDER / command, *arguments], input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        cause = type(error).__name__
        if isinstance(error, FileNotFoundError):
            mend = f"install Postfix, or link its commands to {FOLDER}"
        else:
            mend = "run it by hand"
        raise PostfixCommandFailed(f"{FOLDER}/{line}: cannot be run ({cause}); mend: {mend}", cause) from None
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip() or f"exit {done.returncode}").splitlines()
        text = f"{line}: {' / '.join(words[-5:])}; mend: {mend}"
        raise PostfixCommandFailed(text, subprocess.CalledProcessError.__name__)
    return Output(done.stdout, done.stderr)
