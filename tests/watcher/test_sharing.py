"""sharing.py: each proven fact reaches the suppression list once."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from tests.store.event_loop import Run
from tests.watcher.log_lines import KEY, NOW, token

from postroom.mail.recipients import masked_recipient, recipient_hash
from postroom.mail.states import State
from postroom.runtime.log import Field, Level, Log
from postroom.runtime.metrics import Metrics
from postroom.store.shared.values import Delivered, Learned, ProofRule, Refused, Suppression, WaveGuard
from postroom.store.sqlite_store import init_sqlite_store, open_sqlite_store
from postroom.store.track.evidence import RecipientFault
from postroom.store.track.facts import DeliveryTried, Fact, SeenInQueue
from postroom.store.track.track_store import TrackStore
from postroom.suppression.learner import Learner
from postroom.watcher.sharing import share_forever


class Counting:
    """The evidence of a host, that counts how often it learns something. Without the store's files it is away."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, open_sqlite_store(folder)
        self.history, self.erase = self.store.evidence.history, self.store.evidence.erase
        self.asked = 0
        self.is_there = False

    def make(self) -> None:
        """Make its files."""
        init_sqlite_store(self.folder)
        self.is_there = True

    async def learn(
        self,
        facts: Sequence[Refused | Delivered],
        rules: Mapping[str, ProofRule],
        guard: WaveGuard,
        now: float | None = None,
    ) -> list[Learned]:
        self.asked += 1
        return await self.store.evidence.learn(facts, rules, guard, NOW if now is None else now)


@pytest.fixture
def target(tmp_path: Path, run: Run) -> Iterator[Counting]:
    target = Counting(tmp_path / "shared")
    yield target
    run(target.store.close())


@pytest.fixture
def track(tmp_path: Path, run: Run) -> Iterator[TrackStore]:
    """Two bounces that were proved, one that was not."""
    TrackStore.init(tmp_path / "track.db")
    store = TrackStore.open(tmp_path / "track.db")
    for number, address in enumerate(("ada@example.net", "bob@example.net", "eve@example.net")):
        tried = DeliveryTried(
            f"A{number}B2C3",
            masked_recipient(KEY, address),
            None,
            State.BOUNCED,
            "5.1.1",
            "550 5.1.1 no",
            "mx:25",
            NOW,
            RecipientFault("invalid_recipient", "now", "recipient.unknown", 1),
        )
        facts: list[Fact] = [SeenInQueue(token(number), f"A{number}B2C3", "postfix"), tried]
        run(store.log.apply(f"log{number}", None, "1", facts, NOW, proven=number < 2))
    yield store
    run(store.close())


async def shared(store: TrackStore, target: Counting, events: list[str], asked: int) -> None:
    """Share until the list was asked so many times."""

    def write(_level: Level, event: str, _fields: dict[str, Field]) -> None:
        events.append(event)

    log = Log("debug", write)
    learner = Learner(
        target,
        target.store.suppressions,
        target.store.waves,
        {"invalid_recipient": ProofRule(3, 60, 60.0)},
        WaveGuard(20, 60.0, 20),
        log,
    )
    sharing = asyncio.create_task(share_forever(store.sharing, learner, log, Metrics(), lambda: NOW, 0.01))
    async with asyncio.timeout(5):
        while target.asked < asked or (target.is_there and await store.sharing.waiting(9)):
            await asyncio.sleep(0.005)
    sharing.cancel()
    with suppress(asyncio.CancelledError):
        await sharing


def listed(target: Counting, run: Run) -> list[Suppression]:
    return sorted(run(target.store.suppressions.page(("", ""), 9, NOW)), key=lambda suppression: suppression.hint)


def test_what_was_proved_is_suppressed_once(track: TrackStore, target: Counting, run: Run) -> None:
    """Masked and hashed, with cause and end; what was only in a log file is not."""
    target.make()
    events = list[str]()
    run(shared(track, target, events, 1))
    run(shared(track, target, events, 1))
    assert target.asked == 1
    assert events == ["suppression.added"] * 2
    assert listed(target, run) == [
        Suppression(
            recipient_hash(KEY, f"{name}@example.net"),
            "example.net",
            f"{name[0]}…@example.net",
            "invalid_recipient",
            "5.1.1",
            "550 5.1.1 no",
            "bounce",
            NOW,
            NOW + 60,
            "recipient.unknown",
            1,
        )
        for name in ("ada", "bob")
    ]


def test_a_delivery_lifts_what_bounces_suppressed(track: TrackStore, target: Counting, run: Run) -> None:
    """It is told with its reason."""
    target.make()
    events = list[str]()
    run(shared(track, target, events, 1))
    tried = DeliveryTried(
        "A9B2C3", masked_recipient(KEY, "ada@example.net"), None, State.DELIVERED, "2.0.0", "250 ok", "mx:25", NOW + 9
    )
    run(track.log.apply("log9", None, "1", [SeenInQueue(token(9), "A9B2C3", "postfix"), tried], NOW, proven=True))
    run(shared(track, target, events, 2))
    assert [suppression.hint for suppression in listed(target, run)] == ["b…@example.net"]
    assert events[2:] == ["suppression.lifted"]


def test_a_list_that_is_away_gets_it_later(track: TrackStore, target: Counting, run: Run) -> None:
    """The log tells once that it is away, and nothing is lost."""
    events = list[str]()
    run(shared(track, target, events, 3))
    assert events == ["store.unavailable"]
    target.make()
    run(shared(track, target, events, 4))
    assert [suppression.hint for suppression in listed(target, run)] == ["a…@example.net", "b…@example.net"]
