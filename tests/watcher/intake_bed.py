"""A host whose return path is wired as postfix-conf/ says, all daemons that take part, and another host beside it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.store.outbox.sample_messages import rows
from tests.watcher.conftest import MakeWatcher
from tests.watcher.far_end import FarEnd

from sandbox.another_host import HERE, HERE_IPV6, AnotherHost
from sandbox.daemon import DEFAULTS, SubmissionDaemon
from sandbox.journald import Journald
from sandbox.nameserver import NameServer
from sandbox.policy import PolicyDaemon
from sandbox.postfix import CHECKOUT, PrivatePostfix, main_settings
from sandbox.process import until
from sandbox.submission_service import PIECE
from sandbox.watcher import WatcherDaemon

PORT = 2525
WITHIN_S = 20.0
ADDRESSES = ("127.0.0.1", "[::1]", HERE, f"[{HERE_IPV6}]")
"""Where port 25 is."""
WIRING = main_settings((CHECKOUT / "postfix-conf" / "watcher.main.cf").read_text(encoding="ascii"))
TIMES = {
    "minimal_backoff_time": "1s",
    "maximal_backoff_time": "1s",
    "queue_run_delay": "1s",
    "transport_retry_time": "1s",
}
"""What waits is tried each second."""
IPV6 = {"inet_protocols": "all", "inet_interfaces": "all", "smtp_address_preference": "ipv4"}
_OWN_DNS = 'mount --bind "$0" /etc/resolv.conf; exec "$@"'


class Host:
    """All that takes part; `sent` are messages of the API."""

    def __init__(
        self,
        submission: SubmissionDaemon,
        watcher: WatcherDaemon,
        postfix: PrivatePostfix,
        far_end: FarEnd,
        world: AnotherHost,
    ) -> None:
        self.submission = submission
        self.watcher = watcher
        self.postfix = postfix
        self.far_end = far_end
        self.world = world

    def sent(self, recipient: str, state: str = "delivered") -> tuple[str, str]:
        """Send a mail and wait for its state: its id, and its envelope sender where it was taken."""
        message = {"from": "hello@example.org", "to": [recipient], "subject": "x", "text": "y"}
        answer = self.submission.post(message)
        assert answer.status == 202
        number: str = answer.document["id"]
        self.comes_to(number, state)
        senders = [mail.sender for mail in self.far_end.mails if recipient in mail.recipients]
        return number, senders[-1] if senders else ""

    def state(self, number: str) -> str:
        state: str = self.submission.message(number)["deliveries"][0]["state"]
        return state

    def comes_to(self, number: str, state: str) -> None:
        until(lambda: self.state(number) == state, WITHIN_S, state, self.submission.alive, 0.05)

    def mail(self, octets: bytes, recipient: str, sender: str = "") -> tuple[int, str]:
        """Send a mail to port 25 from the other host; the last reply."""
        return self.world.mail(octets, recipient, sender, port=PORT)

    def taken(self, word: str, count: int = 1) -> None:
        """Wait until the watcher has taken so many mails of which it says this."""
        until(lambda: self.watcher.log().count(word) == count, WITHIN_S, word, self.watcher.alive, 0.05)

    def suppressed(self, recipient: str) -> bool:
        """Whether mail to this recipient is refused."""
        message = {"from": "hello@example.org", "to": [recipient], "subject": "x", "text": "y"}
        answer = self.submission.post(message)
        return answer.status == 422 and answer.document["code"] == "suppressed"

    def comes_to_be_suppressed(self, recipient: str) -> None:
        """Wait for it without asking by a message: one that is delivered meanwhile would lift the suppression."""
        command = self.submission.command
        until(lambda: command("suppress", "why", recipient).returncode == 0, WITHIN_S, "suppressed", every_s=0.2)
        assert self.suppressed(recipient)

    def shared(self) -> list[str]:
        """The causes that went on to suppression."""
        track = self.watcher.state_dir / "watcher" / "track.db"
        return [cause for (cause,) in rows(track, "SELECT cause FROM share WHERE cause <> '' ORDER BY number")]


@contextmanager
def wired_host(
    bed: Path,
    make_watcher: MakeWatcher,
    far_end: FarEnd,
    *,
    is_by_journal: bool = False,
    settings: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    records: tuple[str, ...] = (),
    watcher_settings: str = "",
) -> Iterator[Host]:
    """A host that runs.

    Args:
        is_by_journal: the watcher reads the journal, as on a host with systemd; else Postfix's log file.
        settings:      more of main.cf.
        options:       of the smtpd at port 25.
        records:       the watcher's DNS knows these, and nothing else.
        watcher_settings: more sections of its postroom.yaml.
    """
    with ExitStack() as at_end:
        journald = at_end.enter_context(Journald(unit="postfix@-.service")) if is_by_journal else None
        world = at_end.enter_context(AnotherHost())
        postfix = PrivatePostfix(
            bed / "postfix",
            ("127.0.0.1", far_end.port),
            settings={**PIECE, **WIRING, **TIMES, **IPV6, **(settings or {})},
            smtp_ports={PORT: options or {}},
            smtp_addresses=ADDRESSES,
            journald=journald,
        )
        at_end.enter_context(postfix)
        sockets = postfix.queue_directory / "postroom"
        submission = at_end.enter_context(SubmissionDaemon(bed / "s", postfix.handover_socket.parent))
        at_end.enter_context(PolicyDaemon(bed / "p", sockets / "policy.sock", state_dir=submission.state_dir))
        watcher = make_watcher(
            postfix.handover_socket.parent,
            "source: journal" if journald else f"source: {postfix.maillog}",
            settings=f"{DEFAULTS}\n{watcher_settings}",
            state_dir=submission.state_dir,
            socket=sockets / "lmtp.sock",
            journald=journald,
        )
        prefix: tuple[str, ...] = ()
        if records:
            at_end.enter_context(NameServer(bed / "dns", records, port=53))
            resolv_conf = bed / "resolv.conf"
            resolv_conf.write_text("nameserver 127.0.0.1\n", encoding="ascii")
            prefix = ("unshare", "--mount", "sh", "-euc", _OWN_DNS, str(resolv_conf))
        watcher.start(prefix=prefix)
        yield Host(submission, watcher, postfix, far_end, world)
        watcher.stop()
