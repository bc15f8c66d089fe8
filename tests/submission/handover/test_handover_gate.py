"""What may go out at the socket door: suppression and limits at hand-over, against a scripted Postfix."""

from pathlib import Path

from tests.submission.handover.outbox_bed import outbox_at, reached
from tests.submission.handover.scripted_postfix import DROP, Seen, answering

from postroom.limits.rules import LimitRule

HOUR = 3600
PER_SENDER = LimitRule("per-sender", "sender", 2, HOUR)
RECIPIENTS = LimitRule("recipients", "sender", 4, HOUR, counts="recipients")


async def test_mail_over_a_limit_waits_and_says_which(bed: Path) -> None:
    """Two pass, the third is deferred with reason and time, as no attempt; Postfix does not hear of it."""
    async with outbox_at(bed, limits=[PER_SENDER]) as at:
        for _ in range(2):
            await at.settled(await at.accept(), "queued")
        (held,) = await at.settled(await at.accept(), "deferred")
        assert (held.reason, held.enhanced_status, held.attempts) == ("over the limit per-sender", "4.7.1", 0)
        assert held.next_try is not None
        assert HOUR - 60 <= held.next_try - at.clock.now <= HOUR + 120
        assert len(at.postfix.queued) == 2
        (logged,) = at.logged("handover.held")
        assert (logged["state"], logged["rule"]) == ("deferred", "per-sender")


async def test_what_waits_for_one_limit_is_asked_for_one_after_the_other(bed: Path) -> None:
    """At the even pace of the limit, in the order it came: else all would be refused at each free unit."""
    async with outbox_at(bed, limits=[PER_SENDER]) as at:
        messages = [await at.accept() for _ in range(5)]
        waiting = [(await at.settled(message, "deferred"))[0].next_try for message in messages[2:]]
        first, second, third = (at_s for at_s in waiting if at_s is not None)
        assert second - first == third - second == HOUR / 2


async def test_a_message_is_counted_once_with_all_its_recipients(bed: Path) -> None:
    """Three deliveries are three recipients and one message, in one step: two more wait together."""
    async with outbox_at(bed, limits=[PER_SENDER, RECIPIENTS]) as at:
        await at.settled(await at.accept("a@example.net", "b@example.net", "c@example.net"), *["queued"] * 3)
        two = await at.settled(await at.accept("d@example.net", "e@example.net"), *["deferred"] * 2)
        assert {delivery.reason for delivery in two} == {"over the limit recipients"}
        await at.settled(await at.accept("f@example.net"), "queued")


async def test_a_delivery_taken_once_is_not_counted_again(bed: Path) -> None:
    """Postfix defers it, it is tried again, also after the store forgot the take: one message is counted."""

    def script(seen: Seen, command: str) -> bytes | None:
        refusals = 3
        return b"451 4.3.0 later\r\n" if command.startswith("RCPT") and seen.number <= refusals else None

    async with outbox_at(bed, script, limits=[PER_SENDER]) as at:
        message = await at.accept()
        for _ in range(3):
            await at.settled(message, "deferred")
            await at.shared.sweep(now=at.clock.now + 10 * 365 * 86_400)
            at.pass_time(150)
        await at.settled(message, "queued")
        await at.settled(await at.accept(), "queued")
        await at.settled(await at.accept(), "queued")
        await at.settled(await at.accept(), "deferred")


async def test_what_was_taken_before_a_restart_is_not_counted_again(bed: Path) -> None:
    """Two are counted while Postfix is away, none was offered; started anew they go out, and a third waits."""
    async with outbox_at(bed, answering("", DROP), limits=[PER_SENDER]) as at:
        messages = [await at.accept(), await at.accept()]
        await reached(lambda: at.status.outage is not None, "Postfix is away")
        await at.settled(await at.accept(), "deferred")
    async with outbox_at(bed, limits=[PER_SENDER]) as at:
        for message in messages:
            await at.settled(message, "queued")
        await at.settled(await at.accept(), "deferred")


async def test_a_recipient_suppressed_meanwhile_gets_nothing(bed: Path) -> None:
    """Accepted, then refused for now, then suppressed: the next hand-over does not take place; the other's does."""
    async with outbox_at(bed, answering("MAIL", b"451 4.3.0 later\r\n", 1, 2)) as at:
        message = await at.accept("jane@example.net", "john@example.net")
        await at.settled(message, "deferred", "deferred")
        await at.suppress("jane@example.net")
        at.pass_time(150)
        jane, _ = await at.settled(message, "suppressed", "queued")
        assert jane.reason is not None
        assert jane.reason.startswith("recipient is suppressed: manual, since ")
        assert (jane.enhanced_status, jane.next_try, jane.queue_id) == ("5.1.1", None, None)
        assert [line for seen in at.postfix.sessions for line in seen.commands if "jane" in line][2:] == []


async def test_each_delivery_is_asked_for_with_its_stream(bed: Path) -> None:
    """Suppressed for one stream between accept and hand-over: mail of the other goes."""
    is_busy = True

    def script(_seen: Seen, command: str) -> bytes | None:
        return b"451 4.3.0 later\r\n" if is_busy and command.startswith("RCPT") else None

    async with outbox_at(bed, script) as at:
        news, receipt = await at.accept(stream="news"), await at.accept(stream="receipts")
        await at.settled(news, "deferred")
        await at.settled(receipt, "deferred")
        await at.suppress("a@example.net", "news")
        is_busy = False
        at.pass_time(150)
        (held,) = await at.settled(news, "suppressed")
        assert held.reason is not None
        assert held.reason.startswith("recipient is suppressed for news: manual, since ")
        await at.settled(receipt, "queued")


async def test_a_suppressed_recipient_is_not_counted(bed: Path) -> None:
    """Its delivery ends uncounted: mail after the suppression was lifted finds the limit untouched."""
    async with outbox_at(bed, limits=[LimitRule("each", "recipient", 1, HOUR)]) as at:
        await at.suppress("jane@example.net")
        await at.settled(await at.accept("jane@example.net"), "suppressed")
        await at.shared.suppressions.lift(next(iter(await at.shared.suppressions.page(("", ""), 1))).recipient_hash)
        await at.settled(await at.accept("jane@example.net"), "queued")


async def test_mail_held_by_a_limit_for_too_long_fails(bed: Path) -> None:
    """As mail does that Postfix defers: after give_up_after, with the last reason."""
    async with outbox_at(bed, limits=[PER_SENDER]) as at:
        await at.accept()
        await at.accept()
        message = await at.accept()
        await at.settled(message, "deferred")
        at.pass_time(3 * HOUR)
        (failed,) = await at.settled(message, "failed")
        assert failed.reason == "waited too long; the last reason was: over the limit per-sender"


async def test_what_no_longer_ever_fits_fails(bed: Path) -> None:
    """The limit was lowered after the mail was accepted: waiting would not help."""
    async with outbox_at(bed, limits=[RECIPIENTS]) as at:
        message = await at.accept(*(f"r{number}@example.net" for number in range(5)))
        five = await at.settled(message, *["failed"] * 5)
        assert {(delivery.reason, delivery.enhanced_status) for delivery in five} == {
            ("more recipients than the limit recipients ever holds at once", "5.7.1")
        }


async def test_without_its_store_mail_goes_on(bed: Path) -> None:
    """Limits are counted in the process, suppression passes; each loss is logged once."""
    async with outbox_at(bed, limits=[PER_SENDER]) as at:
        for name in ("limits.db", "shared.db"):
            (bed / "shared" / name).unlink()
        for _ in range(2):
            await at.settled(await at.accept(), "queued")
        await at.settled(await at.accept(), "deferred")
        await reached(lambda: len(at.logged("store.unavailable")) == 2, "both logged")
