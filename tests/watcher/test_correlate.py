"""correlate.py: records become facts of our mail, and nobody's address gets into them."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.watcher.log_lines import KEY, LISTENER, NOW, active, line, token, tried

from postroom.mail.recipients import masked_recipient
from postroom.mail.states import State
from postroom.store.track.facts import (
    DeliveryTried,
    Fact,
    ForeignMail,
    GaveUp,
    InstanceStarted,
    InstanceStopping,
    LeftQueue,
    MailBegan,
    MailForwarded,
    NoticeQueued,
    ProbeEnded,
    SeenInQueue,
    SessionEnded,
    SessionOpened,
)
from postroom.watcher.correlate import PROBE_LISTENER, Correlator
from postroom.watcher.foreign_arrivals import MAX_ARRIVALS, ForeignArrivals
from postroom.watcher.lines import Line

JANE = masked_recipient(KEY, "jane@example.net")


def facts(written: Line, *, is_relayhosted: bool = False) -> list[Fact]:
    return list(Correlator(KEY, is_relayhosted=is_relayhosted).facts(written))


def only_try(written: Line, *, is_relayhosted: bool = False) -> DeliveryTried:
    (fact,) = facts(written, is_relayhosted=is_relayhosted)
    assert isinstance(fact, DeliveryTried)
    return fact


@pytest.mark.parametrize("sender", ["{}@bounces.example.org", "bounces+{}@example.com", "a+b+{}@example.com"])
def test_a_mail_of_ours_is_known_by_its_token(sender: str) -> None:
    """With each kind of return path; the case may have been changed on the way."""
    for written in (token(1), token(1).upper()):
        text = active("913AA2144D6", sender.format(written))
        assert facts(line("qmgr", text, "postfix-out")) == [SeenInQueue(token(1), "913AA2144D6", "postfix-out")]


@pytest.mark.parametrize("sender", ["", "jane@example.org", "pr@bounces.example.org", token(1), f"x{token(1)}@b.c"])
def test_other_mail_is_not(sender: str) -> None:
    """The null sender, somebody's address, or something like a token."""
    assert facts(line("qmgr", active("913AA2144D6", sender))) == []


def test_a_mail_says_how_many_recipients_it_has() -> None:
    """More than one where Postfix rewrote ours."""
    text = active("913AA2144D6", f"{token(1)}@b.c").replace("nrcpt=1", "nrcpt=3")
    assert facts(line("qmgr", text)) == [SeenInQueue(token(1), "913AA2144D6", "postfix", 3)]


@pytest.mark.parametrize(
    ("action", "found"),
    [
        ("removed", [LeftQueue("913AA2144D6", NOW, State.DISCARDED)]),
        ("requeued", [LeftQueue("913AA2144D6", NOW, None)]),
        ("placed on hold", []),
    ],
)
def test_an_operator_takes_mail_out_of_the_queue(action: str, found: list[Fact]) -> None:
    """Deleted it is gone; requeued it comes again under another id; held it stays."""
    assert facts(line("postsuper", f"913AA2144D6: {action}")) == found


def test_held_mail_is_in_the_queue() -> None:
    """A milter or a table held it: it was queued."""
    text = f"913AA2144D6: milter-hold: END-OF-MESSAGE from localhost[127.0.0.1]: x; from=<{token(2)}@b.c> to=<a@b.c>"
    assert facts(line("cleanup", text)) == [SeenInQueue(token(2), "913AA2144D6", "postfix")]


@pytest.mark.parametrize(
    ("daemon", "status", "is_relayhosted", "state"),
    [
        ("smtp", "sent", False, State.DELIVERED),
        ("smtp", "sent", True, State.RELAYED),
        ("lmtp", "sent", True, State.DELIVERED),
        ("local", "sent", True, State.DELIVERED),
        ("discard", "sent", False, State.DISCARDED),
        ("smtp", "deferred", True, State.DEFERRED),
        ("smtp", "SOFTBOUNCE", False, State.DEFERRED),
        ("error", "bounced", False, State.BOUNCED),
    ],
)
def test_states_have_one_name_each(daemon: str, status: str, is_relayhosted: bool, state: State) -> None:
    """A relayhost says "sent" for what it took; a mail thrown away was not delivered."""
    assert only_try(line(daemon, tried("913AA2144D6", status=status)), is_relayhosted=is_relayhosted).state is state


def test_probes_of_addresses_are_no_mail() -> None:
    """verify(8) asks for an address without a mail."""
    assert facts(line("smtp", tried("913AA2144D6", status="undeliverable", dsn="5.1.1"))) == []


def test_a_bounce_has_all_that_is_kept() -> None:
    """Recipient hashed, reply masked, the relay, and the fault."""
    reply = "host mx.example.net[192.0.2.2] said: 550 5.1.1 <jane@example.net>: jane is unknown"
    fact = only_try(line("smtp", tried("913AA2144D6", dsn="5.1.1", status="bounced", reason=reply)))
    assert (fact.recipient, fact.original, fact.at) == (JANE, None, NOW)
    assert (fact.enhanced_status, fact.relay) == ("5.1.1", "mx.example.net[192.0.2.2]:25")
    assert fact.reason == "host mx.example.net[192.0.2.2] said: 550 5.1.1 <j…@example.net>: … is unknown"
    assert fact.fault is not None
    assert fact.fault.cause == "invalid_recipient"


def test_a_rewritten_recipient_is_known_by_both_addresses() -> None:
    """What failed is the address Postfix tried; what was asked for is kept as a hash too."""
    fact = only_try(line("smtp", tried("913AA2144D6", "j@world.test", extra="orig_to=<Jane@example.net>, ")))
    assert (fact.recipient.hint, fact.original) == ("j…@world.test", JANE.hash)


@pytest.mark.parametrize(
    ("status", "dsn", "reason"),
    [
        ("bounced", "5.7.1", "550 5.7.1 no"),
        ("bounced", "5.1.1", "550 5.1.1 unknown), dsn=2.0.0, status=sent (250 ok"),
    ],
)
def test_what_is_no_plain_refusal_of_the_recipient_is_no_evidence(status: str, dsn: str, reason: str) -> None:
    """Neither policy, nor a line in which somebody tries to pose as Postfix."""
    assert only_try(line("smtp", tried("913AA2144D6", dsn=dsn, status=status, reason=reason))).fault is None


@pytest.mark.parametrize("reason", ["550 5.1.1 unknown, and soft_bounce", "452 4.2.2 mailbox full"])
def test_what_is_put_off_is_never_proof_by_itself(reason: str) -> None:
    """It counts when Postfix gives up after it."""
    fault = only_try(line("smtp", tried("913AA2144D6", dsn="4.0.0", status="deferred", reason=reason))).fault
    assert fault is not None
    assert fault.proof == "after"


def test_sessions_of_our_listener_count_and_no_others() -> None:
    """Port 25 has sessions too."""
    opened, ended = "connect from localhost[127.0.0.1]", "disconnect from localhost[127.0.0.1] noop=7 commands=7"
    assert facts(line("smtpd", opened, LISTENER, 543)) == [SessionOpened(543)]
    assert facts(line("smtpd", ended, LISTENER, 543)) == [SessionEnded(543, noops=7)]
    for written in (line("smtpd", opened), line("smtpd", ended)):
        assert facts(written) == []


def test_a_session_of_the_listener_that_takes_no_mail_marks_the_log_alone() -> None:
    """No attempt is made in it, so nobody waits for its end but who began it."""
    opened, ended = "connect from localhost[127.0.0.1]", "disconnect from localhost[127.0.0.1] noop=7 commands=7"
    assert facts(line("smtpd", opened, PROBE_LISTENER, 543)) == []
    assert facts(line("smtpd", ended, PROBE_LISTENER, 543)) == [ProbeEnded(7)]


def test_the_life_of_a_queue_id_and_of_an_instance() -> None:
    """Its end, Postfix's giving up, and an instance's stop and start."""
    assert facts(line("qmgr", "913AA2144D6: removed")) == [LeftQueue("913AA2144D6", NOW)]
    gave_up = "913AA2144D6: from=<a@b.c>, status=expired, returned to sender"
    assert facts(line("qmgr", gave_up)) == [GaveUp("913AA2144D6", NOW)]
    stopping = line("postfix-script", "stopping the Postfix mail system", "postfix-out")
    assert facts(stopping) == [InstanceStopping("postfix-out")]
    assert facts(line("master", "daemon started -- version 3.7.11, x")) == [InstanceStarted("postfix")]


@given(
    st.text("aAi\u0131\u0130s\u017fk\u212a", min_size=3, max_size=4),
    st.lists(st.text("aAi\u0131\u0130s\u017fk\u212a", min_size=3, max_size=4), max_size=3).map(" ".join),
)
@example("kis", "550 \u212a\u0131\u017f is unknown")
def test_no_local_part_stays_in_a_reply_in_any_case(local: str, reply: str) -> None:
    """Also in letters whose case has rules of its own."""
    fact = only_try(line("smtp", tried("913AA2144D6", f"{local}@example.net", "4.0.0", "deferred", reply)))
    assert re.search(rf"(?<!\w){re.escape(local)}(?!\w)", fact.reason, re.IGNORECASE) is None


@given(
    st.from_regex(r"\A[a-z]{3,12}\Z"), st.sampled_from(["<{0}@example.net> no", "{0} unknown", "no {0}@example.net"])
)
def test_no_address_stays_in_a_reply(local: str, reply: str) -> None:
    """Neither the address nor its local part, as long as that is no part of another word."""
    text = tried("913AA2144D6", f"{local}@example.net", "5.1.1", "bounced", f"550 5.1.1 {reply.format(local)}")
    assert local not in only_try(line("smtp", text)).reason.replace("…", " ").split()
    assert f"{local}@" not in only_try(line("smtp", text)).reason


OURS, NEXT, LAST = "913AA2144D6", "A21F02144D7", "B30002144D8"


@pytest.mark.parametrize(
    ("arrivals", "foreign"),
    [
        ([("smtpd", f"{OURS}: client=localhost[127.0.0.1]")], [ForeignMail(token(1), OURS)]),
        ([("pickup", f"{OURS}: uid=1001 from=<x@b.c>")], [ForeignMail(token(1), OURS)]),
        ([("smtpd", "NOQUEUE: client=x[192.0.2.1]"), ("smtpd", "connect from x[192.0.2.1]")], []),
        ([("cleanup", f"{OURS}: message-id=<x@b.c>")], []),
        # Its queue id is given to a mail of ours, or free again.
        ([("smtpd", f"{OURS}: client=x[192.0.2.1]"), (LISTENER, f"{OURS}: client=localhost[127.0.0.1]")], []),
        ([("smtpd", f"{OURS}: client=x[192.0.2.1]"), ("qmgr", f"{OURS}: removed")], []),
        # Requeued, and through the sendmail door: what it was before decides.
        ([("pickup", f"{OURS}: uid=108 from=<x@b.c> orig_id={NEXT}")], [ForeignMail(token(1), OURS, NEXT)]),
        (
            [("pickup", f"{NEXT}: uid=1001 from=<x@b.c>"), ("smtpd", f"{OURS}: client=l[::1], orig_queue_id={NEXT}")],
            [ForeignMail(token(1), OURS)],
        ),
        (
            [
                ("pickup", f"{NEXT}: uid=108 from=<x@b.c> orig_id={LAST}"),
                ("smtpd", f"{OURS}: client=localhost[127.0.0.1], orig_queue_id={NEXT}, orig_client=x[192.0.2.1]"),
            ],
            [ForeignMail(token(1), OURS, NEXT)],
        ),
    ],
)
def test_a_mail_with_our_token_is_foreign_by_its_way(arrivals: list[tuple[str, str]], foreign: list[Fact]) -> None:
    """Whoever read the token in the queue can send with it, but not by the hand-over."""
    correlator = Correlator(KEY, is_relayhosted=False)
    for program, text in arrivals:
        written = line("smtpd", text, LISTENER) if program == LISTENER else line(program, text)
        assert [fact for fact in correlator.facts(written) if not isinstance(fact, LeftQueue | MailBegan)] == []
    found = list(correlator.facts(line("qmgr", active(OURS, f"{token(1)}@b.c"))))
    assert found == [*foreign, SeenInQueue(token(1), OURS, "postfix")]


def test_what_local_forwards_is_a_fact() -> None:
    """By .forward or an alias; the words of another program are none."""
    text = tried(OURS, "eve@mail.example.org", reason=f"forwarded as {NEXT}")
    assert facts(line("local", text))[0] == MailForwarded(OURS, NEXT)
    assert MailForwarded not in map(type, facts(line("smtp", text)))


def test_a_notice_of_bounce_is_a_fact() -> None:
    """To the sender, and of a failure: no other changes anything."""
    said = "{}: {} {} notification: {}"
    assert facts(line("bounce", said.format(OURS, "sender", "non-delivery", NEXT))) == [NoticeQueued(OURS, NEXT)]
    for to, kind in (("postmaster", "non-delivery"), ("sender", "delay"), ("sender", "delivery status")):
        assert facts(line("bounce", said.format(OURS, to, kind, NEXT))) == []


def test_foreign_mail_is_remembered_up_to_a_bound() -> None:
    """Clients that break off leave queue ids behind for ever."""
    arrivals = ForeignArrivals()
    for number in range(MAX_ARRIVALS + 3):
        arrivals.by_smtpd(f"A{number:07X}: client=x[192.0.2.1]")
    assert arrivals.came_of("A0000002") is None
    assert arrivals.came_of("A0000003") == ""
