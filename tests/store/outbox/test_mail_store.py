"""The outbox: what each operation promises, on a real file."""

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.store.event_loop import Run
from tests.store.outbox.sample_messages import BODY, KEY, NOW, faults_of, letter, put, rows

from postroom.mail.recipients import masked_recipient
from postroom.mail.states import State
from postroom.store.outbox.mail_store import MailStore
from postroom.store.outbox.messages import (
    Accepted,
    ClaimedDelivery,
    DeliveryInDoubt,
    DeliveryView,
    Idempotency,
    Mismatch,
    OutboxFull,
    Repeated,
    Unsent,
)
from postroom.store.outbox.schema import MAIL
from postroom.store.sqlite.file import open_file

JANE = masked_recipient(KEY, "jane@example.net")

# Accepting


def test_what_is_accepted_is_all_there(mail_store: MailStore, run: Run) -> None:
    """The message, its size and each delivery, in the order of the recipients."""
    assert run(put(mail_store, 1, ("jane@example.net", "joe@example.com"))) == Accepted()
    view = run(mail_store.queries.message(letter(1).id))
    assert view is not None
    assert (view.message, view.size) == (letter(1), len(BODY))
    assert view.deliveries == tuple(
        DeliveryView(masked_recipient(KEY, recipient), State.ACCEPTED, 0, None, None, None, NOW, NOW)
        for recipient in ("jane@example.net", "joe@example.com")
    )
    assert run(mail_store.queries.message(letter(2).id)) is None


def test_the_same_key_with_the_same_body_gets_the_first_answer(mail_store: MailStore, run: Run) -> None:
    """Repeated, however often; no second message; the same key of another client is another key."""
    assert run(put(mail_store, 1, key="k")) == Accepted()
    assert run(put(mail_store, 2, key="k")) == Repeated("answer 1")
    assert run(put(mail_store, 3, key="k")) == Repeated("answer 1")
    assert run(mail_store.queries.figures()).deliveries[State.ACCEPTED] == 1
    idempotency = mail_store.acceptance.fingerprint(BODY)
    assert idempotency == mail_store.acceptance.fingerprint(BODY) != mail_store.acceptance.fingerprint(BODY + b" ")


def test_the_same_key_with_another_body_is_a_mismatch(mail_store: MailStore, run: Run) -> None:
    """Nothing is stored, and the first answer is still the key's."""
    run(put(mail_store, 1, key="k"))
    assert run(put(mail_store, 2, key="k", body=b"another")) == Mismatch()
    assert run(mail_store.queries.message(letter(2).id)) is None
    assert run(put(mail_store, 3, key="k")) == Repeated("answer 1")


def test_a_key_is_looked_up_without_sending(mail_db: Path, mail_store: MailStore, run: Run) -> None:
    """replay tells the three cases apart, client by client, and stores nothing."""
    run(put(mail_store, 1, key="k"))
    same, other = (
        Idempotency("k", mail_store.acceptance.fingerprint(BODY)),
        Idempotency("k", mail_store.acceptance.fingerprint(b"another")),
    )
    assert run(mail_store.acceptance.replay("shop", same)) == Repeated("answer 1")
    assert run(mail_store.acceptance.replay("shop", other)) == Mismatch()
    assert run(mail_store.acceptance.replay("forum", same)) is None
    assert rows(mail_db, "SELECT client, key FROM idem") == [("shop", "k")]


def test_a_hundred_at_once_with_one_key_are_one_message(mail_db: Path, mail_store: MailStore, run: Run) -> None:
    """Exactly one is accepted; all others get its answer."""

    async def main() -> list[object]:
        return list(await asyncio.gather(*(put(mail_store, number, key="k") for number in range(100))))

    results = run(main())
    assert results.count(Accepted()) == 1
    assert results.count(Repeated(f"answer {results.index(Accepted())}")) == 99
    assert rows(mail_db, "SELECT count(*) FROM message") == [(1,)]


def test_a_full_outbox_takes_no_more(mail_db: Path, mail_store: MailStore, run: Run) -> None:
    """Counted in deliveries that wait; a refused message leaves neither itself nor its key."""
    assert run(put(mail_store, 1, ("a@example.net", "b@example.net"), max_waiting=3)) == Accepted()
    with pytest.raises(OutboxFull, match="2 deliveries wait for Postfix, the most is 3"):
        run(put(mail_store, 2, ("c@example.net", "d@example.net"), key="k", max_waiting=3))
    assert rows(mail_db, "SELECT count(*) FROM message") == [(1,)]
    assert rows(mail_db, "SELECT * FROM idem") == []
    assert run(put(mail_store, 3, ("c@example.net",), max_waiting=3)) == Accepted()
    for claimed in run(mail_store.handover.claim(10, NOW)):
        run(mail_store.handover.mark_queued(claimed.delivery, "4XyZ", NOW))
    assert run(put(mail_store, 4, ("e@example.net", "f@example.net"), key="k", max_waiting=3)) == Accepted()


def test_a_replay_is_answered_by_a_full_outbox_too(mail_store: MailStore, run: Run) -> None:
    """Whoever asks again is told what became of the first try, and not to come later."""
    run(put(mail_store, 1, key="k", max_waiting=1))
    assert run(put(mail_store, 2, key="k", max_waiting=1)) == Repeated("answer 1")


def test_an_id_used_twice_fails_alone(mail_store: MailStore, run: Run) -> None:
    """The accepts that share its transaction are stored."""

    async def main() -> list[object]:
        tries = (put(mail_store, number) for number in (1, 1, 2))
        return list(await asyncio.gather(*tries, return_exceptions=True))

    first, second, third = run(main())
    assert (first, third) == (Accepted(), Accepted())
    assert isinstance(second, Exception)
    assert run(mail_store.queries.figures()).deliveries == {State.ACCEPTED: 2}


# What stays of a recipient


def addresses(path: Path) -> list[tuple[Any, ...]]:
    """Those in clear: of which delivery, and the address."""
    return rows(path, "SELECT delivery, recipient FROM address ORDER BY delivery")


@pytest.mark.parametrize("end", ["queued", "fail", "end", "queued after doubt", "suppressed at once"])
def test_the_address_goes_when_a_delivery_ends(mail_db: Path, run: Run, end: str) -> None:
    """From the rows and, once the log is written back, from the file; what waits beside it keeps its own."""
    mail_store = MailStore.open(mail_db, KEY)
    suppressed = {"secret.jane@example.net": Unsent("5.1.1", "no")} if end == "suppressed at once" else {}
    run(
        mail_store.acceptance.accept(
            letter(1), ("secret.jane@example.net", "joe@example.net"), BODY, "answer", None, 2, suppressed
        )
    )
    claimed = run(mail_store.handover.claim(1, NOW))[0].delivery
    match end:
        case "queued":
            run(mail_store.handover.mark_queued(claimed, "4XyZ", NOW))
        case "fail":
            run(mail_store.handover.fail(claimed, "5.1.1", "550 5.1.1 no", NOW))
        case "end":
            run(mail_store.handover.end(claimed, State.SUPPRESSED, "5.1.1", "no", NOW))
        case "queued after doubt":
            run(mail_store.handover.start_attempt(claimed, "t1", NOW))
            run(mail_store.handover.mark_in_doubt(claimed, "no answer", NOW))
            assert addresses(mail_db)[0] == (1, "secret.jane@example.net")
            run(mail_store.handover.mark_queued(claimed, "4XyZ", NOW))
    assert addresses(mail_db) == [(2, "joe@example.net")]
    jane = masked_recipient(KEY, "secret.jane@example.net")
    view = run(mail_store.queries.message(letter(1).id))
    assert view is not None
    assert [each.recipient for each in view.deliveries] == [jane, masked_recipient(KEY, "joe@example.net")]
    run(mail_store.close())
    assert b"secret.jane" not in mail_db.read_bytes()
    assert b"joe@example.net" in mail_db.read_bytes()


@pytest.mark.process
def test_no_page_keeps_what_was_moved_out_of_it(mail_db: Path, run: Run) -> None:
    """Rows of a thousand deliveries that grow, move and end in any order: nothing of any address or body is left."""
    mail_store, random = MailStore.open(mail_db, KEY), Random(1)

    async def some_end(now: float, *, all_do: bool) -> None:
        while claimed := await mail_store.handover.claim(64, now):
            random.shuffle(claimed)
            for one in claimed:
                await mail_store.handover.start_attempt(one.delivery, f"token{random.randrange(10**12)}", now)
                reason, what = "z" * random.randrange(400), random.random()
                if all_do or what < 0.7:
                    await mail_store.handover.mark_queued(one.delivery, "Q" * random.randrange(5, 20), now)
                elif what < 0.85:
                    await mail_store.handover.fail(one.delivery, "5.1.1", reason, now)
                else:
                    await mail_store.handover.retry(one.delivery, now + 1, "4.1.1", reason, now)

    async def main() -> None:
        for turn in range(12):
            for number in range(20):
                recipients = [f"{'quokka' * random.randrange(1, 6)}{n}@b.c" for n in range(random.randrange(1, 12))]
                body = b"quokka\r\n" * random.randrange(1, 3000)
                await mail_store.acceptance.accept(letter(turn * 20 + number), recipients, body, "{}", None, 10**6)
            await some_end(NOW + turn, all_do=False)
        await some_end(NOW + 100, all_do=True)
        await mail_store.close()

    run(main())
    assert mail_db.read_bytes().count(b"quokka") == 0


def test_a_file_with_addresses_of_before_is_brought_up_to_date(tmp_path: Path, run: Run) -> None:
    """What has ended is hashed, its reply masked; what waits or is in doubt keeps its address and goes out."""
    path = tmp_path / "mail.db"
    path.touch(0o600)
    before = open_file(path, MAIL[:3], synchronous="FULL")
    before.execute(
        "INSERT INTO message VALUES ('m', 'shop', 'm@example.org', '*@b.example.org', 1.0, 4, NULL, NULL, '#anna', '');"
        "INSERT INTO body VALUES ('m', 'body');"
        "INSERT INTO delivery (message, recipient, state, due_at, reason, changed_at) VALUES"
        " ('m', 'jane.doe@b.c', 'failed', NULL, '550 5.1.1 <jane.doe@b.c>: no jane.doe here', 1.0),"
        " ('m', 'joe@b.c', 'accepted', 1.0, NULL, 1.0), ('m', 'jim@b.c', 'in_doubt', NULL, NULL, 1.0)"
    )
    before.close()
    MailStore.init(path)
    store = MailStore.open(path, KEY)
    assert rows(path, "SELECT reason FROM delivery ORDER BY id") == [
        ("550 5.1.1 <j…@b.c>: no … here",),
        (None,),
        (None,),
    ]
    assert addresses(path) == [(2, "joe@b.c"), (3, "jim@b.c")]
    (claimed,) = run(store.handover.claim(10, NOW))
    assert (claimed.recipient, claimed.recipients) == ("joe@b.c", ("joe@b.c",))
    view = run(store.queries.message("m"))
    assert view is not None
    assert view.deliveries[0].recipient == masked_recipient(KEY, "jane.doe@b.c")
    run(store.close())


# Claiming


def test_claiming_leases_each_delivery_once(mail_store: MailStore, run: Run) -> None:
    """However many ask at once, none is given out twice, and none is left over."""

    async def main() -> list[ClaimedDelivery]:
        await asyncio.gather(*(put(mail_store, number) for number in range(50)))
        batches = await asyncio.gather(*(mail_store.handover.claim(7, NOW) for _ in range(10)))
        return [claimed for batch in batches for claimed in batch]

    claimed = run(main())
    assert len(claimed) == 50
    assert len({one.delivery for one in claimed}) == 50
    assert run(mail_store.handover.claim(7, NOW)) == []
    assert run(mail_store.handover.next_due()) is None


def test_the_longest_due_is_claimed_first_and_none_before_its_time(mail_store: MailStore, run: Run) -> None:
    """By due time, not by age; what is due later stays, and next_due says when it is."""
    for number, at in ((1, NOW + 2), (2, NOW), (3, NOW + 1), (4, NOW + 9)):
        run(put(mail_store, number, at=at))
    assert [one.message for one in run(mail_store.handover.claim(2, NOW + 5))] == [letter(2).id, letter(3, NOW + 1).id]
    assert run(mail_store.handover.next_due()) == NOW + 2
    assert [one.message for one in run(mail_store.handover.claim(9, NOW + 5))] == [letter(1, NOW + 2).id]
    assert run(mail_store.handover.claim(9, NOW + 8.9)) == []
    assert run(mail_store.handover.next_due()) == NOW + 9


def one_claimed(store: MailStore, run: Run, now: float = NOW) -> ClaimedDelivery:
    (claimed,) = run(store.handover.claim(10, now))
    return claimed


def delivery(store: MailStore, run: Run, number: int = 1) -> DeliveryView:
    view = run(store.queries.message(letter(number).id))
    assert view is not None
    return view.deliveries[0]


def test_a_claim_has_what_the_hand_over_needs(mail_store: MailStore, run: Run) -> None:
    """Recipient, return path with its star, age, attempts so far, size, what limits count; the body comes later."""
    run(put(mail_store, 1))
    claimed = one_claimed(mail_store, run)
    assert claimed == ClaimedDelivery(
        claimed.delivery, letter(1).id, "jane@example.net", "*@bounces.example.org", NOW, 0, len(BODY),
        "shop", "#anna", "news", ("jane@example.net",), False,
    )  # fmt: skip
    assert run(mail_store.handover.start_attempt(claimed.delivery, "token", NOW)) == BODY


def test_a_file_of_before_streams_is_brought_up_to_date(tmp_path: Path, run: Run) -> None:
    """What waits in it goes out, as mail that names no stream."""
    path = tmp_path / "mail.db"
    path.touch(0o600)
    before = open_file(path, MAIL[:2], synchronous="FULL")
    before.execute(
        "INSERT INTO message VALUES ('m', 'shop', 'm@example.org', '*@b.example.org', 1.0, 4, NULL, NULL, '#anna');"
        "INSERT INTO body VALUES ('m', 'body');"
        "INSERT INTO delivery (message, recipient, state, due_at, changed_at)"
        " VALUES ('m', 'a@b.c', 'accepted', 1.0, 1.0)"
    )
    before.close()
    MailStore.init(path)
    store = MailStore.open(path, KEY)
    claimed = one_claimed(store, run)
    assert (claimed.recipient, claimed.sender, claimed.stream) == ("a@b.c", "#anna", "")
    view = run(store.queries.message("m"))
    assert view is not None
    assert (view.message.stream, view.size) == ("", 4)
    run(store.close())


def test_the_claims_of_one_message_know_each_other(mail_store: MailStore, run: Run) -> None:
    """All its recipients but those suppressed; once one was offered to Postfix, the others need not be counted."""
    recipients = ("a@example.net", "b@example.net", "c@example.net")
    unsent = {"b@example.net": Unsent("5.1.1", "recipient is suppressed: manual, since 2026-11-24")}
    run(mail_store.acceptance.accept(letter(1), recipients, BODY, "answer", None, 2, unsent))
    a, c = run(mail_store.handover.claim(10, NOW))
    assert (a.recipients, a.is_counted) == (c.recipients, c.is_counted) == (("a@example.net", "c@example.net"), False)
    run(mail_store.handover.hold(a.delivery, NOW + 5, "4.7.1", "over the limit", NOW))
    run(mail_store.handover.retry(c.delivery, NOW + 6, "4.3.0", "later", NOW))
    (a,) = run(mail_store.handover.claim(10, NOW + 5))
    assert (a.recipients, a.is_counted, a.attempts) == (("a@example.net", "c@example.net"), True, 0)


def test_a_suppressed_recipient_is_a_delivery_that_is_done(mail_db: Path, mail_store: MailStore, run: Run) -> None:
    """It says why, is never claimed, and does not wait; the others go out, and then the body goes."""
    unsent = {"b@example.net": Unsent("5.1.1", "recipient is suppressed: manual, since 2026-11-24")}
    run(mail_store.acceptance.accept(letter(1), ("a@example.net", "b@example.net"), BODY, "answer", None, 1, unsent))
    view = run(mail_store.queries.message(letter(1).id))
    assert view is not None
    assert view.deliveries[1] == DeliveryView(
        masked_recipient(KEY, "b@example.net"),
        State.SUPPRESSED,
        0,
        None,
        "5.1.1",
        unsent["b@example.net"].reason,
        None,
        NOW,
    )
    claimed = one_claimed(mail_store, run)
    run(mail_store.handover.end(claimed.delivery, State.SUPPRESSED, "5.1.1", "recipient is suppressed", NOW))
    assert rows(mail_db, "SELECT * FROM body") == []
    assert faults_of(mail_db) == []


# The ends of an attempt


def test_a_queued_delivery_is_done(mail_db: Path, mail_store: MailStore, run: Run) -> None:
    """It has its queue id, is not due again, and its body is gone."""
    run(put(mail_store, 1))
    claimed = one_claimed(mail_store, run)
    run(mail_store.handover.retry(claimed.delivery, NOW, "4.3.0", "try later", NOW))
    claimed = one_claimed(mail_store, run)
    run(mail_store.handover.start_attempt(claimed.delivery, "token", NOW))
    run(mail_store.handover.mark_queued(claimed.delivery, "4XyZ", NOW + 1))
    assert delivery(mail_store, run) == DeliveryView(
        JANE, State.QUEUED, 2, "4XyZ", None, None, None, NOW + 1, ("token",)
    )
    assert rows(mail_db, "SELECT * FROM body") == []
    assert run(mail_store.handover.next_due()) is None


def test_a_refused_delivery_is_due_again_when_it_was_said(mail_db: Path, mail_store: MailStore, run: Run) -> None:
    """Deferred, with the reason and the next try; the attempt counts; the body is kept."""
    run(put(mail_store, 1))
    claimed = one_claimed(mail_store, run)
    run(mail_store.handover.retry(claimed.delivery, NOW + 60, "4.7.1", "451 4.7.1 later", NOW + 1))
    assert delivery(mail_store, run) == DeliveryView(
        JANE,
        State.DEFERRED,
        1,
        None,
        "4.7.1",
        "451 4.7.1 later",
        NOW + 60,
        NOW + 1,
    )
    assert rows(mail_db, "SELECT octets FROM body") == [(BODY,)]
    assert run(mail_store.handover.claim(10, NOW + 59)) == []
    assert one_claimed(mail_store, run, NOW + 60).attempts == 1


def test_a_failed_delivery_is_done(mail_db: Path, mail_store: MailStore, run: Run) -> None:
    """It has its reason, is not due again, and its body is gone."""
    run(put(mail_store, 1))
    run(mail_store.handover.fail(one_claimed(mail_store, run).delivery, "5.1.1", "550 5.1.1 no such user", NOW + 1))
    assert delivery(mail_store, run) == DeliveryView(
        JANE,
        State.FAILED,
        1,
        None,
        "5.1.1",
        "550 5.1.1 no such user",
        None,
        NOW + 1,
    )
    assert rows(mail_db, "SELECT * FROM body") == []


def test_a_released_delivery_is_as_it_was(mail_store: MailStore, run: Run) -> None:
    """Due at once, and the try counts for nothing, also when its hand-over had begun."""
    run(put(mail_store, 1))
    before = delivery(mail_store, run)
    first = one_claimed(mail_store, run)
    run(mail_store.handover.release(first.delivery))
    again = one_claimed(mail_store, run)
    run(mail_store.handover.start_attempt(again.delivery, "token", NOW))
    run(mail_store.handover.release(again.delivery))
    assert delivery(mail_store, run) == replace(before, tokens=("token",))
    assert run(mail_store.handover.recover(NOW)) == 0
    assert one_claimed(mail_store, run) == first


def test_a_doubtful_delivery_is_not_sent_again_and_keeps_its_body(
    mail_db: Path, mail_store: MailStore, run: Run
) -> None:
    """It may be queued or not: neither due nor forgotten."""
    run(put(mail_store, 1))
    claimed = one_claimed(mail_store, run)
    run(mail_store.handover.start_attempt(claimed.delivery, "token", NOW))
    run(mail_store.handover.mark_in_doubt(claimed.delivery, "no answer", NOW + 1))
    assert delivery(mail_store, run) == DeliveryView(
        JANE, State.IN_DOUBT, 1, None, None, "no answer", None, NOW + 1, ("token",)
    )
    assert run(mail_store.handover.claim(10, NOW + 1e6)) == []
    assert rows(mail_db, "SELECT octets FROM body") == [(BODY,)]


@pytest.mark.parametrize("stopped", [True, False])
def test_an_attempt_that_was_in_doubt_counts_once(mail_store: MailStore, run: Run, stopped: bool) -> None:
    """Doubted and then found in Postfix's queue, it is one attempt, however the doubt came about."""
    run(put(mail_store, 1))
    claimed = one_claimed(mail_store, run)
    run(mail_store.handover.start_attempt(claimed.delivery, "token", NOW))
    if stopped:
        run(mail_store.handover.recover(NOW))
    else:
        run(mail_store.handover.mark_in_doubt(claimed.delivery, "no answer", NOW))
    assert delivery(mail_store, run).attempts == 1
    run(mail_store.handover.mark_queued(claimed.delivery, "4XyZ", NOW))
    assert (delivery(mail_store, run).state, delivery(mail_store, run).attempts) == (State.QUEUED, 1)


def test_the_body_stays_until_the_last_delivery_needs_it_no_more(
    mail_db: Path, mail_store: MailStore, run: Run
) -> None:
    """Three recipients, three ends; only after the last one is the body gone."""
    run(put(mail_store, 1, ("a@example.net", "b@example.net", "c@example.net")))
    first, second, third = (claimed.delivery for claimed in run(mail_store.handover.claim(3, NOW)))
    run(mail_store.handover.mark_queued(first, "4XyZ", NOW))
    run(mail_store.handover.mark_in_doubt(second, "no answer", NOW))
    run(mail_store.handover.fail(third, None, "no", NOW))
    assert rows(mail_db, "SELECT octets FROM body") == [(BODY,)]
    run(mail_store.handover.mark_queued(second, "4XyZ2", NOW))
    assert rows(mail_db, "SELECT * FROM body") == []
    assert faults_of(mail_db) == []


# After a start


def test_recovery_tells_what_was_leased_from_what_was_handed_over(mail_db: Path, run: Run) -> None:
    """A lease of a dead process ends; a hand-over without an answer is in doubt; what waits, waits."""
    store = MailStore.open(mail_db, KEY)
    for number in range(3):
        run(put(store, number, at=NOW + number))
    handed, leased = run(store.handover.claim(2, NOW + 1))
    run(store.handover.start_attempt(handed.delivery, "token", NOW + 1))
    run(store.close())

    store = MailStore.open(mail_db, KEY)
    assert run(store.handover.recover(NOW + 5)) == 1
    view = run(store.queries.message(handed.message))
    assert view is not None
    assert (view.deliveries[0].state, view.deliveries[0].changed_at) == (State.IN_DOUBT, NOW + 5)
    assert "stopped before the answer" in (view.deliveries[0].reason or "")
    assert next(claimed.delivery for claimed in run(store.handover.claim(9, NOW + 5))) == leased.delivery
    assert run(store.queries.figures()).deliveries[State.ACCEPTED] == 2
    assert run(store.handover.recover(NOW + 6)) == 0
    run(store.close())


def test_what_was_shown_not_queued_is_sent_again_at_once(mail_store: MailStore, run: Run) -> None:
    """Due now, with its reason; the next try is an attempt of its own. One that was queued meanwhile stays so."""
    run(put(mail_store, 1))
    claimed = one_claimed(mail_store, run)
    run(mail_store.handover.start_attempt(claimed.delivery, "first", NOW))
    run(mail_store.handover.mark_in_doubt(claimed.delivery, "no answer", NOW + 1))
    run(mail_store.handover.resend(claimed.delivery, "shown not queued", NOW + 2))
    assert delivery(mail_store, run) == DeliveryView(
        JANE,
        State.DEFERRED,
        1,
        None,
        None,
        "shown not queued",
        NOW + 2,
        NOW + 2,
        ("first",),
    )
    assert run(mail_store.handover.in_doubt(0, 9)) == []
    assert one_claimed(mail_store, run, NOW + 2).attempts == 1
    assert run(mail_store.handover.start_attempt(claimed.delivery, "second", NOW + 3)) == BODY
    run(mail_store.handover.mark_queued(claimed.delivery, "4XyZ", NOW + 3))
    run(mail_store.handover.resend(claimed.delivery, "shown not queued", NOW + 4))
    after = delivery(mail_store, run)
    assert (after.state, after.attempts, after.tokens) == (State.QUEUED, 2, ("first", "second"))


def test_doubts_come_page_by_page_with_every_sender_that_was_used(mail_store: MailStore, run: Run) -> None:
    """In the order of their ids, none twice; the star of the return path is the token of each attempt."""
    for number in range(5):
        run(put(mail_store, number))
    for claimed in run(mail_store.handover.claim(5, NOW)):
        run(mail_store.handover.start_attempt(claimed.delivery, f"first{claimed.delivery}", NOW))
        run(mail_store.handover.retry(claimed.delivery, NOW, None, "451 later", NOW))
    for claimed in run(mail_store.handover.claim(5, NOW))[1:]:
        run(mail_store.handover.start_attempt(claimed.delivery, f"second{claimed.delivery}", NOW + 1))
        run(mail_store.handover.mark_in_doubt(claimed.delivery, "no answer", NOW + 2))
    pages, after = [], 0
    while page := run(mail_store.handover.in_doubt(after, 3)):
        pages.append(page)
        after = page[-1].delivery
    assert [len(page) for page in pages] == [3, 1]
    doubts = [doubt for page in pages for doubt in page]
    assert doubts == [
        DeliveryInDoubt(
            number,
            letter(number - 1).id,
            f"second{number}@bounces.example.org",
            (f"first{number}@bounces.example.org", f"second{number}@bounces.example.org"),
            NOW + 1,
            NOW + 2,
        )
        for number in range(2, 6)
    ]
