"""The host as set-up finds it: what Postfix and systemd say of themselves, and commands of the system run.

Source:  postconf(1), postfix(1), systemctl(1); nothing is assumed that one of these can tell.
Limits:  Debian's folders only: /etc/postfix and /var/spool/postfix, which the units name.
"""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from postroom.postfix import commands, postconf
from postroom.postfix.commands import PostfixCommandFailed

POSTFIX = Path("/etc/postfix")
SPOOL = Path("/var/spool/postfix")
COMMAND_TIMEOUT_S = 120.0


class SetupFailed(Exception):
    """A step failed; the text says what, where and how to mend."""


@dataclass(frozen=True)
class Host:
    """What Postfix and systemd say of themselves.

    Attributes:
        mynetworks:     as Postfix reads it, `$names` expanded.
        postfix_unit:   the unit Postfix's master runs in; empty when it is not running.
        log_file:       Postfix's; empty where it logs to the journal.
        delivers_local: whether mail for `hostname` is delivered on this host.
    """

    postfix_version: str
    hostname: str
    mynetworks: str
    postfix_unit: str
    log_file: str
    delivers_local: bool


def run(*command: str | Path) -> str:
    """What a command of the system prints.

    Raises:
        SetupFailed: it cannot be run, or fails; with its last words.
    """
    line = " ".join(map(str, command))
    try:
        done = subprocess.run(  # noqa: S603 - programs of the system, by words of our own
            [str(word) for word in command], capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupFailed(f"{line}: cannot be run ({type(error).__name__}); mend: run it by hand") from None
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip() or f"exit {done.returncode}").splitlines()
        raise SetupFailed(f"{line}: {' / '.join(words[-5:])}; mend: see what it says when run by hand")
    return done.stdout


def succeeds(*command: str) -> bool:
    """Whether a command ends with 0."""
    try:
        run(*command)
    except SetupFailed:
        return False
    return True


def inspect() -> Host:
    """Ask Postfix and systemd.

    Raises:
        PostfixCommandFailed: there is no Postfix that works.
    """
    names = ("mail_version", "myhostname", "mynetworks", "maillog_file", "mydestination")
    values = {name: postconf.expanded(name) for name in names}
    return Host(
        postfix_version=values["mail_version"],
        hostname=values["myhostname"],
        mynetworks=values["mynetworks"],
        postfix_unit=_unit_of_master(),
        log_file=values["maillog_file"],
        delivers_local=values["myhostname"] in re.split(r"[\s,]+", values["mydestination"]),
    )


def _unit_of_master() -> str:
    try:
        pid = (SPOOL / "pid" / "master.pid").read_text(encoding="ascii").strip()
        cgroup = Path(f"/proc/{int(pid)}/cgroup").read_text(encoding="utf-8").splitlines()[-1]
        commands.run("postfix", "status")
    except (OSError, ValueError, IndexError, PostfixCommandFailed):
        return ""
    return next((word for word in reversed(cgroup.split("/")) if word.endswith(".service")), "")


def missing_names(database: str, names: Sequence[str]) -> list[str]:
    """Those users (`passwd`) or groups (`group`) that the host does not know."""
    return [name for name in names if not succeeds("getent", database, name)]
