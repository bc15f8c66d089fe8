"""The outbox against a Postfix that follows a script: what each answer, break and silence does to a delivery."""

import asyncio
from pathlib import Path

import pytest
from tests.submission.handover.outbox_bed import OutboxBed, one, outbox_at, reached, stored
from tests.submission.handover.scripted_postfix import DROP, PLAIN, SILENCE, Seen, answering, message_of

from postroom.store.outbox.mail_store import MailStore
from postroom.store.outbox.messages import DeliveryView
from postroom.submission.handover.session import MAX_DELIVERIES

LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 150_000


async def two_ready(store: MailStore, now: float) -> None:
    """Two messages that are due when the outbox starts, so that the second rides behind the first."""
    await stored(store, now, ["first@example.net"])
    await stored(store, now, ["second@example.net"])


async def ready_as(bed: OutboxBed, first: str, second: str) -> tuple[DeliveryView, DeliveryView]:
    """The deliveries of two_ready, once they are in these states."""
    ids = sorted({message_of(line) for seen in bed.postfix.sessions for line in seen.commands if line[:4] == "MAIL"})
    assert len(ids) == 2
    return (await bed.settled(ids[0], first))[0], (await bed.settled(ids[1], second))[0]


# What Postfix answers


async def test_mail_is_queued_under_the_id_postfix_gives(bed: Path) -> None:
    """One transaction for each recipient, each with an envelope sender of its own."""
    async with outbox_at(bed) as at:
        message = await at.accept("a@example.net", "b@example.net")
        deliveries = await at.settled(message, "queued", "queued")
        assert [delivery.queue_id for delivery in deliveries] == ["4XyZ1k2bQvz6Qb"] * 2
        assert [delivery.attempts for delivery in deliveries] == [1, 1]
        (seen,) = at.postfix.sessions
        senders = [command.split(">")[0] for command in seen.commands if command.startswith("MAIL")]
        assert len(set(senders)) == 2
        assert all(sender.startswith("MAIL FROM:<pr") for sender in senders)
        assert all(sender.endswith("@bounces.example.org") for sender in senders)
        assert [command for command in seen.commands if command.startswith("RCPT")] == [
            "RCPT TO:<a@example.net>",
            "RCPT TO:<b@example.net>",
        ]


async def test_a_temporary_refusal_in_a_pooled_session_is_asked_again_in_a_fresh_one(bed: Path) -> None:
    """A restarted milter answers 451 in every session that was open: that is no attempt of the delivery."""

    def script(seen: Seen, command: str) -> bytes | None:
        is_poisoned = seen.number == 1 and seen.count("MAIL") == 2
        return b"451 4.7.1 Service unavailable - try again later\r\n" if is_poisoned and command[:4] == "RCPT" else None

    async with outbox_at(bed, script, before=two_ready) as at:
        await reached(lambda: len(at.postfix.queued) == 2, "both sent")
        assert [delivery.attempts for delivery in await ready_as(at, "queued", "queued")] == [1, 1]
        assert len(at.postfix.sessions) == 2
        assert at.logged("handover.deferred") == []


async def test_a_temporary_refusal_in_a_fresh_session_is_an_attempt(bed: Path) -> None:
    """The delivery waits with the reply as its reason, and goes out when it is due again."""
    async with outbox_at(bed, answering("RCPT", b"451 4.3.0 <a@example.net>: greylisted\r\n", 1)) as at:
        message = await at.accept()
        (delivery,) = await at.settled(message, "deferred")
        assert delivery.attempts == 1
        assert (delivery.enhanced_status, delivery.reason) == ("4.3.0", "451 4.3.0 <a…@example.net>: greylisted")
        assert delivery.next_try is not None
        assert 5 <= delivery.next_try - at.clock.now <= 10
        at.pass_time(10)
        (delivery,) = await at.settled(message, "queued")
        assert (delivery.attempts, delivery.reason, delivery.next_try) == (2, None, None)


async def test_an_unknown_recipient_fails_that_delivery_only(bed: Path) -> None:
    """550 5.1.1 at RCPT: the other recipients go out, in the same session."""

    def script(_seen: Seen, command: str) -> bytes | None:
        return b"550 5.1.1 <b@example.net>: User unknown\r\n" if command == "RCPT TO:<b@example.net>" else None

    async with outbox_at(bed, script) as at:
        message = await at.accept("a@example.net", "b@example.net", "c@example.net")
        _, failed, _ = await at.settled(message, "queued", "failed", "queued")
        assert (failed.enhanced_status, failed.reason) == ("5.1.1", "550 5.1.1 <b…@example.net>: User unknown")
        assert len(at.postfix.sessions) == 1


async def test_a_session_lost_after_a_refusal_changes_nothing_of_it(bed: Path) -> None:
    """The refusal stands; the next delivery goes out in a fresh session."""

    def script(seen: Seen, command: str) -> bytes | None:
        if command == "RCPT TO:<b@example.net>":
            return b"550 5.1.1 <b@example.net>: User unknown\r\n"
        return DROP if seen.number == 1 and command == "RSET" else None

    async with outbox_at(bed, script) as at:
        deliveries = await at.settled(await at.accept("b@example.net", "c@example.net"), "failed", "queued")
        assert [delivery.attempts for delivery in deliveries] == [1, 1]
        assert len(at.postfix.sessions) == 2


@pytest.mark.parametrize(
    ("verb", "answer", "state"),
    [
        ("RCPT", b"554 5.7.1 <a@example.net>: Relay access denied\r\n", "deferred"),
        ("MAIL", b"553 5.1.8 Sender address rejected\r\n", "deferred"),
        ("MAIL", b"552 5.3.4 Message size exceeds fixed limit\r\n", "failed"),
        (".", b"552 5.3.4 Error: message file too big\r\n", "failed"),
        (".", b"554 5.7.1 Command rejected\r\n", "failed"),
        (".", b"451 4.3.0 Error: queue file write error\r\n", "deferred"),
        (".", b"421 4.4.2 Error: timeout exceeded\r\n", "deferred"),
        ("DATA", b"451 4.3.0 Error: queue file write error\r\n", "deferred"),
    ],
)
async def test_a_fault_of_the_wiring_waits_and_a_fault_of_the_message_fails(
    bed: Path, verb: str, answer: bytes, state: str
) -> None:
    """What an operator can mend keeps the mail; what only the sender can change ends it."""
    async with outbox_at(bed, answering(verb, answer)) as at:
        delivery = await one(at, state)
        assert delivery.reason == answer.decode().strip().replace("a@", "a…@")


async def test_a_delivery_refused_for_too_long_fails(bed: Path) -> None:
    """After give_up_after the last answer is the reason."""
    async with outbox_at(bed, answering("RCPT", b"450 4.2.0 later\r\n")) as at:
        message = await at.accept()
        await at.settled(message, "deferred")
        at.pass_time(1001)
        (delivery,) = await at.settled(message, "failed")
        assert delivery.reason == "waited too long; the last answer was: 450 4.2.0 later"


async def test_a_body_refused_for_good_leaves_the_one_behind_it_alone(bed: Path) -> None:
    """The envelope that rides behind the dot is another transaction: it is carried on in the same session."""

    def script(seen: Seen, command: str) -> bytes | None:
        return b"550 5.7.1 Content rejected\r\n" if command == "." and seen.count(".") == 1 else None

    async with outbox_at(bed, script, before=two_ready) as at:
        await reached(lambda: len(at.logged("handover.queued")) == 1, "the second queued")
        assert len(at.postfix.sessions) == 1
        await ready_as(at, "failed", "queued")


async def test_a_body_refused_for_now_gives_back_the_one_behind_it(bed: Path) -> None:
    """The second delivery's envelope was out already; it goes out in a fresh session as if for the first time."""
    async with outbox_at(bed, answering(".", b"451 4.7.1 try again later\r\n", 1), before=two_ready) as at:
        await reached(lambda: len(at.logged("handover.queued")) == 1, "the second queued")
        first, second = await ready_as(at, "deferred", "queued")
        assert (first.attempts, second.attempts) == (1, 1)
        assert len(at.postfix.sessions) == 2


# Where the session breaks


async def test_a_break_after_the_final_dot_is_in_doubt_and_never_sent_again(bed: Path) -> None:
    """Postfix may have queued it: neither time nor a restart sends it a second time."""
    async with outbox_at(bed, answering(".", DROP, 1)) as at:
        message = await at.accept()
        (delivery,) = await at.settled(message, "in_doubt")
        assert (delivery.attempts, delivery.next_try) == (1, None)
        assert delivery.reason is not None
        assert "Postfix closed the connection" in delivery.reason
        at.pass_time(100_000)
        await one(at, "queued")
        assert len(at.postfix.queued) == 2
    async with outbox_at(bed) as at:
        await one(at, "queued")
        await at.settled(message, "in_doubt")
        assert len(at.postfix.queued) == 1


async def test_silence_after_the_final_dot_is_in_doubt(bed: Path) -> None:
    """No answer within the time for an answer is no answer."""
    async with outbox_at(bed, answering(".", SILENCE, 1), reply_timeout_s=0.02) as at:
        delivery = await one(at, "in_doubt")
        assert delivery.reason == "the answer to the body never came: no reply within 0.2 s"


@pytest.mark.parametrize("answer", [b"354 go on\r\n", b"hello\r\n", b"250-queued\r\n550 not queued\r\n"])
async def test_an_answer_to_the_dot_that_is_no_answer_is_in_doubt(bed: Path, answer: bytes) -> None:
    """Only 2xx, 4xx and 5xx say whether it was queued (RFC 5321 §4.2.1)."""
    async with outbox_at(bed, answering(".", answer, 1)) as at:
        await one(at, "in_doubt")


async def test_the_one_behind_a_doubtful_one_is_given_back(bed: Path) -> None:
    """Its body never went out: it is no doubt, and no attempt."""
    async with outbox_at(bed, answering(".", DROP, 1), before=two_ready) as at:
        await reached(lambda: len(at.logged("handover.queued")) == 1, "the second queued")
        _, second = await ready_as(at, "in_doubt", "queued")
        assert second.attempts == 1


async def test_a_doubtful_delivery_that_postfix_shows_in_its_queue_is_queued(bed: Path) -> None:
    """The envelope sender is of one attempt, so its presence proves that this attempt was queued."""
    async with outbox_at(bed, answering(".", DROP, 1)) as at:
        message = await at.accept()
        await at.settled(message, "in_doubt")
        (mail,) = [command for command in at.postfix.sessions[0].commands if command.startswith("MAIL")]
        sender = mail.removeprefix("MAIL FROM:<").split(">")[0]
        record = f"queue_id\x004XyZ1k2\0sender\0{sender}\0\0\0".encode()

        async def show(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(record)
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_unix_server(show, str(bed / "showq")):
            (delivery,) = await at.settled(message, "queued")
            assert (delivery.queue_id, delivery.attempts) == ("4XyZ1k2", 1)
            assert at.logged("handover.queued")[-1]["shown_by"] == "queue"
        assert len(at.postfix.queued) == 1


async def test_a_break_inside_a_large_body_is_no_doubt(bed: Path) -> None:
    """The dot had not gone out: it is an attempt that failed, shown with its reason, and sent again later."""
    async with outbox_at(bed, break_body_at=100_000) as at:
        message = await at.accept(body=LARGE)
        (delivery,) = await at.settled(message, "deferred")
        assert delivery.attempts == 1
        assert delivery.reason is not None
        at.postfix.break_body_at = 0
        at.pass_time(10)
        (delivery,) = await at.settled(message, "queued")
        assert delivery.attempts == 2
        assert at.postfix.queued == [LARGE]


async def test_a_break_before_the_body_is_no_doubt(bed: Path) -> None:
    """Postfix hung up while it was being stored that the body is about to go out: nothing of it went out."""
    async with outbox_at(bed, answering("DATA", PLAIN["DATA"] + DROP, 1)) as at:
        delivery = await one(at, "deferred")
        assert delivery.reason == "the session was lost: Postfix closed the connection"


async def test_a_pooled_session_that_was_closed_meanwhile_is_no_attempt(bed: Path) -> None:
    """Postfix ends idle sessions whenever it likes."""

    def script(seen: Seen, command: str) -> bytes | None:
        return DROP if seen.number == 1 and command[:4] == "MAIL" and seen.count("MAIL") == 2 else None

    async with outbox_at(bed, script) as at:
        await one(at, "queued")
        delivery = await one(at, "queued")
        assert delivery.attempts == 1
        assert len(at.postfix.sessions) == 2


@pytest.mark.parametrize("answer", [DROP, SILENCE, b"250 2.1.0 Ok\r\nbanana\r\n"])
async def test_a_fresh_session_lost_at_the_envelope_is_an_attempt(bed: Path, answer: bytes) -> None:
    """Asked again at once, a Postfix that dies at each MAIL was connected to thousands of times a second."""
    async with outbox_at(bed, answering("MAIL", answer, 1), reply_timeout_s=0.2) as at:
        message = await at.accept()
        (delivery,) = await at.settled(message, "deferred")
        assert delivery.attempts == 1
        assert delivery.reason is not None
        assert len(at.postfix.sessions) == 1
        at.pass_time(10)
        await at.settled(message, "queued")


async def test_a_session_out_of_step_is_given_up(bed: Path) -> None:
    """A 250 to DATA means that replies and commands no longer belong together: the next delivery goes elsewhere."""

    def script(seen: Seen, command: str) -> bytes | None:
        return b"250 2.0.0 Ok\r\n" if seen.number == 1 and command == "DATA" else None

    async with outbox_at(bed, script) as at:
        await one(at, "deferred")
        await one(at, "queued")
        assert len(at.postfix.sessions) == 2


async def test_replies_nobody_asked_for_end_the_session(bed: Path) -> None:
    """A peer that sends replies without end is not collected: the session ends, the delivery does not."""

    def script(seen: Seen, command: str) -> bytes | None:
        return b"250 2.1.0 Ok\r\n" * 500_000 if seen.number == 1 and command[:4] == "MAIL" else None

    async with outbox_at(bed, script) as at:
        delivery = await one(at, "deferred")
        assert delivery.reason is not None
        assert "nobody asked for" in delivery.reason
        at.pass_time(10)
        await one(at, "queued")


async def test_a_session_is_recycled_after_a_hundred_deliveries(bed: Path) -> None:
    """Nothing is lost at the seam."""

    async def many_ready(store: MailStore, now: float) -> None:
        await stored(store, now, [f"r{number}@example.net" for number in range(2 * MAX_DELIVERIES + 50)])

    async with outbox_at(bed, before=many_ready) as at:
        await reached(lambda: len(at.postfix.queued) == 2 * MAX_DELIVERIES + 50, "all sent")
        assert [seen.count("MAIL") for seen in at.postfix.sessions] == [MAX_DELIVERIES, MAX_DELIVERIES, 50]
        assert all(seen.commands[-1] == "QUIT" for seen in at.postfix.sessions[:2])
