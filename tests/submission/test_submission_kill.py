"""P1 and P2 under `kill -9`: nothing accepted is lost, nothing is sent twice, and nothing stays in doubt.

The daemon kills itself at each named fault point while clients post through it, and is started again each time;
the watcher, which reads Postfix's log in the journal, is killed at some of those moments too, and Postfix is
stopped and started meanwhile. Every message carries an idempotency key and is posted until it gets its 202, as a
careful client does. What the sink stored is read by other code than ours.

POSTROOM_KILL_MESSAGES sets how many messages a point gets (scripts/soak: 500; here a tenth).
"""

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from tests.watcher.conftest import assert_private

from postroom.runtime.fault_points import SUBMISSION_POINTS
from sandbox.daemon import SubmissionDaemon
from sandbox.journald import Journald
from sandbox.postfix import PrivatePostfix
from sandbox.process import BedError, until
from sandbox.sink import Sink
from sandbox.watcher import WatcherDaemon

pytestmark = pytest.mark.postfix

MESSAGES = int(os.environ.get("POSTROOM_KILL_MESSAGES", "50"))
CLIENTS = 4
MEAN_PASSES = 8
"""A point kills the daemon when it is passed for the n-th time, n drawn from 1 to twice this."""
WATCHER_DIES_AT = 3
"""Of so many deaths of the daemon, one takes the watcher with it."""
SETTLED_S = 90.0
"""Within this time after the last kill all is known: what the watcher read while it was killed too, it reads first."""
LARGE_TEXT = "0123456789abcdef\n" * 10_000
"""Large enough that its final dot waits for the body (carrier.LARGE_BODY)."""


@pytest.fixture
def journald() -> Iterator[Journald]:
    with Journald() as journald:
        yield journald


@pytest.fixture
def postfix(bed: Path, sink: Sink, journald: Journald) -> Iterator[PrivatePostfix]:
    """One that logs to the journal."""
    with PrivatePostfix(bed / "postfix", ("127.0.0.1", sink.port), journald=journald) as postfix:
        yield postfix


@pytest.fixture
def daemon(bed: Path, postfix: PrivatePostfix) -> Iterator[SubmissionDaemon]:
    """A daemon that is ready, with quick retries, over the private Postfix."""
    daemon = SubmissionDaemon(
        bed / "postroom", postfix.handover_socket.parent, handover_settings="away_retry_max: 1s\nretry_first: 1s"
    )
    daemon.init()
    yield daemon
    daemon.kill()


@pytest.fixture
def watcher(
    bed: Path, postfix: PrivatePostfix, daemon: SubmissionDaemon, journald: Journald
) -> Iterator[WatcherDaemon]:
    """A watcher that has the whole journal from now on."""
    watcher = WatcherDaemon(
        bed / "watcher",
        postfix.handover_socket.parent,
        "source: journal",
        state_dir=daemon.state_dir,
        journald=journald,
    )
    with watcher:
        watcher.covered()
        yield watcher
    assert_private(watcher.log())


class KillRun:
    """Posts messages through a daemon that keeps being killed at one point, and its watcher now and then."""

    def __init__(
        self,
        daemon: SubmissionDaemon,
        watcher: WatcherDaemon,
        postfix: PrivatePostfix,
        point: str,
        random: Random,
    ) -> None:
        self.deaths = 0
        self.watcher_deaths = 0
        self._daemon = daemon
        self._watcher = watcher
        self._postfix = postfix
        self._point = point
        self._random = random
        self._answered: dict[int, str] = {}
        self._lock = threading.Lock()
        self._failures: list[BaseException] = []

    def run(self) -> list[str]:
        """Post all messages, with kills and an absent Postfix in between; returns the ids of the accepted."""
        self._start()
        clients = [threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        operator = threading.Thread(target=self._operator)
        operator.start()
        while operator.is_alive() or any(client.is_alive() for client in clients) or not self._handed_over():
            if not self._daemon.alive():
                self.deaths += 1
                if self.deaths % WATCHER_DIES_AT == 1:
                    self._kill_watcher()
                self._start()
            if self._failures:
                raise self._failures[0]
            clients[0].join(0.02)
        return [self._answered[number] for number in sorted(self._answered)]

    def _start(self) -> None:
        """Start the daemon with its next death appointed; it may die before it is ready."""
        # One claim leases up to 64 deliveries, so it is passed seldom; the second comes at once, the third after 64.
        passes = self._random.randint(1, 4 if self._point == "claim.committed" else 2 * MEAN_PASSES)
        try:
            self._daemon.start(
                {"POSTROOM_FAULT": f"{self._point}:{passes}", "POSTROOM_TEST_BED": str(self._daemon.folder)}
            )
        except BedError as error:
            if "daemon.refused" in str(error):
                raise

    def _kill_watcher(self) -> None:
        self.watcher_deaths += 1
        self._watcher.kill()
        self._watcher.start()

    def _operator(self) -> None:
        """Stop Postfix at a third and at two thirds of the way, for a sixth of it."""
        for stop_at, start_at in ((MESSAGES // 3, MESSAGES // 2), (MESSAGES * 2 // 3, MESSAGES * 5 // 6)):
            self._until_accepted(stop_at)
            self._postfix.stop()
            self._until_accepted(start_at)
            self._postfix.start()

    def _until_accepted(self, count: int) -> None:
        until(lambda: len(self._answered) >= count, 300.0, f"{count} messages accepted")

    def _client(self, number: int) -> None:
        try:
            for index in range(number, MESSAGES, CLIENTS):
                self._post(index)
        except BaseException as error:
            self._failures.append(error)
            raise

    def _post(self, index: int) -> None:
        message = {
            "from": "hello@example.org",
            "to": [f"user{index}@world.test"],
            "subject": f"Message {index}",
            "text": LARGE_TEXT if self._point == "data.sent" else "hello",
        }

        def accepted() -> bool:
            try:
                answer = self._daemon.post(message, key=f"key-{index}")
            except (OSError, ValueError, AttributeError):
                return False  # killed, or not up yet: the client cannot know, and asks again with the same key
            if answer.status == 202:
                with self._lock:
                    self._answered[index] = answer.document["id"]
            else:
                assert answer.status == 503, answer.document
            return answer.status == 202

        until(accepted, 120.0, f"message {index} accepted")

    def _handed_over(self) -> bool:
        try:
            counts = self._daemon.deliveries()
        except (OSError, ValueError, AttributeError):
            return False
        return len(self._answered) == MESSAGES and counts["accepted"] + counts["deferred"] == 0


@pytest.mark.parametrize("point", SUBMISSION_POINTS)
def test_killed_at(
    point: str,
    daemon: SubmissionDaemon,
    watcher: WatcherDaemon,
    postfix: PrivatePostfix,
    sink: Sink,
) -> None:
    """Every accepted message was handed over once and is delivered; none is lost, twice, or in doubt."""
    run = KillRun(daemon, watcher, postfix, point, Random(point))
    accepted = run.run()
    daemon.kill()
    hits = (daemon.folder / "faults.log").read_text(encoding="ascii").splitlines()
    daemon.start()

    def states() -> Counter[str]:
        return Counter(daemon.message(message)["deliveries"][0]["state"] for message in accepted)

    began = time.monotonic()
    try:
        until(lambda: daemon.deliveries()["in_doubt"] == 0, SETTLED_S, "nothing in doubt", daemon.alive, 0.1)
        until(lambda: states() == {"delivered": len(accepted)}, SETTLED_S, "all delivered", daemon.alive, 0.5)
    except BedError as error:
        raise AssertionError(f"{error}: {states()}") from error
    settled_s = time.monotonic() - began
    # Message id → the envelope senders its copies came with.
    copies: dict[str, list[str]] = {}
    for mail in sink.messages():
        copies.setdefault(str(mail.message()["Message-ID"]).strip("<>").partition("@")[0], []).append(mail.sender)
    # Copies with one envelope sender are one hand-over: Postfix itself sends again what it was delivering when stopped.
    handed_over = {message: len(set(senders)) for message, senders in copies.items()}
    said = daemon.log()
    by_kills = sum(int(count) for count in re.findall(r"handover.in_doubt deliveries=(\d+)", said))
    print(
        f"\n{point}: {len(accepted)} accepted, killed {len(hits)} times there, the watcher {run.watcher_deaths} times; "
        f"{by_kills} came in doubt by kills, {said.count('handover.in_doubt id=')} by Postfix's stops, "
        f"{said.count('handover.absent')} were shown absent, "
        f"{said.count('shown_by=log')} queued by the log, {said.count('shown_by=queue')} by the queue; "
        f"all known {settled_s:.0f} s after the last start; "
        f"{sum(len(senders) for senders in copies.values()) - len(copies)} repeated by Postfix itself"
    )
    assert set(hits) == {point}
    assert len(hits) >= MESSAGES // (4 * MEAN_PASSES)
    assert run.watcher_deaths > 0
    assert len(set(accepted)) == MESSAGES
    assert max(handed_over.values()) == 1, "a message was handed over twice"
    assert set(copies) == set(accepted)
    assert "watcher.gap" not in watcher.log()
