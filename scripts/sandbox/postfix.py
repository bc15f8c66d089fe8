"""A private Postfix: the real daemons, under a folder of its own, beside whatever runs on this host.

Needs root, as master(8) does. Nothing listens on TCP unless `smtp_ports` says so; all mail goes to one
address, the sink, by `default_transport`: with a relayhost the far end would be a relay, and
`status=sent` would not mean that the recipient's server has it.

Flow:    write() -> start() -> … -> stop()
Source:  postconf(5), master(5), MAILLOG_README
Limits:  the path of the hand-over socket must fit into 107 bytes (unix(7)).
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.journald import Journald
from sandbox.maillog import deliveries
from sandbox.process import BedError, Identity, until

CHECKOUT = Path(__file__).resolve().parents[2]
HANDOVER_PIECE = CHECKOUT / "postfix-conf" / "submission.master.cf"
RETURN_PIECE = CHECKOUT / "postfix-conf" / "watcher.master.cf"
PROBE_PIECE = CHECKOUT / "postfix-conf" / "probe.master.cf"
SENDMAIL_PIECES = {
    name: CHECKOUT / "postfix-conf" / f"sendmail.{name}" for name in ("main.cf", "master.cf", "pickup.master.cf")
}
SENDMAIL_PORT = "10587"
"""The one written in them."""
MILTER_PIECE = CHECKOUT / "postfix-conf" / "milter.main.cf"
MASTER_DIST = Path("/usr/share/postfix/master.cf.dist")
SUN_PATH_MAX = 107
"""Bytes of a Unix socket's path (unix(7): sun_path has 108, the last is the terminator)."""
_ABOUT_CLOCKS = re.compile(r"file system clock is \d+ seconds ahead|resetting file time stamps")


@dataclass(frozen=True)
class QueuedMail:
    """One line of `postqueue -j`."""

    queue_id: str
    queue_name: str
    """active, deferred, hold, incoming or maildrop."""
    sender: str
    recipients: tuple[str, ...]
    reasons: tuple[str, ...]
    """Why each recipient waits, in the order of `recipients`; empty where nothing was tried."""


def main_settings(text: str) -> dict[str, str]:
    """The settings of a piece of main.cf, name to value; each stands on one line."""
    lines = (line for line in text.splitlines() if line[:1] not in ("#", ""))
    return {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}


def parse_queue(lines: str) -> list[QueuedMail]:
    """The output of `postqueue -j`: one JSON object a line (postqueue(1), "JSON OBJECT FORMAT")."""
    mails = []
    for line in lines.splitlines():
        entry = json.loads(line)
        mails.append(
            QueuedMail(
                queue_id=entry["queue_id"],
                queue_name=entry["queue_name"],
                sender="" if entry["sender"] == "MAILER-DAEMON" else entry["sender"],
                recipients=tuple(recipient["address"] for recipient in entry["recipients"]),
                reasons=tuple(recipient.get("delay_reason", "") for recipient in entry["recipients"]),
            )
        )
    return mails


def master_services(
    dist: str, smtp_ports: Mapping[int, Mapping[str, str]], addresses: Sequence[str] = ("127.0.0.1",)
) -> str:
    """master.cf.dist as a private instance needs it: no chroot, no TCP listener but `smtp_ports`, no pipes.

    The chroot is Debian's patch of the default and would need copies of /etc/services and others.
    """
    services = []
    for line in dist.splitlines():
        columns = line.split()
        if line[:1] in ("#", " ", "\t", "") or columns[1] == "inet" or columns[7] == "pipe":
            continue
        services.append("\t".join([*columns[:4], "n", *columns[5:]]))
    for address, (port, options) in product(addresses, smtp_ports.items()):
        services.append(f"{address}:{port}\tinet\tn\t-\tn\t-\t-\tsmtpd")
        # In braces, so that a value may hold blanks (master(5)).
        services += [f"    -o {{ {name} = {value} }}" for name, value in options.items()]
    return "\n".join(services) + "\n"


def with_sendmail_door(services: str, port: int, milter: Path) -> str:
    """The services with those of the sendmail door, as the comments of its pieces say."""
    door, pickup = (
        SENDMAIL_PIECES[name]
        .read_text(encoding="ascii")
        .replace(SENDMAIL_PORT, str(port))
        .replace("unix:postroom/milter.sock", f"unix:{milter}")
        for name in ("master.cf", "pickup.master.cf")
    )
    lines = services.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("pickup"))
    return "\n".join([*lines[: at + 1], pickup.rstrip(), *lines[at + 1 :]]) + "\n" + door


def milter_settings(socket: Path) -> dict[str, str]:
    """The lines of postfix-conf/milter.main.cf, for a milter on another socket."""
    return {**main_settings(MILTER_PIECE.read_text(encoding="ascii")), "smtpd_milters": f"unix:{socket}"}


class PrivatePostfix:
    """One Postfix instance under `folder`.

    Args:
        folder: absolute; holds conf/, queue/ and maillog. Made when missing.
        relay: host and port all mail is sent to.
        hostname: myhostname.
        handover: with the hand-over listener of postfix-conf/submission.master.cf, and the watcher's services.
        smtp_ports: smtpds on TCP as well: port to its own settings, name to value.
        smtp_addresses: of this host, where those listen; IPv6 in brackets.
        milter: socket of a milter that all mail from smtpd(8) passes, as postfix-conf/milter.main.cf says.
        door_port: with the sendmail door of postfix-conf/sendmail.*, its listener on that port; needs `milter`.
        settings: more lines of main.cf, name to value; they win.
        journald: where it logs to instead of its file, as it does on a host with systemd.
    """

    def __init__(
        self,
        folder: Path,
        relay: tuple[str, int],
        hostname: str = "mail.example.org",
        handover: bool = True,
        smtp_ports: Mapping[int, Mapping[str, str]] | None = None,
        settings: Mapping[str, str] | None = None,
        milter: Path | None = None,
        journald: Journald | None = None,
        door_port: int | None = None,
        smtp_addresses: Sequence[str] = ("127.0.0.1",),
    ) -> None:
        self.config_directory = folder / "conf"
        self.queue_directory = folder / "queue"
        self.maillog = folder / "maillog"
        self.handover_socket = self.queue_directory / "public" / "postroom-in"
        self.showq_socket = self.queue_directory / "public" / "showq"
        self._folder = folder
        self._relay = relay
        self._hostname = hostname
        self._handover = handover
        self._smtp_ports = dict(smtp_ports or {})
        self._settings = dict(settings or {})
        self._smtp_addresses = smtp_addresses
        self._milter = milter
        self._journald = journald
        self._door_port = door_port

    def write(self) -> None:
        """Write main.cf and master.cf and make the folders.

        Raises:
            BedError: a path is too long for a socket, or Postfix is not installed.
        """
        length = len(os.fsencode(self.handover_socket))
        if length > SUN_PATH_MAX:
            raise BedError(
                f"{self.handover_socket}: a socket's path may have {SUN_PATH_MAX} bytes, this one has {length}. "
                "Mend: use a folder with a shorter path."
            )
        if not MASTER_DIST.exists():
            raise BedError(f"{MASTER_DIST} is missing. Mend: apt-get install postfix.")
        for path in (self.config_directory, self.queue_directory):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o755)
        data = self.queue_directory / "data"
        data.mkdir(exist_ok=True)
        shutil.chown(data, "postfix")
        self._write_main()
        self._write_master()

    def _write_main(self) -> None:
        host, port = self._relay
        main = {
            "compatibility_level": "3.6",
            "queue_directory": str(self.queue_directory),
            # Every Postfix process works inside queue_directory, so this is queue/data, reached without a look
            # at the folders above: user postfix may not enter them (a checkout under /root, mode 0700).
            "data_directory": "/proc/self/cwd/data",
            "maillog_file": "" if self._journald is not None else str(self.maillog),
            "maillog_file_prefixes": str(self._folder),
            "myhostname": self._hostname,
            "mydestination": "",
            "alias_maps": "",
            "alias_database": "",
            "inet_interfaces": "loopback-only",
            "inet_protocols": "ipv4",
            "mynetworks": "127.0.0.0/8",
            "default_transport": f"smtp:[{host}]:{port}",
            # No DNS: the bed must not depend on a resolver, nor ask one about made-up names.
            "smtp_dns_support_level": "disabled",
            "smtp_tls_security_level": "none",
            "smtpd_tls_security_level": "none",
            **(milter_settings(self._milter) if self._milter is not None else {}),
            **(main_settings(SENDMAIL_PIECES["main.cf"].read_text("ascii")) if self._door_port is not None else {}),
            **self._settings,
        }
        lines = [f"{name} = {value}".rstrip() for name, value in main.items()]
        self._write_aged("main.cf", "\n".join(lines) + "\n")

    def _write_master(self) -> None:
        text = master_services(MASTER_DIST.read_text(encoding="ascii"), self._smtp_ports, self._smtp_addresses)
        if self._door_port is not None and self._milter is not None:
            text = with_sendmail_door(text, self._door_port, self._milter)
        if self._handover:
            text += "".join(piece.read_text(encoding="ascii") for piece in (HANDOVER_PIECE, RETURN_PIECE, PROBE_PIECE))
        self._write_aged("master.cf", text)
        if self._handover and self._milter is not None:
            setting = f"postroom-in/unix/smtpd_milters=unix:{self._milter}"
            done = self._run("postconf", ["-c", str(self.config_directory), "-P", setting])
            if done.returncode != 0:
                raise BedError(f"postconf -P: {done.stdout.strip()}")
            self._age("master.cf")

    def _write_aged(self, name: str, text: str) -> None:
        (self.config_directory / name).write_text(text, encoding="ascii")
        self._age(name)

    def _age(self, name: str) -> None:
        # Postfix waits 2 s for a configuration file as young as that to be complete.
        minute_ago = time.time() - 60
        os.utime(self.config_directory / name, (minute_ago, minute_ago))

    def start(self) -> None:
        """Start it; returns when master is up and the listeners exist.

        Raises:
            BedError: it did not start; the text has the log's last lines.
        """
        done = self._postfix("start")
        if done.returncode != 0 or not self.alive():
            raise BedError(f"{self.config_directory}: Postfix did not start: {self.log()[-5:]}")
        if self._handover:
            until(self.handover_socket.is_socket, 5.0, f"listener {self.handover_socket}", self.alive)

    def stop(self) -> None:
        """Stop it and see that its master is gone. Does nothing when it is not running.

        Raises:
            BedError: master lives on.
        """
        master = self._master()
        if master is None or not self.alive():
            return
        self._postfix("stop")
        # `postfix stop` has waited already; stop() is here for the master that does not listen to it.
        master.stop()
        if self.alive():
            raise BedError(f"{self.config_directory}: Postfix is still running as process {master.pid}")

    def alive(self) -> bool:
        """Whether its master runs: it holds a lock on its pid file, so no other process is taken for it."""
        return (self.queue_directory / "pid" / "master.pid").exists() and self._postfix("status").returncode == 0

    def queue(self) -> list[QueuedMail]:
        """What waits in the queue, all queues."""
        return parse_queue(self._postqueue("-j"))

    @property
    def master_pid(self) -> int:
        """Process id of master(8), whose children all its daemons are; only while it runs."""
        return int((self.queue_directory / "pid" / "master.pid").read_text(encoding="ascii"))

    def flush(self) -> None:
        """Try all waiting mail now."""
        self._postqueue("-f")

    def as_user(self, uid: int, script: str, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a bash script as another user for whom this Postfix is the host's: sendmail(1) there is its own.

        A mount namespace of its own has our configuration in place of /etc/postfix.

        Args:
            stdin: what the script reads.
        """
        inner = 'mount --bind "$0" /etc/postfix && exec setpriv --reuid="$1" --regid="$1" --clear-groups "${@:2}"'
        command = ["unshare", "--mount", "bash", "-c", inner, str(self.config_directory), str(uid)]
        return subprocess.run(
            [*command, "bash", "-c", script, "bash", *arguments],
            input=stdin,
            capture_output=True,
            timeout=3600,
            check=False,
            cwd="/",
        )

    def log(self) -> list[str]:
        """The lines of its log so far."""
        if self._journald is not None:
            return self._journald.lines()
        try:
            return self.maillog.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def warnings(self) -> list[str]:
        """What it warned of, without a loaded machine's clock: cleanup(8) compares it with the file system's."""
        return [line for line in self.log() if " warning: " in line and not _ABOUT_CLOCKS.search(line)]

    def statuses(self, queue_id: str) -> list[str]:
        """Every `status=` word logged for this queue id, in order: sent, deferred, bounced, expired."""
        return [delivery.status for delivery in deliveries(self.log(), queue_id)]

    def _master(self) -> Identity | None:
        try:
            pid = (self.queue_directory / "pid" / "master.pid").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        return Identity.of(int(pid)) if pid.isdecimal() else None

    def _postfix(self, command: str) -> subprocess.CompletedProcess[str]:
        return self._run("postfix", ["-c", str(self.config_directory), command])

    def _postqueue(self, option: str) -> str:
        done = self._run("postqueue", ["-c", str(self.config_directory), option])
        if done.returncode != 0:
            raise BedError(f"postqueue {option}: {done.stdout.strip()}")
        return done.stdout

    def _run(self, program: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        enter = () if self._journald is None else self._journald.enter_unit
        # /usr/sbin by name: it is not on every user's PATH. Output to one place: Postfix speaks on stderr.
        return subprocess.run(
            [*enter, f"/usr/sbin/{program}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )

    def __enter__(self) -> Self:
        self.write()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
