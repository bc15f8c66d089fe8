"""`postroom privacy`: what is kept of one recipient, and taking it out, beside daemons that have the files open."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ctl.conftest import Postroom, Write
from tests.store.event_loop import Run
from tests.store.outbox.sample_messages import letter

from postroom.mail.recipients import masked_recipient
from postroom.mail.states import State
from postroom.store.limits.interface import Demand
from postroom.store.outbox.mail_store import MailStore
from postroom.store.shared.values import ProofRule, Refused, WaveGuard
from postroom.store.sqlite_store import open_sqlite_store
from postroom.store.track.evidence import RecipientFault
from postroom.store.track.facts import DeliveryTried, Fact, LeftQueue, SeenInQueue
from postroom.store.track.track_store import TrackStore

pytestmark = pytest.mark.process  # erasing waits for the daemons to empty their write-ahead logs

JANE, JOE = "jane@example.net", "joe@example.com"


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


class Host:
    """A store as submission and watcher have it open."""

    def __init__(self, state: Path, run: Run) -> None:
        self.state, self.run, self.now = state, run, time.time()
        self.key = (state / "keys" / "recipient-hash.key").read_bytes()
        self.mail = MailStore.open(state / "submission" / "mail.db", self.key)
        self.track = TrackStore.open(state / "watcher" / "track.db")
        self.shared = open_sqlite_store(state / "shared")
        self.position: str | None = None
        self.is_closed = False

    def accept(self, number: int, *recipients: str) -> None:
        body = b"Subject: hello\r\n\r\nhello\r\n"
        self.run(self.mail.acceptance.accept(letter(number, self.now), recipients, body, "{}", None, 1000))

    def hand_over(self, token: str, queue_id: str) -> None:
        """The delivery that is due next."""
        (claimed,) = self.run(self.mail.handover.claim(1, self.now))
        self.run(self.mail.handover.start_attempt(claimed.delivery, token, self.now))
        self.run(self.mail.handover.mark_queued(claimed.delivery, queue_id, self.now))

    def bounce(self, token: str, queue_id: str, recipient: str, *, has_left: bool = True) -> None:
        """Postfix's log tells that it bounced."""
        fault = RecipientFault("invalid_recipient", "now", "recipient.unknown", 1)
        kept = masked_recipient(self.key, recipient)
        reply = f"550 5.1.1 <{kept.hint}> unknown at mx of theirs"
        tried = DeliveryTried(queue_id, kept, None, State.BOUNCED, "5.1.1", reply, "mx.theirs.test:25", self.now, fault)
        facts: list[Fact] = [
            SeenInQueue(token, queue_id, "postfix"),
            tried,
            *([LeftQueue(queue_id, self.now)] if has_left else []),
        ]
        after, self.position = self.position, f"{self.position or ''}+"
        self.run(self.track.log.apply("log", after, self.position, facts, self.now, proven=True))

    def learn(self, recipient: str) -> None:
        """The shared store hears of it."""
        kept = masked_recipient(self.key, recipient)
        words = ("invalid_recipient", "recipient.unknown", 1, "5.1.1", f"550 5.1.1 <{kept.hint}> unknown")
        fact = Refused(kept.hash, kept.hash, kept.domain, kept.hint, *words, self.now, True)
        self.run(
            self.shared.evidence.learn(
                [fact], {"invalid_recipient": ProofRule(1, 0.0, 8_640_000.0)}, WaveGuard(20, 600.0, 20)
            )
        )

    def close(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        for store in (self.mail, self.track, self.shared):
            self.run(store.close())


@pytest.fixture
def host(postroom: Postroom, also: Write, state: Path, run: Run) -> Iterator[Host]:
    """With a limit by recipient."""
    also("limits:\n  - {name: gently, key: recipient, rate: 10/1h}\n")
    assert postroom("store", "init").returncode == 0
    host = Host(state, run)
    yield host
    host.close()


def both_bounced(host: Host) -> None:
    """Jane: one ended mail everywhere, counted by a limit; Joe the same."""
    for number, recipient in enumerate((JANE, JOE), 1):
        host.accept(number, recipient)
        host.hand_over(f"t{number}", f"Q{number}")
        host.bounce(f"t{number}", f"Q{number}", recipient)
        host.learn(recipient)
        key = f"recipient:#{masked_recipient(host.key, recipient).hash}"
        assert host.run(host.shared.takes.take(f"i{number}", "smtp", [Demand("gently", key, 1, 10, 3600)])).allowed


def reported(postroom: Postroom, recipient: str) -> dict[str, dict[str, object]]:
    done = postroom("privacy", "report", recipient, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document: dict[str, dict[str, object]] = json.loads(done.stdout)
    return document


def entries_of(report: dict[str, dict[str, object]]) -> list[dict[str, object]]:
    entries = report["suppression"]["entries"]
    assert isinstance(entries, list)
    return entries


def test_a_report_names_every_place(host: Host, postroom: Postroom) -> None:
    """With form and end; never the address; of a stranger it says that nothing is kept."""
    both_bounced(host)
    host.accept(3, JANE)
    done = postroom("privacy", "report", "Jane <jane@example.net>")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"#{masked_recipient(host.key, JANE).hash}"
    assert [line.split()[0] for line in lines[1:-1]] == ["outbox"] * 2 + ["tracking"] + ["suppression"] * 2 + ["limits"]
    assert lines[1] == "outbox       1 to be handed over: address and mail, until then"
    assert "1 ended: hash, masked address and reply, until 20" in lines[2]
    assert lines[-2].startswith("limits       gently: 1 counted, until ")
    assert JANE not in done.stdout
    assert postroom("privacy", "report", "nobody@example.org").stdout.splitlines()[1] == "nothing is kept"


def test_who_is_erased_is_found_nowhere_but_stays_suppressed(host: Host, postroom: Postroom, state: Path) -> None:
    """As a hash alone. The figures stay as they are, and so does everybody else."""
    both_bounced(host)
    before, joe = host.run(host.mail.queries.figures()), reported(postroom, JOE)
    done = postroom("privacy", "erase", JANE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "erased; still suppressed, as a hash\n", "")
    jane = reported(postroom, JANE)
    assert (jane["outbox"]["ended"], jane["tracking"]["ended"]) == (0, 0)
    (entry,) = entries_of(jane)
    assert (entry["domain"], entry["hint"], entry["evidence"]) == ("", "", "")
    assert postroom("suppress", "why", JANE).returncode == 0
    assert host.run(host.mail.queries.figures()) == before
    assert {**reported(postroom, JOE), "limits": {}} == {**joe, "limits": {}}
    view = host.run(host.mail.queries.message(letter(1, host.now).id))
    assert view is not None
    assert (view.deliveries[0].recipient.hint, view.deliveries[0].reason) == ("erased", None)
    host.close()
    files = {path: path.read_bytes() for path in state.rglob("*.db*")}
    assert {path.name for path, octets in files.items() if b"j\xe2\x80\xa6@example.net" in octets} == set()
    assert {path.name for path, octets in files.items() if b"j\xe2\x80\xa6@example.com" in octets} == {
        "mail.db",
        "track.db",
        "shared.db",
    }


def test_who_is_forgotten_is_a_stranger(host: Host, postroom: Postroom) -> None:
    """Not suppressed, not counted, and what was on its way to the shared store never arrives."""
    both_bounced(host)
    assert len(host.run(host.track.sharing.waiting(10))) == 2
    assert postroom("privacy", "erase", JANE, "--forget").stdout == "erased\n"
    assert postroom("privacy", "report", JANE).stdout.splitlines()[1] == "nothing is kept"
    assert [fact.recipient.domain for fact in host.run(host.track.sharing.waiting(10))] == ["example.com"]
    assert postroom("suppress", "why", JANE).returncode == 1


def test_what_is_on_its_way_arrives_as_a_hash(host: Host, postroom: Postroom) -> None:
    """Without --forget a suppression that the shared store has not heard of yet is not lost."""
    both_bounced(host)
    assert postroom("privacy", "erase", JANE).returncode == 0
    assert [(fact.recipient.domain, fact.evidence == "") for fact in host.run(host.track.sharing.waiting(10))] == [
        ("", True),
        ("example.com", False),
    ]


def test_mail_under_way_is_told_and_not_touched(host: Host, postroom: Postroom) -> None:
    """It would be lost, or told again by the log: later, the same command does the rest."""
    host.accept(1, JANE)
    host.hand_over("t1", "Q1")
    host.bounce("t1", "Q1", JANE, has_left=False)
    host.accept(2, JANE)
    done = postroom("privacy", "erase", JANE)
    assert (done.returncode, done.stdout) == (1, "erased\n")
    assert done.stderr == (
        "mail to it is under way: 1 to be handed over and 1 in Postfix's queue; mend: repeat this when it has ended\n"
    )
    host.hand_over("t2", "Q2")
    host.bounce("t2", "Q2", JANE)
    after, host.position = host.position, "end"
    host.run(host.track.log.apply("log", after, "end", [LeftQueue("Q1", host.now)], host.now, proven=True))
    assert postroom("privacy", "erase", JANE).returncode == 0
    jane = reported(postroom, JANE)
    assert (jane["outbox"], jane["tracking"]) == (
        {"alive": 0, "ended": 0, "ended_kept_until": None},
        {"alive": 0, "ended": 0, "ended_kept_until": None},
    )


def test_a_file_that_cannot_be_used_is_told(postroom: Postroom, state: Path) -> None:
    """What, where and how to mend."""
    assert postroom("store", "init").returncode == 0
    (state / "watcher" / "track.db").unlink()
    done = postroom("privacy", "erase", JANE)
    assert done.returncode == 1
    assert "track.db: cannot be opened" in done.stderr
    assert "postroom store init" in done.stderr
    assert postroom("privacy", "report", "no address").returncode == 2
