"""The sendmail door whole: milter, policy and Postfix on one store, and users of the host who run sendmail(1)."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.daemon import DEFAULTS
from sandbox.milter import MilterDaemon
from sandbox.policy import PolicyDaemon
from sandbox.postfix import PrivatePostfix, QueuedMail
from sandbox.process import until
from sandbox.sink import Sink, StoredMail, free_port

WWW_DATA, BACKUP = 33, 34

MAIL = "From: www@example.org\\nTo: b@example.net\\nSubject: hello\\n\\nhello\\n"
SEND = f"printf '{MAIL}' | /usr/sbin/sendmail -i -f www@example.org"


@dataclass
class DoorBed:
    """A running sendmail door."""

    milter: MilterDaemon
    policy: PolicyDaemon
    postfix: PrivatePostfix
    sink: Sink
    port: int

    def send(self, count: int, uid: int = WWW_DATA, recipient: str = "b@example.net", command: str = SEND) -> None:
        """So many mails of one user, one sendmail(1) after the other."""
        done = self.postfix.as_user(
            uid, 'for i in $(seq "$1"); do ' + command + ' "$2" || exit; done', str(count), recipient
        )
        assert done.returncode == 0, done.stderr

    def arrived(self, count: int, within_s: float = 40) -> list[StoredMail]:
        """So many mails in the world, and not one more."""
        until(lambda: len(self.sink.messages()) >= count, within_s, f"{count} mails", self.postfix.alive, 0.1)
        mails = self.sink.messages()
        assert len(mails) == count
        return mails

    def queued(self, name: str, count: int, within_s: float = 40) -> list[QueuedMail]:
        """What waits in this queue of Postfix, once nothing else waits anywhere and it is so many."""

        def is_so() -> bool:
            queue = self.postfix.queue()
            return len(queue) == count and {mail.queue_name for mail in queue} <= {name}

        until(is_so, within_s, f"{count} mails, all {name}", self.postfix.alive, 0.2)
        return self.postfix.queue()

    def used(self, key: str) -> int:
        """What is counted under this key, by the first limit with such a key."""
        done = self.milter.command("limits", "show", key, "--json")
        assert done.stderr == ""
        return int(json.loads(done.stdout)[0]["used"])

    def postfix_command(self, *arguments: str) -> str:
        """Run a command of Postfix's on this instance, as root; gives what it says."""
        done = subprocess.run(
            [f"/usr/sbin/{arguments[0]}", "-c", str(self.postfix.config_directory), *arguments[1:]],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout + done.stderr

    def requeue_all(self) -> None:
        """`postsuper -r ALL`, and have pickup take it at once."""
        self.postfix_command("postsuper", "-r", "ALL")
        self.postfix.flush()

    def delivered(self, count: int, within_s: float = 60) -> list[StoredMail]:
        """As `arrived`, while Postfix is told again and again to try what waits."""

        def is_so() -> bool:
            if len(self.sink.messages()) < count:
                self.postfix.flush()
            return len(self.sink.messages()) >= count

        until(is_so, within_s, f"{count} mails", self.postfix.alive, 0.5)
        return self.arrived(count)

    def change(self, before: str, after: str) -> None:
        """Change the milter's configuration and let it reload."""
        text = self.milter.config.read_text(encoding="utf-8")
        assert before in text
        self.milter.config.write_text(text.replace(before, after), encoding="utf-8")
        self.milter.reload()

    def outcomes(self) -> list[str]:
        """What became of each mail that was counted, in the order of the log."""
        return [
            line.partition(" outcome=")[2].split()[0]
            for line in self.milter.log().splitlines()
            if "milter.counted" in line
        ]


@contextmanager
def door_bed(
    folder: Path,
    sink: Sink,
    limits: str,
    milter: str = "",
    sections: str = "",
    settings: Mapping[str, str] | None = None,
    smtp_ports: Mapping[int, Mapping[str, str]] | None = None,
    smtp_addresses: Sequence[str] = ("127.0.0.1",),
    policy: str = "",
) -> Iterator[DoorBed]:
    """Start everything.

    Args:
        limits:   lines of the section `limits`.
        milter:   lines of the section `milter`.
        sections: text of more sections of both configurations.
        settings: lines of main.cf.
        smtp_ports, smtp_addresses: as for PrivatePostfix.
        policy:   lines of the section `policy`.
    """
    section = f"limits:\n{limits}\n"
    daemon = MilterDaemon(
        folder / "m", ("127.0.0.1",), f"socket_group: postfix\n  {milter}", sections=section + sections
    )
    port = free_port()
    postfix = PrivatePostfix(
        folder / "postfix",
        ("127.0.0.1", sink.port),
        milter=daemon.socket,
        door_port=port,
        smtp_ports=smtp_ports,
        settings=settings,
        smtp_addresses=smtp_addresses,
    )
    path = postfix.queue_directory / "postroom" / "policy.sock"
    asked = PolicyDaemon(folder / "p", path, DEFAULTS + section + sections, policy, daemon.state_dir)
    with ExitStack() as started:
        postfix.write()
        for part in (daemon, asked):
            started.callback(part.stop)
            part.init()
            part.start({"MAIL_CONFIG": str(postfix.config_directory)})
        started.enter_context(postfix)
        yield DoorBed(daemon, asked, postfix, sink, port)


def signatures(mail: StoredMail) -> int:
    """How many signatures of ours it bears."""
    return len(re.findall(rb"^DKIM-Signature: ", mail.raw, re.MULTILINE))
