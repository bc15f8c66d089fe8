"""The LMTP protocol without a socket: whole or octet by octet, it is the same session."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.watcher import lmtp
from postroom.watcher.lmtp import (
    MAX_ERRORS,
    MAX_LINE_OCTETS,
    MAX_OCTETS,
    MAX_RECIPIENTS,
    ForwardedClient,
    LmtpSession,
    ReceivedMail,
)

ENVELOPE = b"LHLO mail\r\nMAIL FROM:<>\r\nRCPT TO:<one@bounces.example.org>\r\n"


FORWARDED = b"XFORWARD NAME=mx ADDR=%s PORT=44\r\nXFORWARD PROTO=ESMTP HELO=a+2Bb IDENT=4CAB11 SOURCE=REMOTE\r\n"


def refusal(recipient: str) -> str | None:
    return None if recipient.endswith("@bounces.example.org") else "451 4.3.5 Not here"


def held(octets: bytes, step: int = 1_000_000) -> tuple[list[str], list[ReceivedMail], LmtpSession]:
    """The replies (their first words), the mails and the session after these octets, fed `step` at a time."""
    session, replies, mails = LmtpSession("mail.example.org", refusal), list[str](), list[ReceivedMail]()
    for at in range(0, max(len(octets), 1), step):
        session.feed(octets[at : at + step])
        while (event := session.next_event()) is not None:
            if isinstance(event, ReceivedMail):
                mails.append(event)
            else:
                replies.append(event.decode("ascii"))
    return replies, mails, session


def codes(octets: bytes) -> list[str]:
    return [reply[:3] for reply in held(octets)[0]]


def test_a_session_as_postfix_has_it() -> None:
    """Two mails, pipelined; dots are unstuffed, and QUIT ends it."""
    script = (
        b"LHLO mail.example.org\r\n"
        b"MAIL FROM:<> SIZE=99 BODY=8BITMIME\r\nRCPT TO:<one@bounces.example.org> ORCPT=x\r\n"
        b"RCPT TO:<two@bounces.example.org>\r\nDATA\r\nSubject: x\r\n\r\n..dot\r\n...\r\n.\r\n"
        b'MAIL FROM:<"a b"@example.net>\r\nRCPT TO:<one@bounces.example.org>\r\nDATA\r\n.\r\nQUIT\r\n'
    )
    expected = ["220", "250", "250", "250", "250", "354", "250", "250", "354", "221"]
    for step in (1, 2, 7, 1_000_000):
        replies, mails, session = held(script, step)
        assert [reply[:3] for reply in replies] == expected
        assert mails == [
            ReceivedMail(
                "", ("one@bounces.example.org", "two@bounces.example.org"), b"Subject: x\r\n\r\n.dot\r\n..\r\n"
            ),
            ReceivedMail('"a b"@example.net', ("one@bounces.example.org",), b"\r\n"),
        ]
        assert session.is_over
    greeting = replies[1].split("\r\n")
    assert greeting == [
        "250-mail.example.org",
        "250-PIPELINING",
        "250-ENHANCEDSTATUSCODES",
        "250-8BITMIME",
        "250-SMTPUTF8",
        "250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE",
        "",
    ]


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"EHLO mail\r\nHELO mail\r\n", "220 500 500"),
        (b"LHLO\r\nLHLO \r\nVRFY x\r\n\r\n", "220 500 500 500 500"),
        (b"MAIL FROM:<>\r\n", "220 503"),
        (b"LHLO x\r\nRCPT TO:<one@bounces.example.org>\r\nDATA\r\n", "220 250 503 503"),
        (b"LHLO x\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\n", "220 250 250 503"),
        (b"LHLO x\r\nMAIL FROM:<a\r\nMAIL FROM: a\r\nMAIL TO:<a>\r\nmail from: <a@b>\r\n", "220 250 501 501 501 250"),
        (
            ENVELOPE + b"RCPT TO:<>\r\nRCPT TO:<a b>\r\nRCPT TO:<\xff@x>\r\nDATA x\r\n",
            "220 250 250 250 501 501 451 500",
        ),
        (b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<jane@example.org>\r\nDATA\r\n", "220 250 250 451 503"),
        (ENVELOPE + b"RSET\r\nDATA\r\nNOOP\r\n", "220 250 250 250 250 503 250"),
        (ENVELOPE + b"LHLO y\r\nDATA\r\n", "220 250 250 250 250 503"),
        (b"QUIT\r\nNOOP\r\n", "220 221"),
    ],
)
def test_what_is_out_of_order_or_no_command_is_refused(octets: bytes, expected: str) -> None:
    """Each command has its reply, and a mail needs greeting, sender and recipient, in that order."""
    assert codes(octets) == expected.split()


@pytest.mark.parametrize("end", [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b".\r\n"])
def test_only_one_end_ends_a_mail(end: bytes) -> None:
    """Nothing behind another is taken for a command (SMTP smuggling): it is part of the mail."""
    inside = b"x" + end + b"MAIL FROM:<evil@example.net>\r\n"
    replies, mails, _ = held(ENVELOPE + b"DATA\r\n" + inside + b"\r\n.\r\n")
    assert [reply[:3] for reply in replies] == ["220", "250", "250", "250", "354"]
    assert [mail.octets for mail in mails] == [inside.replace(b"\r\n.", b"\r\n") + b"\r\n"]


def test_of_a_large_mail_the_head_is_kept() -> None:
    """It is taken all the same, in memory that is bounded, and the session goes on."""
    line = b"." * 61 + b"\r\n"
    session = LmtpSession("mail.example.org", refusal)
    session.feed(ENVELOPE + b"DATA\r\nSubject: x\r\n\r\n")
    while isinstance(session.next_event(), bytes):
        pass
    for _ in range(600):
        session.feed(line * 100)
        assert session.next_event() is None
        assert session._body is not None
        assert len(session._body) + len(session._buffer) <= 2 * MAX_OCTETS + 10
    session.feed(b".\r\nNOOP\r\n")
    mail = session.next_event()
    assert isinstance(mail, ReceivedMail)
    assert len(mail.octets) == MAX_OCTETS
    assert mail.octets.startswith(b"Subject: x\r\n\r\n" + line[1:] * 3)
    assert session.next_event() == b"250 2.0.0 Ok\r\n"


def test_a_session_that_goes_wrong_ends() -> None:
    """Too many errors, or a line that does not end; nothing after it is looked at."""
    replies, _, session = held(b"x\r\n" * (MAX_ERRORS + 5))
    assert replies[1:] == ["500 5.5.2 No such command\r\n"] * MAX_ERRORS + ["421 4.7.0 Too many errors\r\n"]
    assert session.is_over
    assert codes(b"x" * MAX_LINE_OCTETS + b"\r\n") == ["220", "500"]
    for step in (1, 1_000_000):
        replies, _, session = held(b"x" * (MAX_LINE_OCTETS + 2) + b"\r\nNOOP\r\n", step)
        assert replies[1:] == ["500 5.5.6 Line too long\r\n"]
        assert session.is_over


def test_too_many_recipients_come_again_in_another_mail() -> None:
    """A temporary refusal of those past the limit."""
    script = ENVELOPE + b"RCPT TO:<two@bounces.example.org>\r\n" * MAX_RECIPIENTS
    assert codes(script)[-2:] == ["250", "452"]


_LINES = st.sampled_from(
    [*ENVELOPE.splitlines(keepends=True), b"DATA\r\n", b".\r\n", b"..\r\n", b"RSET\r\n", b"x\n", b"\r", b"QUIT\r\n"]
)


@given(st.lists(st.one_of(_LINES, st.binary(max_size=40)), max_size=25).map(b"".join), st.integers(1, 9))
def test_any_octets_give_the_same_session_however_they_arrive(octets: bytes, step: int) -> None:
    """Every reply is a line of ASCII; no mail is without a recipient."""
    replies, mails, session = held(octets)
    pieces = held(octets, step)
    assert (replies, mails) == pieces[:2]
    assert session.is_over == pieces[2].is_over
    assert all(reply.isascii() and reply.endswith("\r\n") for reply in replies)
    assert all(mail.recipients for mail in mails)


def test_the_limits_are_those_of_the_reader() -> None:
    """What is kept of a mail is what is looked at."""
    from postroom.bounces import mime

    assert lmtp.MAX_OCTETS == mime.MAX_OCTETS


@pytest.mark.parametrize(
    ("told", "client"),
    [
        (FORWARDED % b"203.0.113.5", ForwardedClient("203.0.113.5", "4CAB11")),
        (FORWARDED % b"IPV6:2001:db8::5", ForwardedClient("2001:db8::5", "4CAB11")),
        (FORWARDED % b"[UNAVAILABLE]", ForwardedClient("", "4CAB11")),
        (b"XFORWARD SOURCE=LOCAL\r\n", ForwardedClient("", "")),
        (b"", None),
        (b"XFORWARD ADDR=203.0.113.5\r\nRSET\r\n", None),
        (b"XFORWARD\r\nXFORWARD ADDR\r\nXFORWARD ADDR=a+\r\n", None),
    ],
)
def test_postfix_tells_where_a_mail_came_from(told: bytes, client: ForwardedClient | None) -> None:
    """By XFORWARD, before MAIL, of that mail alone; what is no attribute tells nothing."""
    envelope = ENVELOPE.partition(b"\r\n")[2] + b"DATA\r\nx\r\n.\r\n"
    _, mails, _ = held(b"LHLO mail\r\n" + told + envelope + envelope)
    assert [mail.client for mail in mails] == [client, None]
    assert codes(b"XFORWARD ADDR=203.0.113.5\r\n")[-1] == "503"
    assert codes(ENVELOPE + b"XFORWARD ADDR=203.0.113.5\r\n")[-1] == "503"
