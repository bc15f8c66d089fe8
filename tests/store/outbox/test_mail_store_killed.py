"""The outbox after kill -9 at any moment: what was acknowledged is there, and nothing is there by halves."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.store.event_loop import Run
from tests.store.outbox.sample_messages import KEY, NOW, faults_of, rows

import postroom
from postroom.store.outbox.mail_store import MailStore

pytestmark = pytest.mark.process

SOURCES = Path(postroom.__file__).parent.parent
CHECKOUT = Path(__file__).parents[3]
WRITER = Path(__file__).with_name("outbox_writer.py")
LETTERS_OF_A_ROUND = 100_000
END = {"queued": "queued", "retry": "deferred", "fail": "failed", "doubt": "in_doubt", "release": "accepted"}


class Promised:
    """What the killed processes said: steps they began, and those that were acknowledged."""

    def __init__(self) -> None:
        self.begun: dict[str, int] = {}  # letters asked for: id -> number of recipients
        self.accepted: set[str] = set()
        self.possible: dict[int, set[str]] = {}  # delivery -> the states it may be found in

    def hear(self, line: str) -> None:
        when, step, name, *count = line.split()
        if step == "accept":
            self.begun[name] = int(count[0])
            if when == "done":
                self.accepted.add(name)
        elif when == "done":
            self.possible[int(name)] = {END[step]}
        else:
            # Killed here it is still as before, or in doubt (handing was stored), or at its end already.
            before = self.possible.get(int(name), {"accepted"})
            self.possible[int(name)] = before | {"in_doubt", END[step]}

    def broken(self, path: Path) -> list[str]:
        """The promises that the file does not keep."""
        there = dict(rows(path, "SELECT message, count(*) FROM delivery GROUP BY message"))
        broken = [f"{name}: acknowledged, and gone" for name in self.accepted - there.keys()]
        broken += [f"{name}: never asked for" for name in there.keys() - self.begun.keys()]
        broken += [
            f"{name}: {count} deliveries of {self.begun[name]}"
            for name, count in there.items()
            if count != self.begun.get(name)
        ]
        keys = {answer for (answer,) in rows(path, "SELECT count(*) FROM idem")}
        if keys != {len(there)}:
            broken.append(f"{keys} idempotency keys for {len(there)} messages")
        for delivery, state in rows(path, "SELECT id, state FROM delivery"):
            if state not in self.possible.get(delivery, {"accepted"}):
                broken.append(f"delivery {delivery}: {state}, promised {self.possible.get(delivery)}")
        return broken


def writer(path: Path, round_: int, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(WRITER), str(path), str(round_ * LETTERS_OF_A_ROUND), str(round_)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{SOURCES}:{CHECKOUT}", **environment},
    )


def reopened(path: Path, run: Run) -> int:
    """Open it as the next start does; returns how many deliveries are in doubt by that."""
    store = MailStore.open(path, KEY)
    try:
        return run(store.handover.recover(NOW))
    finally:
        run(store.close())


def test_what_was_acknowledged_survives_any_kill(mail_db: Path, run: Run) -> None:
    """Twelve processes, one after the other killed after some of their words (seeded), leave a good file each."""
    promised, chance = Promised(), random.Random(20261124)
    for round_ in range(12):
        with writer(mail_db, round_) as child:
            assert child.stdout is not None
            for _ in range(chance.randint(20, 600)):
                promised.hear(child.stdout.readline())
            child.kill()
            for line in child.stdout:
                promised.hear(line)
        assert child.returncode == -signal.SIGKILL
        reopened(mail_db, run)
        assert promised.broken(mail_db) == []
        assert faults_of(mail_db) == []
        assert rows(mail_db, "SELECT count(*) FROM delivery WHERE handing OR leased") == [(0,)]
    assert len(promised.accepted) > 200


@pytest.mark.parametrize(
    "point",
    ["accept.before_commit", "accept.committed", "claim.committed", "handing.committed", "queued.before_commit"],
)
def test_a_kill_at_a_fault_point_leaves_what_was_acknowledged(mail_db: Path, run: Run, point: str) -> None:
    """The process dies exactly there (it is written down), and the file keeps every promise."""
    promised = Promised()
    with writer(mail_db, 1, POSTROOM_FAULT=f"{point}:7", POSTROOM_TEST_BED=str(mail_db.parent)) as child:
        assert child.stdout is not None
        for line in child.stdout:
            promised.hear(line)
    assert child.returncode == -signal.SIGKILL
    assert (mail_db.parent / "faults.log").read_text() == f"{point}\n"
    in_doubt = reopened(mail_db, run)
    if point in ("handing.committed", "queued.before_commit"):
        assert in_doubt >= 1, "its body may have left"
    assert promised.broken(mail_db) == []
    assert faults_of(mail_db) == []
