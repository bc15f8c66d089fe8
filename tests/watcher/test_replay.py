"""replay.py: an old log read again shows what became of every mail, in whatever order and shape the lines came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.watcher.log_lines import active, line, tried
from tests.watcher.log_sample import NOW, lab, lab_lines

from postroom.mail.states import State
from postroom.watcher.lines import Line, LineReader
from postroom.watcher.replay import LogReplay, ReplayedMail

ID, OTHER = "913AA2144D6", "4jYR8z75TxzJrGq"
STATES = {"sent": State.DELIVERED, "bounced": State.BOUNCED, "deferred": State.DEFERRED, "expired": State.EXPIRED}


def replayed(*lines: Line, is_relayhosted: bool = False) -> list[ReplayedMail]:
    replay = LogReplay(is_relayhosted=is_relayhosted)
    for one in lines:
        replay.take(one)
    return replay.mails()


def mail_line(daemon: str, text: str, queue_id: str = ID) -> Line:
    return line(daemon, f"{queue_id}: {text}")


def arrived(queue_id: str = ID, message_id: str = "<m@app>", sender: str = "a@b.c") -> list[Line]:
    """A mail by SMTP, up to its first try."""
    return [
        mail_line("smtpd", "client=x[192.0.2.1]", queue_id),
        mail_line("cleanup", f"message-id={message_id}", queue_id),
        line("qmgr", active(queue_id, sender)),
    ]


def states(mail: ReplayedMail) -> dict[str, State]:
    return {address: mail.state(recipient) for address, recipient in mail.recipients.items()}


DEFERRED = line("smtp", tried(ID, status="deferred", dsn="4.2.2", reason="452 4.2.2 full"))
SENT = line("smtp", tried(ID))
REMOVED = mail_line("qmgr", "removed")
EXPIRED = mail_line("qmgr", "from=<a@b.c>, status=expired, returned to sender")


def test_all_of_a_whole_log_is_right() -> None:
    """Every queue id as a parser of another hand has it, and every recipient as it was asked for."""
    reader, replay = LineReader(NOW), LogReplay(is_relayhosted=False)
    for text in lab_lines():
        read = reader.line(text)
        assert isinstance(read, Line)
        replay.take(read)
    mails, known = replay.mails(), lab()
    assert [mail.queue_id for mail in mails] == [message["queue_id"] for message in known["messages"]]
    for mail, message in zip(mails, known["messages"], strict=True):
        assert (mail.message_id, mail.sender, mail.is_removed) == (
            message["message_id"],
            message["sender"],
            message["removed"],
        )
        assert {
            address: (mail.state(recipient), recipient.dsn, recipient.attempts)
            for address, recipient in mail.recipients.items()
        } == {
            address: (STATES[recipient["final"]], recipient["dsn"], recipient["attempts"])
            for address, recipient in message["recipients"].items()
        }
        notices = {later.queue_id for later, how in mail.next.items() if how.endswith(" notice")}
        assert notices == {notice for _, _, notice in message["notifications"]}
    found = {mail.message_id: states(mail) for mail in mails}
    for injected in known["injected"]:
        expected = {address: STATES[word] for address, word in injected["expect"].items()}
        assert found[injected["message_id"]] == expected


def test_an_expiry_names_no_recipient_and_speaks_of_those_that_wait() -> None:
    """Also when the last try of one is logged behind it; those that were delivered stay so."""
    other = line("smtp", tried(ID, "other@example.net"))
    (mail,) = replayed(*arrived(), other, DEFERRED, EXPIRED, DEFERRED, REMOVED)
    assert states(mail) == {"other@example.net": State.DELIVERED, "jane@example.net": State.EXPIRED}
    assert mail.recipients["jane@example.net"].attempts == 2


@pytest.mark.parametrize(
    ("end", "state", "is_removed"),
    [
        ([mail_line("postsuper", "removed")], State.DISCARDED, True),
        ([mail_line("postsuper", "removed"), REMOVED], State.DISCARDED, True),
        ([mail_line("postsuper", "expired"), EXPIRED, REMOVED], State.EXPIRED, True),
        ([mail_line("postsuper", "requeued")], State.DEFERRED, False),
        ([mail_line("postsuper", "placed on hold")], State.DEFERRED, False),
        ([REMOVED], State.UNTRACKED, True),
        ([], State.DEFERRED, False),
    ],
)
def test_the_end_of_a_mail_says_what_became_of_those_that_waited(
    end: list[Line], state: State, is_removed: bool
) -> None:
    """An operator, Postfix, or lines that are missing."""
    (mail,) = replayed(*arrived(), DEFERRED, *end)
    assert states(mail) == {"jane@example.net": state}
    assert mail.is_removed is is_removed


@pytest.mark.parametrize("gone", [[REMOVED], []])
def test_a_short_queue_id_is_used_again(gone: list[Line]) -> None:
    """Two mails, also when the line that ends the first is missing."""
    first, second = replayed(*arrived(), SENT, *gone, *arrived(message_id="<n@app>"), DEFERRED)
    assert (first.message_id, states(first)) == ("<m@app>", {"jane@example.net": State.DELIVERED})
    assert (second.message_id, states(second)) == ("<n@app>", {"jane@example.net": State.DEFERRED})
    assert first.is_removed is bool(gone)


def test_a_queue_id_used_again_is_known_by_its_size_where_its_beginning_is_missing() -> None:
    """qmgr says sender and size at every try, and neither changes."""
    again = mail_line("qmgr", "from=<a@b.c>, size=99, nrcpt=1 (queue active)")
    assert len(replayed(*arrived(), DEFERRED, again)) == 2
    assert len(replayed(*arrived(), DEFERRED, line("qmgr", active(ID, "a@b.c")), DEFERRED)) == 1


def test_a_client_that_broke_off_is_no_mail_of_the_next_one() -> None:
    """Its queue id was given away again without a line of its end."""
    first, second = replayed(*arrived()[:2], *arrived(message_id="<n@app>"))
    assert (first.message_id, first.recipients, second.message_id) == ("<m@app>", {}, "<n@app>")


def test_a_mail_with_two_message_ids_is_one_mail() -> None:
    """The first counts; one of Resent-Message-ID only where there is no other."""
    ids = [mail_line("cleanup", text) for text in ("resent-message-id=<r@x>", "message-id=<m@x>", "message-id=<n@x>")]
    (mail,) = replayed(*ids)
    assert mail.message_id == "<m@x>"


def test_a_line_that_comes_late_belongs_to_the_life_that_ended() -> None:
    """Programs of a Postfix write past each other."""
    (mail,) = replayed(*arrived(), REMOVED, SENT)
    assert states(mail) == {"jane@example.net": State.DELIVERED}


@pytest.mark.parametrize("is_late", [False, True])
def test_a_notice_is_tied_to_its_mail(is_late: bool) -> None:
    """Before or after the notice itself is logged."""
    notice = arrived(OTHER, "<n@host>", "")[1:]
    notified = mail_line("bounce", f"sender non-delivery notification: {OTHER}")
    mail, later = replayed(*arrived(), EXPIRED, *([notified, *notice] if is_late else [*notice, notified]))
    assert mail.next == {later: "non-delivery notice"}


def test_a_requeued_mail_goes_on_under_another_id() -> None:
    """It has what it had before, where the new lines do not say it."""
    requeued = [mail_line("postsuper", "requeued"), line("pickup", f"{OTHER}: uid=110 from=<a@b.c> orig_id={ID}")]
    before, after = replayed(*arrived(), DEFERRED, *requeued, line("smtp", tried(OTHER)))
    assert (before.end, before.next) == ("requeued", {after: "requeued"})
    assert (after.message_id, after.sender, states(after)) == (
        "<m@app>",
        "a@b.c",
        {"jane@example.net": State.DELIVERED},
    )


def test_a_content_filter_gives_a_mail_a_second_id() -> None:
    """Tied by orig_queue_id or by the reply; each id keeps its own outcome."""
    again = line("smtpd", f"{OTHER}: client=localhost[127.0.0.1], orig_queue_id={ID}, orig_client=x[192.0.2.1]")
    handed = line("smtp", tried(ID, reason=f"250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 Ok: queued as {OTHER}"))
    bounced = line("smtp", tried(OTHER, status="bounced", dsn="5.1.1"))
    for second, how in ((again, "re-injected"), (mail_line("smtpd", "client=y[192.0.2.1]", OTHER), "queued as")):
        mail, later = replayed(*arrived(), second, handed, REMOVED, bounced)
        assert mail.next == {later: how}
        assert (states(mail), states(later)) == (
            {"jane@example.net": State.DELIVERED},
            {"jane@example.net": State.BOUNCED},
        )


def test_a_forward_is_another_mail() -> None:
    """local(8) makes it, without a client."""
    new = [mail_line("cleanup", "message-id=<m@app>", OTHER), line("qmgr", active(OTHER, "a@b.c"))]
    forwarded = line("local", tried(ID, reason=f"forwarded as {OTHER}"))
    mail, later = replayed(*arrived(), *new, forwarded, REMOVED)
    assert mail.next == {later: "forwarded as"}


def test_what_a_relayhost_takes_is_relayed() -> None:
    """Only what goes there: local(8) delivers."""
    mails = replayed(*arrived(), SENT, line("local", tried(ID, "l@b.c")), is_relayhosted=True)
    assert states(mails[0]) == {"jane@example.net": State.RELAYED, "l@b.c": State.DELIVERED}


def test_mail_thrown_away_was_not_delivered_and_a_probe_is_no_mail() -> None:
    """discard(8) says sent; verify(8) asks for an address."""
    assert states(replayed(line("discard", tried(ID)))[0]) == {"jane@example.net": State.DISCARDED}
    assert states(replayed(line("smtp", tried(ID, status="undeliverable")))[0]) == {}


def test_mail_refused_at_its_end_has_no_recipients() -> None:
    """A milter refused it: it was never queued, but had a queue id."""
    refused = "milter-reject: END-OF-MESSAGE from x[192.0.2.1]: 5.7.1 no; from=<a@b.c> to=<d@e.f> proto=ESMTP helo=<m>"
    (mail,) = replayed(*arrived()[:2], mail_line("cleanup", refused))
    assert (mail.sender, mail.recipients, mail.is_removed) == ("a@b.c", {}, False)


def test_the_same_id_on_two_hosts_is_two_mails() -> None:
    """A log may come from several."""
    here, there = arrived()[0], arrived()[0]
    there.host = "other"
    assert len(replayed(here, there)) == 2


def test_mails_that_came_of_each_other_end_nothing() -> None:
    """A log that is forged or cut may say so; it is read all the same."""
    first = line("pickup", f"{ID}: uid=0 from=<> orig_id={OTHER}")
    second = line("pickup", f"{OTHER}: uid=0 from=<> orig_id={ID}")
    assert len(replayed(first, second, first)) == 3


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["smtpd", "cleanup", "qmgr", "smtp", "pickup", "postsuper", "bounce", "local"]),
            st.sampled_from(
                [
                    "client=x[192.0.2.1]",
                    f"client=x[192.0.2.1], orig_queue_id={OTHER}",
                    "message-id=<m@x>",
                    "from=<a@b.c>, size=1, nrcpt=1 (queue active)",
                    "from=<a@b.c>, size=2, nrcpt=1 (queue active)",
                    "from=<a@b.c>, status=expired, returned to sender",
                    "removed",
                    "requeued",
                    f"uid=0 from=<> orig_id={OTHER}",
                    f"sender non-delivery notification: {OTHER}",
                    tried("", status="deferred")[2:],
                    tried("", reason=f"forwarded as {OTHER}")[2:],
                ]
            ),
            st.sampled_from([ID, OTHER]),
        ),
        max_size=20,
    )
)
def test_lines_in_any_order_are_read(written: list[tuple[str, str, str]]) -> None:
    """Every try counts once, and every mail has its states."""
    lines = [mail_line(daemon, text, queue_id) for daemon, text, queue_id in written]
    mails = replayed(*lines)
    tries = sum(recipient.attempts for mail in mails for recipient in mail.recipients.values())
    agents = ("smtp", "local", "qmgr")
    assert tries == sum(daemon in agents and text.startswith("to=") for daemon, text, _ in written)
    for mail in mails:
        assert set(states(mail).values()) <= set(State)
