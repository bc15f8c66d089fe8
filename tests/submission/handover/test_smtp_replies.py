"""smtp.py: whatever Postfix sends is a reply or a SmtpProtocolError, and no body of ours can end itself early."""

import re
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postroom.mail.status import Reply
from postroom.submission.handover.smtp import (
    END_OF_DATA,
    MAX_LINE,
    MAX_LINES,
    Disposition,
    PeerRefusal,
    ReplyReader,
    SmtpProtocolError,
    ehlo,
    envelope,
    queue_id,
    refusal_of_body,
    refusal_of_envelope,
    stuffed,
)

OK = Reply(250, "2.1.0", "Ok")
GO_ON = Reply(354, None, "End data with <CR><LF>.<CR><LF>")

reply_like = st.lists(
    st.tuples(
        st.sampled_from([b"250", b"354", b"451", b"550", b"220", b"99", b"650", b"25", b"2500", b""]),
        st.sampled_from([b" ", b"-", b"", b"_", b"\t"]),
        st.binary(max_size=20),
        st.sampled_from([b"\r\n", b"\n", b"\r", b""]),
    ).map(b"".join),
    max_size=12,
).map(b"".join)


def read(pieces: Iterable[bytes]) -> list[Reply] | str:
    """The replies in these pieces, or the word that they are none."""
    reader, replies = ReplyReader(), []
    try:
        for piece in pieces:
            replies += reader.feed(piece)
    except SmtpProtocolError:
        return "no SMTP"
    return replies


def octet_by_octet(octets: bytes) -> list[bytes]:
    return [octets[at : at + 1] for at in range(len(octets))]


def unstuffed(sent: bytes) -> bytes:
    """What a plain server makes of what follows 354, up to the final dot (RFC 5321 §4.5.2)."""
    lines = sent.split(b"\r\n")
    end = lines.index(b".")
    assert lines[end + 1 :] == [b""], "nothing may follow the final dot"
    return b"".join(line.removeprefix(b".") + b"\r\n" for line in lines[:end])


def plain_lines(body: bytes) -> bytes:
    """A body with every line end a CRLF, said another way than the code under test says it."""
    return body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


# Replies


@given(st.one_of(st.binary(max_size=400), reply_like))
@example(b"250-a\r\n451 b\r\n")
@example(b"250\r\n")
def test_any_octets_are_replies_or_no_smtp_whole_and_octet_by_octet(octets: bytes) -> None:
    """Where the network cuts decides nothing."""
    assert read([octets]) == read(octet_by_octet(octets))


@given(st.lists(st.tuples(st.integers(200, 599), st.lists(st.sampled_from(["a", "", "2.0.0 x", "é"]), min_size=1))))
def test_replies_written_by_the_book_are_read_back(replies: list[tuple[int, list[str]]]) -> None:
    """Codes and lines come out as they went in, however many replies share a packet."""
    written = b""
    for code, lines in replies:
        written += "".join(f"{code}-{line}\r\n" for line in lines[:-1]).encode()
        written += f"{code} {lines[-1]}\r\n".encode()
    expected = [code for code, _ in replies]
    found = read([written])
    assert not isinstance(found, str)
    assert [reply.code for reply in found] == expected


def test_a_reply_of_several_lines_is_one_reply() -> None:
    """EHLO's offers come as one text; the enhanced status is taken out of it."""
    (offers,) = ReplyReader().feed(b"250-mail.example.org\r\n250-PIPELINING\r\n250 DSN\r\n")
    assert offers == Reply(250, None, "mail.example.org PIPELINING DSN")
    (refused,) = ReplyReader().feed(b"550-5.1.1 <a@b>: no\r\n550 5.1.1 such user\r\n")
    assert (refused.code, refused.enhanced_status) == (550, "5.1.1")


@pytest.mark.parametrize(
    "octets",
    [
        b"250-one\r\n251 two\r\n",
        b"hello\r\n",
        b"250_x\r\n",
        b"150 too early\r\n",
        b"650 too late\r\n",
        b"2500 x\r\n",
        b"\r\n",
        b"250 a\rb\r\n",
        b"250 " + b"x" * MAX_LINE + b"\r\n",
        b"x" * (MAX_LINE + 2),
        b"250-x\r\n" * (MAX_LINES + 1),
    ],
    ids=[
        "mixed codes",
        "words",
        "no separator",
        "1xx",
        "6xx",
        "four digits",
        "empty line",
        "bare CR",
        "long line",
        "endless line",
        "endless reply",
    ],
)
def test_what_is_no_smtp_is_refused(octets: bytes) -> None:
    """A peer that cannot be understood ends the session; nothing is guessed."""
    with pytest.raises(SmtpProtocolError):
        ReplyReader().feed(octets)


def test_the_longest_line_and_the_longest_reply_still_pass() -> None:
    """The limits are limits, not one less."""
    written = b"250 " + b"x" * (MAX_LINE - 4) + b"\r\n"
    assert read([written]) == read(octet_by_octet(written)) == [Reply(250, None, "x" * (MAX_LINE - 4))]
    (many,) = ReplyReader().feed(b"250-x\r\n" * (MAX_LINES - 1) + b"250 x\r\n")
    assert many.text.split() == ["x"] * MAX_LINES


# Commands


def test_the_envelope_is_one_group_of_three_commands() -> None:
    """RET and ENVID only where DSN is offered (RFC 3461 §4)."""
    assert envelope("t@bounces.example.org", "a@example.net", "0192", dsn=True) == (
        b"MAIL FROM:<t@bounces.example.org> RET=HDRS ENVID=0192\r\nRCPT TO:<a@example.net>\r\nDATA\r\n"
    )
    assert envelope("t@b.example", "a@example.net", "0192", dsn=False).startswith(b"MAIL FROM:<t@b.example>\r\n")
    assert ehlo("mail.example.org") == b"EHLO mail.example.org\r\n"


@given(st.one_of(st.binary(max_size=300), st.text("\r\n.a", max_size=60).map(str.encode)))
@example(b"")
@example(b".")
@example(b".\r\n.\r\n..\r\n")
@example(b"a\r\n.\r\nMAIL FROM:<smuggled@example.org>\r\n")
@example(b"a\n.\nMAIL FROM:<x@example.org>\n")
@example(b"a\r.\rMAIL FROM:<x@example.org>\r")
@example(b"a\r\n.\rb")
@example(b"\r\r\n.\r\n")
def test_a_body_arrives_as_it_is_and_cannot_end_itself(body: bytes) -> None:
    """A plain server reads the whole body and nothing after its dot; no CR or LF ever stands alone."""
    sent = stuffed(body)
    assert re.search(rb"\r(?!\n)|(?<!\r)\n", sent) is None
    arrived = unstuffed(sent + END_OF_DATA)
    expected = plain_lines(body)
    assert arrived == (expected if expected.endswith(b"\r\n") else expected + b"\r\n")


# Answers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ok: queued as 4XyZ1k2bQvz6Qb", "4XyZ1k2bQvz6Qb"),
        ("Ok: queued as 1A2B3C4D5E", "1A2B3C4D5E"),
        ("Ok: queued as ABCDEF", "ABCDEF"),
        ("Ok: queued as", None),
        ("Ok: queued as ABC", None),
        ("Ok: queued as 4XyZ1k2 and more", None),
        ("Ok: queued as 4X-Z1k2", None),
        ("Ok", None),
        ("", None),
    ],
)
def test_the_queue_id_is_read_from_the_answer(text: str, expected: str | None) -> None:
    """Long and short queue ids (postconf(5), enable_long_queue_ids); None where there is no certain one."""
    assert queue_id(Reply(250, "2.0.0", text)) == expected


@pytest.mark.parametrize(
    ("mail", "rcpt", "data", "expected"),
    [
        (OK, OK, GO_ON, None),
        (Reply(452, "4.3.1", "Insufficient system storage"), OK, GO_ON, Disposition.RETRY),
        (Reply(552, "5.3.4", "Message size exceeds fixed limit"), OK, OK, Disposition.FAIL),
        (Reply(552, None, "too big"), OK, OK, Disposition.FAIL),
        (Reply(553, "5.1.8", "Sender address rejected"), OK, OK, Disposition.RETRY),
        (OK, Reply(550, "5.1.1", "User unknown"), Reply(554, "5.5.1", "No valid recipients"), Disposition.FAIL),
        (OK, Reply(552, "5.2.2", "Mailbox full"), OK, Disposition.FAIL),
        (OK, Reply(554, "5.7.1", "Relay access denied"), OK, Disposition.RETRY),
        (OK, Reply(550, None, "no"), OK, Disposition.RETRY),
        (OK, Reply(450, "4.1.2", "Domain not found"), OK, Disposition.RETRY),
        (OK, Reply(250, "5.1.1", "said two things"), GO_ON, None),
        (OK, OK, Reply(451, "4.3.0", "Error: queue file write error"), Disposition.RETRY),
        (OK, OK, Reply(554, "5.5.1", "No valid recipients"), Disposition.RETRY),
        (OK, OK, OK, Disposition.RETRY),
    ],
)
def test_a_refused_envelope_fails_only_for_recipient_or_size(
    mail: Reply, rcpt: Reply, data: Reply, expected: Disposition | None
) -> None:
    """Anything else is a fault of the wiring: the mail waits until somebody mends it."""
    refusal = refusal_of_envelope(mail, rcpt, data)
    assert (None if refusal is None else refusal.verdict) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Reply(250, "2.0.0", "Ok: queued as ABCDEF"), None),
        (Reply(451, "4.7.1", "try later"), Disposition.RETRY),
        (Reply(421, None, "closing"), Disposition.RETRY),
        (Reply(550, "5.7.1", "Content rejected"), Disposition.FAIL),
        (Reply(552, "5.3.4", "Message too big"), Disposition.FAIL),
    ],
)
def test_a_refused_body_fails_when_the_refusal_is_permanent(answer: Reply, expected: Disposition | None) -> None:
    """What is said of the body is said of this message."""
    assert refusal_of_body(answer) == (None if expected is None else PeerRefusal(expected, answer))
