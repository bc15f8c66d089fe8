"""The outbox and its sessions with a scripted Postfix: when there is none to be had, and at the end."""

import asyncio
from pathlib import Path

import pytest
from tests.submission.handover.outbox_bed import one, outbox_at, reached
from tests.submission.handover.scripted_postfix import DROP, OFFERS, PLAIN, SILENCE, answering


@pytest.mark.parametrize(
    ("verb", "answer", "reason"),
    [
        ("", b"\x16\x03\x01\x02\x00\r\n", "not an SMTP reply"),
        ("", b"421 4.3.2 Service not available\r\n", "greets with 421 4.3.2 Service not available"),
        ("", b"554 5.7.1 no\r\n", "greets with 554"),
        ("", DROP, "Postfix closed the connection"),
        ("", SILENCE, "no answer within 0.1 s"),
        ("EHLO", b"250 mail.example.org\r\n", "offers no PIPELINING (250)"),
        ("EHLO", b"502 5.5.2 what\r\n", "offers no PIPELINING (502)"),
        ("EHLO", DROP, "Postfix closed the connection"),
        ("EHLO", b"x" * 100_000, "more than 2048 octets"),
    ],
)
async def test_without_a_session_mail_waits_untouched_and_goes_out_when_there_is_one(
    bed: Path, verb: str, answer: bytes, reason: str
) -> None:
    """The reason is known meanwhile, is logged once, and no attempt is counted."""
    async with outbox_at(bed, answering(verb, answer), reply_timeout_s=0.1) as at:
        message = await at.accept()
        await reached(lambda: at.status.outage is not None and at.status.outage.failures >= 3, "three tries")
        assert at.status.outage is not None
        assert reason in at.status.outage.reason
        (delivery,) = await at.deliveries(message)
        assert (delivery.state, delivery.attempts) == ("accepted", 0)
        at.postfix.script = answering("", b"220 mail.example.org ESMTP\r\n")
        (delivery,) = await at.settled(message, "queued")
        assert delivery.attempts == 1
        assert len(at.logged("handover.unavailable")) == 1
        assert len(at.logged("handover.available")) == 1


async def test_a_listener_without_dsn_gets_no_dsn_words(bed: Path) -> None:
    """RET and ENVID would be a syntax error there."""
    async with outbox_at(bed, answering("EHLO", OFFERS.replace(b"DSN", b"8BITMIME"))) as at:
        await one(at, "queued")
        (mail,) = [command for command in at.postfix.sessions[0].commands if command.startswith("MAIL")]
        assert mail.endswith("@bounces.example.org>")


async def test_a_clock_set_back_does_not_keep_postfix_away(bed: Path) -> None:
    """The next try comes within the longest wait, whatever the clock says by then."""
    async with outbox_at(bed, answering("", DROP)) as at:
        message = await at.accept()
        await reached(lambda: at.status.outage is not None, "away")
        at.clock.now -= 86_400
        at.postfix.script = answering("", b"220 mail.example.org ESMTP\r\n")
        await at.settled(message, "queued")


# The end


async def test_a_delivery_under_way_is_finished_before_the_end(bed: Path) -> None:
    """Told to stop between the dot and its answer, the outbox waits for the answer and stores it."""
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    async with outbox_at(bed, lambda _seen, command: answer if command == "." else None) as at:
        message = await at.accept()
        await reached(lambda: bool(at.postfix.queued), "the dot")
        at.stopping.set()
        assert (await asyncio.wait([at.running], timeout=0))[1], "it must wait for the answer"
        answer.set_result(PLAIN["."])
        await at.running
        await at.settled(message, "queued")
        assert at.postfix.sessions[0].commands[-1] == "QUIT"


async def test_mail_that_could_not_go_out_before_the_end_goes_out_after_the_next_start(bed: Path) -> None:
    """Stopped while Postfix is away, the outbox ends at once; nothing it had leased stays so."""
    async with outbox_at(bed, answering("", DROP), sessions=4) as at:
        messages = [await at.accept() for _ in range(100)]
        await reached(lambda: at.status.outage is not None, "away")
    async with outbox_at(bed, sessions=4) as at:
        for message in messages:
            await at.settled(message, "queued")
        assert len(at.postfix.queued) == 100
