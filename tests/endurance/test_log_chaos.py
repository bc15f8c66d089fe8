"""The watcher killed at random while mail goes through Postfix and its journal is rotated, cut back and rate-limited.

Each message ends as the far end has it, or `untracked` where its lines were dropped; none counts twice, and the gaps
are told. POSTROOM_CHAOS_MESSAGES sets how many messages (scripts/soak: 20,000 and 50 kills; here a tenth).
"""

import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.store.outbox.sample_messages import rows
from tests.watcher.conftest import assert_private
from tests.watcher.far_end import FarEnd

from postroom.mail.recipients import recipient_hash
from postroom.runtime.keys import read_key
from sandbox.daemon import DEFAULTS, SubmissionDaemon
from sandbox.journald import Journald, Limit
from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.watcher import WatcherDaemon

pytestmark = pytest.mark.postfix

MESSAGES = int(os.environ.get("POSTROOM_CHAOS_MESSAGES", "2000"))
KILLS = MESSAGES // 400
FLOODS = max(1, MESSAGES // 2000)
CLIENTS = 8
KINDS = {"ada": 14, "slow": 2, "ghost": 2, "policy": 1, "full": 1}
"""How the far end answers (tests/watcher/far_end.py), and how often."""
UNIT = "postfix@-.service"
LIMIT = Limit(burst=2_000, interval_s=3)
FLOOD_LINES = 40_000
"""More than journald takes in one interval, however much room it has."""
SETTLED_S = 60.0 + MESSAGES / 100


@dataclass(frozen=True)
class Stage:
    """What the play needs."""

    journald: Journald
    postfix: PrivatePostfix
    far_end: FarEnd
    submission: SubmissionDaemon
    watcher: WatcherDaemon


@pytest.fixture
def stage(bed: Path) -> Iterator[Stage]:
    with ExitStack() as at_end:
        journald, far_end = at_end.enter_context(Journald(LIMIT, UNIT)), at_end.enter_context(FarEnd())
        postfix = PrivatePostfix(
            bed / "postfix",
            ("127.0.0.1", far_end.port),
            settings={"minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "1s"},
            journald=journald,
        )
        at_end.enter_context(postfix)
        handover = postfix.handover_socket.parent
        submission = at_end.enter_context(SubmissionDaemon(bed / "s", handover))
        source = f"source: journal\nunits: [{UNIT}]"
        watcher = WatcherDaemon(bed / "w", handover, source, DEFAULTS, submission.state_dir, journald)
        at_end.enter_context(watcher)
        watcher.covered()
        yield Stage(journald, postfix, far_end, submission, watcher)
    assert_private(watcher.log())


class Senders:
    """Send the messages, several at a time."""

    def __init__(self, submission: SubmissionDaemon, recipients: list[str]) -> None:
        self._submission = submission
        self._lock = threading.Lock()
        self.ids: dict[str, str] = {}
        """Recipient → message."""
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._sent = [self._pool.submit(self._send, recipient) for recipient in recipients]

    def _send(self, recipient: str) -> None:
        answer = self._submission.post({"from": "hello@example.org", "to": [recipient], "subject": "x", "text": "y"})
        assert answer.status == 202, answer.document
        with self._lock:
            self.ids[recipient] = answer.document["id"]

    def reached(self, count: int) -> None:
        """Return when so many were accepted."""
        until(lambda: len(self.ids) >= count, SETTLED_S, f"{count} messages", self._submission.alive)

    def join(self) -> dict[str, str]:
        for sent in self._sent:
            sent.result()
        self._pool.shutdown()
        return self.ids


def flood(journald: Journald) -> None:
    """A crowd of clients: so many lines of Postfix's unit at once that journald drops those that follow."""
    text = "".join(f"connect from unknown[192.0.2.{number % 256}]\n" for number in range(FLOOD_LINES))
    command = [*journald.enter_unit, "logger", "-t", "postfix/smtpd", "-p", "mail.info", "-i"]
    subprocess.run(command, input=text, text=True, timeout=60, check=True)


def play(stage: Stage, senders: Senders, random: Random) -> None:
    """Kill, rotate, cut back and flood while the messages are sent; the last of them come when all is over."""
    scenes = ["kill"] * KILLS + ["flood"] * FLOODS
    random.shuffle(scenes)
    last = max(index for index, scene in enumerate(scenes) if scene == "kill")
    flooded_at = 0.0
    marks = sorted(random.randint(1, MESSAGES * 8 // 10) for _ in scenes)
    for index, (scene, mark) in enumerate(zip(scenes, marks, strict=True)):
        senders.reached(mark)
        if scene == "flood":
            # A flood of its own: journald tells of the one before when its interval is over.
            time.sleep(max(0.0, flooded_at + LIMIT.interval_s + 1 - time.monotonic()))
            flood(stage.journald)
            flooded_at = time.monotonic()
            continue
        time.sleep(random.uniform(0.0, 0.2))
        stage.watcher.kill()
        stage.journald.command("--rotate")
        if index == last:
            stage.journald.command("--vacuum-files=1")
        stage.watcher.start()


def settled(stage: Stage, ids: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Recipient → its delivery, once each has its end."""
    ends: dict[str, dict[str, Any]] = {}

    def all_have_ended() -> bool:
        for recipient in ids.keys() - ends.keys():
            (delivery,) = stage.submission.message(ids[recipient])["deliveries"]
            if delivery["state"] in {"delivered", "bounced", "untracked"}:
                ends[recipient] = delivery
        stage.postfix.flush()
        return ends.keys() == ids.keys()

    until(all_have_ended, SETTLED_S, "every message has its end", stage.watcher.alive, 1.0)
    return ends


def far_end_says(far_end: FarEnd, recipient: str) -> str:
    took, refused = far_end.taken[recipient], far_end.refused[recipient]
    assert (took, refused) in {(1, 0), (0, 1)}, f"{recipient}: taken {took} times, refused {refused} times"
    return "delivered" if took else "bounced"


def suppressed(stage: Stage) -> Counter[str]:
    found = rows(stage.submission.state_dir / "shared" / "shared.db", "SELECT recipient_hash FROM suppressions")
    return Counter(hashed for (hashed,) in found)


def test_killed_and_with_lines_missing_each_message_ends_in_the_right_state(stage: Stage) -> None:
    """Never delivered for bounced or the other way round, no try counted twice, and nobody suppressed by a guess."""
    random, began_at = Random(11), time.monotonic()
    names = random.choices(list(KINDS), list(KINDS.values()), k=MESSAGES)
    senders = Senders(stage.submission, [f"{name}{number}@world.test" for number, name in enumerate(names)])
    play(stage, senders, random)
    ends = settled(stage, senders.join())
    took_s = time.monotonic() - began_at

    assert len(ends) == MESSAGES
    states = Counter(delivery["state"] for delivery in ends.values())
    for recipient, delivery in ends.items():
        assert delivery["state"] in {far_end_says(stage.far_end, recipient), "untracked"}, (recipient, delivery)
        tries = delivery.get("tries", 0)
        assert tries <= stage.far_end.tries[recipient], (recipient, delivery)
        if delivery["state"] != "untracked" and "slow" not in recipient:
            assert tries == 1, (recipient, delivery)
    # How many a flood hides is a matter of how quick the machine is.
    assert 0 < states["untracked"] < MESSAGES * 9 // 10
    track = stage.watcher.state_dir / "watcher" / "track.db"
    ((gaps,),) = rows(track, "SELECT value FROM meta WHERE name = 'gaps'")
    assert gaps >= FLOODS
    # The event of a gap itself may be lost: a kill fits between its commit and its line.
    assert f"watcher.reconciled gaps={gaps} " in stage.watcher.log()
    key = read_key(stage.submission.state_dir / "keys" / "recipient-hash.key")
    ghosts = [to for to, delivery in ends.items() if "ghost" in to and delivery["state"] == "bounced"]
    expected = Counter(recipient_hash(key, ghost) for ghost in ghosts)
    until(lambda: suppressed(stage) == expected, 10, "the ghosts, and nobody else, suppressed", stage.watcher.alive)
    ((shared,),) = rows(track, "SELECT count(*) FROM share WHERE proof = 'now' AND cause <> ''")
    assert shared == len(ghosts), "each bounce counted once"
    print(f"\n{MESSAGES} messages, {KILLS} kills, {gaps} gaps, {dict(states)}, {took_s:.0f} s")
