"""records.py: what Postfix says is read, whatever a stranger puts into the same line."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.watcher.log_lines import active, line, tried

from postroom.watcher.records import (
    MAX_TEXT,
    Active,
    Connected,
    Delivery,
    Disconnected,
    Expired,
    Held,
    Line,
    MessageId,
    Notified,
    Received,
    Record,
    Refused,
    Removed,
    Started,
    Stopping,
    line_of_entry,
    line_of_file,
    record,
)

ZONE = timezone(timedelta(hours=1))
NOW = datetime(2026, 11, 24, 12, tzinfo=ZONE)
TEXT = st.text(max_size=120)
FORGED = ">, relay=none, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (250 Ok"
HOSTILE = st.one_of(
    TEXT,
    st.lists(
        st.sampled_from(
            [
                FORGED,
                "to=<x@y>, ",
                "status=sent (",
                "dsn=2.0.0, ",
                "orig_to=<a@b>, ",
                "<",
                ">",
                '"',
                "\\",
                ")",
                "(",
                ", ",
            ]
        ),
        max_size=8,
    ).map("".join),
)


def quoted(local: str) -> str:
    """A local part as Postfix writes one that needs quotes (quote_822_local.c): control characters as ?."""
    inside = re.sub(r'(["\\])', r"\\\1", "".join(char if char.isprintable() else "?" for char in local))
    return f'"{inside}"'


LINES: list[tuple[str, str, Record | None]] = [
    ("smtpd", "connect from localhost[127.0.0.1]", Connected()),
    ("smtpd", "connect from mx.example.net[2001:db8::1]", Connected()),
    (
        "smtpd",
        "disconnect from localhost[127.0.0.1] ehlo=1 mail=2 rcpt=2 data=2 quit=1 commands=8",
        Disconnected(0),
    ),
    ("smtpd", "disconnect from localhost[127.0.0.1] ehlo=1 noop=37 quit=1 commands=39", Disconnected(37)),
    ("smtpd", "disconnect from localhost[127.0.0.1] ehlo=1 noop=2/3 commands=3/4", Disconnected(2)),
    ("smtpd", "disconnect from unknown[unknown] commands=0/0", Disconnected(0)),
    ("smtpd", "NOQUEUE: reject: RCPT from x[192.0.2.1]: 554 5.7.1 <a@b.c>: Relay access denied", Refused()),
    ("smtpd", "4jYR8z75TxzJrGq: client=localhost[127.0.0.1]", Received("4jYR8z75TxzJrGq")),
    ("smtpd", "913AA2144D6: client=x[192.0.2.1], sasl_method=PLAIN, sasl_username=jane", Received("913AA2144D6")),
    ("smtpd", "NOQUEUE: client=x[192.0.2.1]", None),
    ("smtpd", "lost connection after DATA (0 bytes) from localhost[127.0.0.1]", None),
    ("cleanup", "913AA2144D6: message-id=<a@example.org>", MessageId("913AA2144D6", "a@example.org")),
    ("cleanup", "913AA2144D6: message-id=<>", MessageId("913AA2144D6", "")),
    ("cleanup", "913AA2144D6: resent-message-id=<b@x> , odd", MessageId("913AA2144D6", "<b@x> , odd")),
    (
        "cleanup",
        (
            "913AA2144D6: hold: header Subject: x; from=<forged@example.org> y from localhost[127.0.0.1]; "
            "from=<prx@bounces.example.org> to=<a@b.c> proto=ESMTP helo=<mail>: why"
        ),
        Held("913AA2144D6", "prx@bounces.example.org"),
    ),
    (
        "cleanup",
        (
            "913AA2144D6: milter-hold: END-OF-MESSAGE from localhost[127.0.0.1]: milter triggers HOLD action; "
            "from=<prx@bounces.example.org> to=<a@b.c> proto=ESMTP helo=<mail>"
        ),
        Held("913AA2144D6", "prx@bounces.example.org"),
    ),
    ("cleanup", "913AA2144D6: milter-reject: END-OF-MESSAGE from x[1.2.3.4]: 5.7.1 no; from=<a@b.c>", None),
    ("qmgr", active("4jYR8z75TxzJrGq", "app@client.test"), Active("4jYR8z75TxzJrGq", "app@client.test", 324, 1)),
    ("qmgr", active("4jYR8z75TxzJrGq", ""), Active("4jYR8z75TxzJrGq", "", 324, 1)),
    ("qmgr", "913AA2144D6: from=<a@b.c>, size=1, nrcpt=1 (queue incoming)", None),
    ("qmgr", "913AA2144D6: from=<a@b.c>, status=expired, returned to sender", Expired("913AA2144D6", "a@b.c")),
    ("qmgr", "913AA2144D6: from=<>, status=force-expired, returned to sender", Expired("913AA2144D6", "")),
    ("qmgr", "913AA2144D6: removed", Removed("913AA2144D6")),
    ("nqmgr", "913AA2144D6: removed", Removed("913AA2144D6")),
    (
        "bounce",
        "913AA2144D6: sender non-delivery notification: 1DF35917A",
        Notified("913AA2144D6", "sender", "non-delivery", "1DF35917A"),
    ),
    (
        "bounce",
        "913AA2144D6: sender delivery status notification: 1DF35917A",
        Notified("913AA2144D6", "sender", "delivery status", "1DF35917A"),
    ),
    (
        "bounce",
        "913AA2144D6: postmaster non-delivery notification: 1DF35917A",
        Notified("913AA2144D6", "postmaster", "non-delivery", "1DF35917A"),
    ),
    ("postfix-script", "stopping the Postfix mail system", Stopping()),
    ("master", "terminating on signal 15", Stopping()),
    ("master", "daemon started -- version 3.7.11, configuration /etc/postfix", Started()),
    ("master", "reload -- version 3.7.11, configuration /etc/postfix", None),
    ("smtp", "connect to mx.dead.test[127.0.0.9]:25: Connection refused", None),
    ("smtp", "913AA2144D6: host mx[1.2.3.4] said: 450 4.7.1 later (in reply to RCPT TO command)", None),
    ("anvil", "statistics: max connection count 1 for (smtpd:192.0.2.1) at Oct 26 18:13:50", None),
    ("smtp", "", None),
]


@pytest.mark.parametrize(("daemon", "text", "expected"), LINES)
def test_a_line_is_read(daemon: str, text: str, expected: Record | None) -> None:
    """Each form of Postfix's, with short and long queue ids; what is not followed is None."""
    assert record(line(daemon, text)) == expected
    assert record(line(daemon, text, "postfix-out/some-service")) == expected


@pytest.mark.parametrize("daemon", ["smtp", "lmtp", "local", "virtual", "pipe", "error", "retry", "discard", "qmgr"])
def test_a_delivery_is_read_whoever_logs_it(daemon: str) -> None:
    """All its fields, with those that stand only in some lines."""
    text = (
        '4jYR900GXFzJrJD: to=<ok@good.test>, orig_to=<"a b"@alias.test>, relay=mx1.good.test[127.0.0.2]:25, '
        "conn_use=2, delay=582, delays=563/16/1.7/0.81, tls=dane/!requiretls:nocertmatch, dsn=2.0.0, "
        "status=sent (250 2.0.0 Ok: queued as EECF7E07)"
    )
    assert record(line(daemon, text)) == Delivery(
        "4jYR900GXFzJrJD",
        "ok@good.test",
        '"a b"@alias.test',
        "mx1.good.test[127.0.0.2]:25",
        582.0,
        (563.0, 16.0, 1.7, 0.81),
        "2.0.0",
        "sent",
        "250 2.0.0 Ok: queued as EECF7E07",
        is_plain=True,
    )


@given(HOSTILE)
@example(f"host x said: 550 {FORGED}")
@example("x), dsn=2.0.0, status=sent (250 Ok")
def test_the_far_ends_words_never_change_the_outcome(reply: str) -> None:
    """Whatever the reply is, recipient, code and status are those that stand before it."""
    read = record(line("smtp", tried("913AA2144D6", dsn="5.1.1", status="bounced", reason=reply)))
    assert isinstance(read, Delivery)
    assert (read.to, read.orig_to, read.relay) == ("jane@example.net", None, "mx.example.net[192.0.2.2]:25")
    assert (read.dsn, read.status) == ("5.1.1", "bounced")
    assert read.reason in (reply, reply.removesuffix(")"))
    assert read.is_plain == (", status=" not in reply)


@given(HOSTILE, HOSTILE)
@example(f"a@b{FORGED}", "550 no")
@example(f'a"@b{FORGED}', f"550 {FORGED}")
def test_a_recipients_local_part_never_changes_the_outcome(local: str, original: str) -> None:
    """Quoted as Postfix quotes it, the whole of it is the address, before and after rewriting."""
    to, before = f"{quoted(local)}@example.net", f"{quoted(original)}@example.com"
    text = tried("913AA2144D6", to, "5.1.1", "bounced", f"550 5.1.1 <{to}> unknown", f"orig_to=<{before}>, ")
    read = record(line("smtp", text))
    assert isinstance(read, Delivery)
    assert (read.to, read.orig_to, read.dsn, read.status) == (to, before, "5.1.1", "bounced")


@given(HOSTILE)
@example("a>, size=1, nrcpt=1 (queue active)")
@example("a>, status=expired, returned to sender")
def test_a_senders_local_part_never_changes_what_qmgr_says(local: str) -> None:
    """The end of the line is Postfix's own: an active mail is not expired, nor the other way round."""
    sender = f"{quoted(local)}@example.org"
    assert record(line("qmgr", active("913AA2144D6", sender))) == Active("913AA2144D6", sender, 324, 1)
    expired = f"913AA2144D6: from=<{sender}>, status=expired, returned to sender"
    assert record(line("qmgr", expired)) == Expired("913AA2144D6", sender)


@given(st.sampled_from(["smtpd", "cleanup", "qmgr", "bounce", "smtp", "master", "x"]), st.one_of(HOSTILE, TEXT))
def test_any_text_is_read_or_passed_over(daemon: str, text: str) -> None:
    """Nothing raises."""
    record(line(daemon, text))
    record(line(daemon, f"913AA2144D6: {text}"))
    record(line(daemon, f"913AA2144D6: to=<{text}"))


@given(st.binary(max_size=200))
@example(b"Jan: 1 00:00:00 host postfix/smtp[1]: foo")
@example(b"Feb 30 00:00:00 host postfix/smtp[1]: foo")
@example(b"2026-13-45T99:99:99+00:00 host postfix/smtp[1]: foo")
@example(b"Jan 1 00:00:00 host postfix1[12345]: foo")
@example(b"Nov 24 02:10:10 host kernel: usb 1-1: new device")
@example(b"0001-01-01T00:00:00+14:00 host postfix/smtp[1]: foo")
def test_any_octets_of_a_file_are_a_line_or_none(octets: bytes) -> None:
    """Nothing raises; what is a line has a time and a program."""
    read = line_of_file(octets, NOW)
    assert read is None or (read.daemon and read.syslog_name and isinstance(read.at, float))


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        ("Nov 24 02:10:10", datetime(2026, 11, 24, 2, 10, 10, tzinfo=ZONE)),
        ("Nov  4 02:10:10", datetime(2026, 11, 4, 2, 10, 10, tzinfo=ZONE)),
        ("Nov 25 11:59:59", datetime(2026, 11, 25, 11, 59, 59, tzinfo=ZONE)),
        ("Dec 31 23:59:60", datetime(2025, 12, 31, 23, 59, 59, tzinfo=ZONE)),
        ("2026-11-24T02:10:10.123456+00:00", datetime(2026, 11, 24, 2, 10, 10, 123456, tzinfo=UTC)),
        ("2026-11-24T02:10:10Z", datetime(2026, 11, 24, 2, 10, 10, tzinfo=UTC)),
    ],
)
def test_both_kinds_of_times_are_read(stamp: str, at: datetime) -> None:
    """RFC 3164 has no year and no zone: it is of the last twelve months, in the zone given."""
    read = line_of_file(f"{stamp} mail postfix/postroom-in/smtpd[543]: connect from x[1.2.3.4]".encode(), NOW)
    assert read == Line("postfix/postroom-in", "smtpd", 543, at.timestamp(), "connect from x[1.2.3.4]")


def test_a_line_postfix_has_cut_keeps_its_outcome() -> None:
    """It cuts at 2,000 octets, inside the reply; a line cut before is none."""
    text = tried("913AA2144D6", dsn="5.1.1", status="bounced", reason="550 5.1.1 " + "x" * 3000)[:2000]
    read = record(line("smtp", text))
    assert isinstance(read, Delivery)
    assert (read.status, read.reason[-5:]) == ("bounced", "xxxxx")
    for end in range(text.index(" (550") + 2):
        assert record(line("smtp", text[:end])) is None, text[:end]


def test_a_line_without_end_costs_no_more_than_its_limit() -> None:
    """A megabyte is cut, and so is read in no time."""
    read = line_of_file(b"Nov 24 02:10:10 mail postfix/smtp[1]: 913AA2144D6: to=<" + b'"\\' * 500_000, NOW)
    assert read is not None
    assert len(read.text) <= MAX_TEXT
    assert record(read) is None


@pytest.mark.parametrize("identifier", ["postfix", "", "/smtp", "postfix/", "sudo"])
def test_other_programs_have_no_line(identifier: str) -> None:
    """Postfix's programs name themselves instance/program."""
    assert line_of_entry(identifier, 1, 0.0, "removed") is None
