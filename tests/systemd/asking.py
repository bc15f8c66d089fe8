"""A booted Debian with Postroom on it, asked from inside: its units, sockets, journal and API.

Runs there, as root, with the installed Postroom's Python; `ada` is the client.
"""

import grp
import http.client
import json
import os
import pwd
import re
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from postroom.config.daemons import DAEMONS
from sandbox.process import BedError, until

POSTROOM = "/opt/postroom/bin/postroom"
CONFIG = Path("/etc/postroom/postroom.yaml")
SPOOL, STATE = Path("/var/spool/postfix"), Path("/var/lib/postroom")
WORLD = SPOOL / "world"
POLICY, MILTER = SPOOL / "postroom/policy.sock", SPOOL / "postroom/milter.sock"
LMTP = SPOOL / "postroom/lmtp.sock"
API, MONITOR = Path("/run/postroom/submission.sock"), Path("/run/postroom/monitor.sock")
ASKING = {
    "request": "smtpd_access_policy",
    "protocol_state": "END-OF-MESSAGE",
    "policy_context": "smtp",
    "sender": "anna@example.org",
    "recipient": "jane@example.net",
    "recipient_count": "1",
}


def run(*command: str | Path, ok: bool = True) -> str:
    """What it prints; its exit status must be 0 unless `ok` is false."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 or not ok, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def unit(word: str) -> str:
    return f"postroom-{word}.service"


def show(word: str, name: str) -> str:
    return run("systemctl", "show", "--value", f"--property={name}", unit(word)).strip()


def pids() -> dict[str, int]:
    return {word: int(show(word, "MainPID")) for word in DAEMONS}


def states() -> dict[str, str]:
    """active, deactivating, inactive, failed …"""
    return {word: run("systemctl", "is-active", unit(word), ok=False).strip() for word in DAEMONS}


def are_active() -> bool:
    return set(states().values()) == {"active"}


def wait_active(within_s: float = 60.0) -> None:
    until(are_active, within_s, "all daemons active", every_s=0.2)


def owned(path: Path) -> tuple[str, str, str]:
    """Mode, user and group."""
    status = path.lstat()
    return (
        f"{stat.S_IMODE(status.st_mode):04o}",
        pwd.getpwuid(status.st_uid).pw_name,
        grp.getgrgid(status.st_gid).gr_name,
    )


def events(pattern: str) -> list[str]:
    """Lines of Postroom in the journal with this in them."""
    lines = run("journalctl", "--quiet", "--output=cat", "--no-pager", *[f"--unit={unit(word)}" for word in DAEMONS])
    return [line for line in lines.splitlines() if re.search(pattern, line)]


@contextmanager
def user(name: str) -> Iterator[None]:
    """Be somebody else, with their groups, for the time of a connection."""
    entry = pwd.getpwnam(name)
    groups = os.getgroups()
    os.setgroups(os.getgrouplist(name, entry.pw_gid))
    os.setegid(entry.pw_gid)
    os.seteuid(entry.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def connected(path: Path, name: str) -> socket.socket:
    """A connection of this user."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    with user(name):
        sock.connect(str(path))
    return sock


def api(method: str, target: str, body: Any = None) -> tuple[int, Any]:
    """One request of ada."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = connected(API, "ada")
    connection.request(method, target, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def health() -> Any:
    """The monitor's /healthz."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = connected(MONITOR, "root")
    connection.request("GET", "/healthz")
    return json.loads(connection.getresponse().read())


def asked(instance: str) -> str:
    """What the policy daemon answers user postfix at the end of a message."""
    request = "".join(f"{name}={value}\n" for name, value in {**ASKING, "instance": instance}.items()) + "\n"
    with connected(POLICY, "postfix") as sock:
        sock.sendall(request.encode())
        return sock.recv(1000).decode().strip()


def deliver() -> None:
    """One more message goes all its way: API, outbox, hand-over, Postfix, the world, its log, the watcher, API.

    Each has a sender of its own, for there is a limit.
    """
    sender = f"hello-{time.monotonic_ns()}@example.org"
    message = {"from": sender, "to": "jane@example.net", "subject": "Hello", "text": "Hello, Jane."}
    status, answer = api("POST", "/v1/messages", message)
    assert status == 202, answer
    shown: dict[str, Any] = {}

    def is_delivered() -> bool:
        shown.update(api("GET", f"/v1/messages/{answer['id']}")[1])
        return bool(shown["deliveries"][0]["state"] == "delivered")

    try:
        until(is_delivered, 30, "the message delivered", every_s=0.2)
    except BedError as error:
        raise BedError(f"{error}; {shown}\n{run('journalctl', '--no-pager', '--lines=60')}") from None


@contextmanager
def world() -> Iterator[None]:
    """Whoever Postfix delivers to: an LMTP server that keeps each mail in a file of its own."""
    WORLD.mkdir(exist_ok=True)
    WORLD.chmod(0o777)
    (WORLD / "lmtp").unlink(missing_ok=True)
    sink = ["smtp-sink", "-L", "-u", "postfix", "-d", "mail.%M.", "unix:lmtp", "100"]
    run("systemd-run", "--quiet", "--unit=world", f"--working-directory={WORLD}", *sink)
    until((WORLD / "lmtp").exists, 20, "the world listens")
    yield
    run("systemctl", "stop", "world")
