"""What set-up asks of the host before it changes anything.

Source:  postconf(1), postfix(1), systemctl(1); nothing is taken for granted that one of these can tell.
Limits:  Debian's places alone: /etc/postfix and /var/spool/postfix, which the units name.
"""

import os
import re
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

POSTFIX = Path("/etc/postfix")
SPOOL = Path("/var/spool/postfix")
DOOR = ("127.0.0.1", 10587)
OLDEST = (3, 7)
"""The pieces have small cidr tables in place (cidr:{…}), which is new in 3.7."""

COMMAND_S = 120.0


class SetupFailed(Exception):
    """A step failed; the text says what, where and how to mend."""


@dataclass(frozen=True)
class Host:
    """What Postfix and systemd say of themselves.

    Attributes:
        unit:    the unit Postfix's master runs in; empty when it does not run.
        log:     its log file; empty where it logs to the journal.
        local:   whether mail for `hostname` is delivered on this host.
    """

    version: str
    hostname: str
    networks: str
    unit: str
    log: str
    local: bool


def run(*command: str | Path) -> str:
    """What a command prints.

    Raises:
        SetupFailed: it cannot be run, or fails; with its last words.
    """
    line = " ".join(map(str, command))
    try:
        done = subprocess.run(  # noqa: S603 - programs of the system, by words of our own
            [str(word) for word in command], capture_output=True, text=True, timeout=COMMAND_S, check=False
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


def asked() -> Host:
    """Ask Postfix and systemd.

    Raises:
        SetupFailed: there is no Postfix that works.
    """
    names = ("mail_version", "myhostname", "mynetworks", "maillog_file")
    values = {name: run("postconf", "-xh", name).strip() for name in names}
    local = set(re.split(r"[\s,]+", run("postconf", "-xh", "mydestination").strip()))
    return Host(
        version=values["mail_version"],
        hostname=values["myhostname"],
        networks=values["mynetworks"],
        unit=_unit_of_master(),
        log=values["maillog_file"],
        local=values["myhostname"] in local,
    )


def findings(host: Host, sendmail_door: bool, is_set_up: bool) -> list[str]:
    """What stands against a set-up; each with its mend."""
    found = []
    if os.geteuid() != 0:
        found.append("needs root; mend: run it with sudo")
    version = tuple(int(number) for number in re.findall(r"\d+", host.version)[:2])
    if version < OLDEST:
        found.append(f"Postfix is {host.version}; mend: use 3.7 or newer")
    for name, place in (("config_directory", POSTFIX), ("queue_directory", SPOOL)):
        if run("postconf", "-h", name).strip() != str(place):
            found.append(f"Postfix's {name} is not {place}; mend: set up by hand, docs/operating.md says how")
    if not Path("/run/systemd/system").is_dir():
        found.append("systemd does not run here; mend: `postroom serve` (docs/containers.md)")
    if not host.unit:
        found.append("Postfix does not run; mend: start it, and see that its mail goes out")
    if sendmail_door and not is_set_up and not _is_free(DOOR):
        found.append(f"port {DOOR[0]}:{DOOR[1]} is taken; mend: free it, or --no-sendmail-door")
    if "." not in host.hostname:
        found.append(
            f"myhostname is {host.hostname!r}; mend: postconf myhostname=FULL.NAME, for mail says who sends it"
        )
    return found


def _unit_of_master() -> str:
    try:
        pid = (SPOOL / "pid" / "master.pid").read_text(encoding="ascii").strip()
        group = Path(f"/proc/{int(pid)}/cgroup").read_text(encoding="utf-8").splitlines()[-1]
    except (OSError, ValueError, IndexError):
        return ""
    if not succeeds("postfix", "status"):
        return ""
    return next((word for word in reversed(group.split("/")) if word.endswith(".service")), "")


def _is_free(address: tuple[str, int]) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(address)
        except OSError:
            return False
    return True


def missing_names(kind: str, names: Sequence[str]) -> list[str]:
    """Those users (`passwd`) or groups (`group`) that the host does not know."""
    return [name for name in names if not succeeds("getent", kind, name)]
