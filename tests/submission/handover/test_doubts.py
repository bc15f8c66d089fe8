"""What is in doubt is settled by the watcher's word, read from its real file, or by the rule; never by guessing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.submission.handover.outbox_bed import Clock, OutboxBed, outbox_at, reached
from tests.submission.handover.scripted_postfix import DROP, answering

from postroom.mail.tokens import of_sender
from postroom.store.track.facts import SeenInQueue
from postroom.store.track.track_store import TrackStore
from postroom.store.witness_request import requested_at

pytestmark = pytest.mark.process

BEGAN = Clock().now
LOST_ANSWER = answering(".", DROP, 1)


@asynccontextmanager
async def watched(bed: Path) -> AsyncIterator[TrackStore]:
    """The watcher's file as a watcher leaves it that has had the whole log for a while."""
    TrackStore.init(bed / "track.db")
    track = TrackStore.open(bed / "track.db")
    assert await track.witness.set_covered(BEGAN - 100, 0)
    try:
        yield track
    finally:
        await track.close()


def token_of(bed: OutboxBed, session: int = 0) -> str:
    """Of the first attempt of a session."""
    mail = next(command for command in bed.postfix.sessions[session].commands if command.startswith("MAIL"))
    token = of_sender(mail.removeprefix("MAIL FROM:<").split(">")[0])
    assert token is not None
    return token


async def looked(bed: OutboxBed, times: int) -> None:
    """Wait until Postfix's queue was asked so many times; there is none that would answer."""
    await reached(lambda: len(bed.logged("handover.look_failed")) >= times, f"looked {times} times")


async def test_what_was_not_queued_is_sent_again_as_a_new_attempt(bed: Path) -> None:
    """Once, under a token of its own, and the log says why."""
    async with watched(bed) as track, outbox_at(bed, LOST_ANSWER) as at:
        await track.witness.add_checkpoint(BEGAN + 1, BEGAN + 1, 0.0, {}, BEGAN + 1)
        message = await at.accept()
        (delivery,) = await at.settled(message, "queued")
        assert delivery.attempts == 2
        assert token_of(at, 0) != token_of(at, 1)
        assert len(at.postfix.queued) == 2
        (line,) = at.logged("handover.absent")
        assert line["id"] == message


async def test_what_the_log_shows_was_queued(bed: Path) -> None:
    """It is not sent again, and has the queue id of the log."""
    async with watched(bed) as track, outbox_at(bed, LOST_ANSWER) as at:
        message = await at.accept()
        await at.settled(message, "in_doubt")
        await track.log.apply("log", None, "1", [SeenInQueue(token_of(at), "4XyZ1k2", "postfix")], BEGAN, proven=True)
        (delivery,) = await at.settled(message, "queued")
        assert (delivery.queue_id, delivery.attempts) == ("4XyZ1k2", 1)
        assert at.logged("handover.queued")[-1]["shown_by"] == "log"
        assert len(at.postfix.queued) == 1


async def test_while_the_watcher_may_come_to_know_it_is_asked(bed: Path) -> None:
    """Left as a file with the time; a look that began before the doubt proves nothing."""
    async with watched(bed) as track, outbox_at(bed, LOST_ANSWER) as at:
        await track.witness.add_checkpoint(BEGAN - 1, BEGAN - 1, 0.0, {}, BEGAN - 1)
        message = await at.accept()
        await at.settled(message, "in_doubt")
        await reached(lambda: requested_at(bed / "witness.wish") == BEGAN, "the request")
        assert at.logged("handover.absent") == []
        await track.witness.add_checkpoint(BEGAN + 1, BEGAN + 1, 0.0, {}, BEGAN + 1)
        await at.settled(message, "queued")


@pytest.mark.parametrize("has_watcher", [True, False])
async def test_what_nobody_can_know_is_not_asked_for(bed: Path, has_watcher: bool) -> None:
    """The log of that time is not whole, or there is no watcher: it stays in doubt, and nothing is asked for."""
    async with outbox_at(bed, LOST_ANSWER) as at:
        if has_watcher:
            async with watched(bed) as track:
                await track.witness.clock_went_back()
                assert await track.witness.set_covered(BEGAN + 1, 1)
                await track.witness.add_checkpoint(BEGAN + 2, BEGAN + 2, 0.0, {}, BEGAN + 2)
        message = await at.accept()
        await at.settled(message, "in_doubt")
        await looked(at, 2)
        await at.settled(message, "in_doubt")
        assert requested_at(bed / "witness.wish") == 0.0
        assert len(at.postfix.queued) == 1


async def test_what_stays_unproven_waits_unless_the_rule_says_otherwise(bed: Path) -> None:
    """`wait`: for ever, and the log says so once. What is proved later still counts."""
    async with watched(bed) as track, outbox_at(bed, LOST_ANSWER, witness_wait_s=60) as at:
        message = await at.accept()
        await at.settled(message, "in_doubt")
        at.pass_time(61)
        await reached(lambda: bool(at.logged("handover.unproven")), "logged")
        await track.log.apply("log", None, "1", [SeenInQueue(token_of(at), "4XyZ1k2", "postfix")], BEGAN, proven=True)
        await at.settled(message, "queued")
        (line,) = at.logged("handover.unproven")
        assert (line["id"], line["rule"]) == (message, "wait")
        assert len(at.postfix.queued) == 1


async def test_resend_sends_again_what_stays_unproven_and_says_so(bed: Path) -> None:
    """Not before the time is over."""
    async with watched(bed), outbox_at(bed, LOST_ANSWER, witness_wait_s=60, in_doubt="resend") as at:
        message = await at.accept()
        await at.settled(message, "in_doubt")
        at.pass_time(59)
        await looked(at, 2)
        await at.settled(message, "in_doubt")
        at.pass_time(2)
        (delivery,) = await at.settled(message, "queued")
        assert delivery.attempts == 2
        (line,) = at.logged("handover.unproven")
        assert (line["id"], line["rule"]) == (message, "resend")
