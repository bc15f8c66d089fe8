"""confirmation.py: what only a log file says of a recipient counts when we handed over that very mail."""

from collections.abc import Collection
from pathlib import Path

import pytest
from tests.submission.handover.outbox_bed import Clock, outbox_at
from tests.submission.handover.scripted_postfix import PLAIN

from postroom.mail.recipients import masked_recipient
from postroom.mail.states import State
from postroom.mail.tokens import of_sender
from postroom.runtime.log import Field, Level, Log
from postroom.store.errors import StoreUnavailable
from postroom.store.shared.values import ProofRule, Refused, WaveGuard
from postroom.store.sqlite_store import open_sqlite_store
from postroom.store.track.evidence import RecipientFault
from postroom.store.track.facts import DeliveryTried, Fact, SeenInQueue
from postroom.store.track.reader import TrackReader
from postroom.store.track.track_store import TrackStore
from postroom.submission.handover.confirmation import Confirmation
from postroom.suppression.learner import Learner

KEY = b"k" * 32
RULES = {"invalid_recipient": ProofRule(3, 60.0, 3_600.0 * 24 * 365 * 10)}
NOW = Clock().now
QUEUE_ID = PLAIN["."].split()[-1].decode()


def bounced(token: str, queue_id: str, to: str) -> list[Fact]:
    """As a log file says it."""
    recipient, fault = masked_recipient(KEY, to), RecipientFault("invalid_recipient", "now", "recipient.unknown", 1)
    tried = DeliveryTried(queue_id, recipient, None, State.BOUNCED, "5.1.1", "550 5.1.1 no", "mx:25", NOW, fault)
    return [SeenInQueue(token, queue_id, "postfix"), tried]


@pytest.mark.parametrize(
    ("is_token", "queue_id", "to", "looks_in_queue", "last", "counts"),
    [
        (True, QUEUE_ID, "a@example.net", 0, None, True),
        (True, QUEUE_ID, "a@example.net", 1, None, True),
        (True, QUEUE_ID, "a@example.net", 2, None, False),
        (True, QUEUE_ID, "a@example.net", 0, State.DELIVERED, False),
        (True, QUEUE_ID, "victim@example.net", 0, None, False),
        (True, "OTHER1", "a@example.net", 0, None, False),
        (False, QUEUE_ID, "a@example.net", 0, None, False),
    ],
)
async def test_a_bounce_counts_when_it_is_of_mail_we_handed_over_and_that_is_gone(
    bed: Path, is_token: bool, queue_id: str, to: str, looks_in_queue: int, last: State | None, counts: bool
) -> None:
    """Token, queue id and recipient must all be ours; each fact is looked into once, also when the list is away.

    Mail that Postfix still has has not bounced, nor one of which the log says something else later.
    """
    TrackStore.init(bed / "track.db")
    track = TrackStore.open(bed / "track.db")
    away = open_sqlite_store(bed / "nowhere")
    reader, events = TrackReader(bed / "track.db"), list[str]()

    def write(_level: Level, event: str, _fields: dict[str, Field]) -> None:
        events.append(event)

    log = Log("debug", write)
    async with outbox_at(bed) as at:
        await at.settled(await at.accept("a@example.net"), "queued")
        mail = next(command for command in at.postfix.sessions[0].commands if command.startswith("MAIL"))
        token = of_sender(mail.removeprefix("MAIL FROM:<").split(">")[0])
        assert token is not None
        facts = bounced(token if is_token else "pr" + "a" * 26, queue_id, to)
        if last is not None:
            facts.append(
                DeliveryTried(queue_id, masked_recipient(KEY, to), None, last, "2.0.0", "250 Ok", "mx:25", NOW)
            )
        await track.log.apply("log", None, "1", facts, NOW, proven=False)
        looks = iter([True] * looks_in_queue)

        async def queued(tokens: Collection[str]) -> set[str]:
            return set(tokens) if next(looks, False) else set()

        if counts:
            learner = Learner(away.evidence, away.suppressions, away.waves, RULES, WaveGuard(20, 60.0, 20), log)
            with pytest.raises(StoreUnavailable):
                await Confirmation(at.store.queries, reader, learner, queued, log).confirm(0.0, 0.0)
        learner = Learner(
            at.shared.evidence, at.shared.suppressions, at.shared.waves, RULES, WaveGuard(20, 60.0, 20), log
        )
        for _ in range(2):
            await Confirmation(at.store.queries, reader, learner, queued, log).confirm(0.0, 0.0)
        hints = [suppression.hint for suppression in await at.shared.suppressions.page(("", ""), 9, NOW)]
    await away.close()
    await track.close()
    assert hints == (["a…@example.net"] if counts else [])
    assert events == ["suppression.added" if counts else "suppression.unconfirmed"]


@pytest.mark.parametrize(("to", "counts"), [("a@example.net", True), ("victim@example.net", False)])
async def test_a_delivery_lifts_when_it_is_of_mail_we_handed_over(bed: Path, to: str, counts: bool) -> None:
    """Else a local user could write an end to any suppression; it is passed over in silence."""
    TrackStore.init(bed / "track.db")
    track = TrackStore.open(bed / "track.db")
    events = list[str]()
    log = Log("debug", lambda _level, event, _fields: events.append(event))
    async with outbox_at(bed) as at:
        await at.settled(await at.accept("a@example.net"), "queued")
        mail = next(command for command in at.postfix.sessions[0].commands if command.startswith("MAIL"))
        token = of_sender(mail.removeprefix("MAIL FROM:<").split(">")[0])
        assert token is not None
        recipient = masked_recipient(KEY, to)
        refused = Refused(
            "1",
            recipient.hash,
            recipient.domain,
            recipient.hint,
            "invalid_recipient",
            "",
            0,
            "5.1.1",
            "",
            NOW - 1,
            True,
        )
        await at.shared.evidence.learn([refused], RULES, WaveGuard(20, 60.0, 20), NOW)
        tried = DeliveryTried(QUEUE_ID, recipient, None, State.DELIVERED, "2.0.0", "250 ok", "mx:25", NOW)
        await track.log.apply("log", None, "1", [SeenInQueue(token, QUEUE_ID, "postfix"), tried], NOW, proven=False)
        learner = Learner(
            at.shared.evidence, at.shared.suppressions, at.shared.waves, RULES, WaveGuard(20, 60.0, 20), log
        )

        async def queued(tokens: Collection[str]) -> set[str]:
            raise AssertionError(f"a delivery needs no look into the queue: {tokens}")

        await Confirmation(at.store.queries, TrackReader(bed / "track.db"), learner, queued, log).confirm(0.0, 0.0)
        found = await at.shared.suppressions.suppressed([recipient.hash], now=NOW)
    await track.close()
    assert (found == {}) is counts
    assert events == (["suppression.lifted"] if counts else [])
