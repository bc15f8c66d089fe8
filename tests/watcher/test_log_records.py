"""records/parse.py: what Postfix says is read, whatever a stranger puts into the same line."""

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.watcher.log_lines import active, line, tried

from postroom.watcher.lines import MAX_TEXT
from postroom.watcher.records.parse import parse_record
from postroom.watcher.records.types import (
    Acted,
    Active,
    AttemptFailed,
    Connected,
    ConnectFailed,
    ConnectionLost,
    CutOff,
    Delivery,
    Disconnected,
    Expired,
    Logged,
    MessageId,
    Notified,
    Operated,
    PickedUp,
    PutOnHold,
    Received,
    Record,
    Removed,
    Skipped,
    Started,
    Statistics,
    Stopping,
    TlsEstablished,
)

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


ID = "913AA2144D6"
FROM_MILTER = "END-OF-MESSAGE from x[192.0.2.1]: 5.7.1 no; from=<a@b.c> to=<d@e.f> proto=ESMTP helo=<mail>"

LINES: list[tuple[str, str, Record | None]] = [
    ("smtpd", "connect from localhost[127.0.0.1]", Connected()),
    ("smtpd", "connect from mx.example.net[2001:db8::1]", Connected()),
    (
        "smtpd",
        "disconnect from x[192.0.2.1] ehlo=1 noop=2/3 commands=3/4",
        Disconnected("ehlo=1 noop=2/3 commands=3/4"),
    ),
    ("smtpd", "disconnect from x[192.0.2.1]", Disconnected("")),
    ("smtpd", "NOQUEUE: reject: RCPT from x[192.0.2.1]: 554 5.7.1 <a@b.c>: denied", Acted(None, "reject", None)),
    ("smtpd", "NOQUEUE: reject_warning: RCPT from x[192.0.2.1]: 554 5.7.1 no", Acted(None, "reject_warning", None)),
    ("smtpd", f"{ID}: warn: RCPT from x[192.0.2.1]: why; from=<a@b.c> to=<d@e.f>", Acted(ID, "warn", "a@b.c")),
    ("smtpd", f"{ID}: hold: RCPT from x[192.0.2.1]: why; from=<a@b.c> to=<d@e.f>", Acted(ID, "hold", "a@b.c")),
    ("smtpd", f"{ID}: filter: RCPT from x[192.0.2.1]: why; from=<> to=<d@e.f>", Acted(ID, "filter", "")),
    ("smtpd", f"NOQUEUE: milter-reject: {FROM_MILTER}", Acted(None, "milter-reject", None)),
    ("smtpd", "proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as 913AA2144D6; from=<a@b.c>", None),
    ("smtpd", f"{ID}: client=localhost[127.0.0.1]", Received(ID, "localhost[127.0.0.1]", {})),
    ("smtpd", "NOQUEUE: client=x[192.0.2.1]:4711", Received(None, "x[192.0.2.1]:4711", {})),
    (
        "smtpd",
        (
            f"{ID}: client=x[192.0.2.1], orig_queue_id=4jYR8z75TxzJrGq, orig_client=y[192.0.2.2], sasl_method=PLAIN, "
            "sasl_username=jane, of x@b.c, sasl_sender=s@b.c"
        ),
        Received(
            ID,
            "x[192.0.2.1]",
            {
                "orig_queue_id": "4jYR8z75TxzJrGq",
                "orig_client": "y[192.0.2.2]",
                "sasl_method": "PLAIN",
                "sasl_username": "jane, of x@b.c",
                "sasl_sender": "s@b.c",
            },
        ),
    ),
    ("smtpd", "lost connection after DATA (0 bytes) from localhost[127.0.0.1]", ConnectionLost()),
    ("smtpd", "timeout after END-OF-MESSAGE from localhost[127.0.0.1]", ConnectionLost()),
    ("smtpd", "too many errors after RCPT from localhost[127.0.0.1]", ConnectionLost()),
    ("smtpd", "SSL_accept error from x[192.0.2.1]: lost connection", ConnectionLost()),
    ("smtpd", "Anonymous TLS connection established from x[192.0.2.1]: TLSv1.3 with cipher y", TlsEstablished()),
    ("smtp", "Verified TLS connection reused to mx[192.0.2.1]:25: TLSv1.3 with cipher y", TlsEstablished()),
    ("tlsproxy", "Untrusted TLS connection established from [192.0.2.1]:4711: TLSv1.3", TlsEstablished()),
    ("postscreen", "NOQUEUE: reject: RCPT from [192.0.2.1]:4711: 550 5.5.1 no", Acted(None, "reject", None)),
    ("postscreen", "CONNECT from [192.0.2.1]:4711 to [192.0.2.9]:25", None),
    ("pickup", f"{ID}: uid=1000 from=<root>", PickedUp(ID, 1000, "root", None)),
    ("pickup", f"{ID}: uid=110 from=<a@b.c> orig_id=4jYR8z75TxzJrGq", PickedUp(ID, 110, "a@b.c", "4jYR8z75TxzJrGq")),
    ("cleanup", f"{ID}: message-id=<a@example.org>", MessageId(ID, "<a@example.org>", is_resent=False)),
    ("cleanup", f"{ID}: message-id=<>", MessageId(ID, "<>", is_resent=False)),
    ("cleanup", f"{ID}: resent-message-id=<b@x> , odd", MessageId(ID, "<b@x> , odd", is_resent=True)),
    (
        "cleanup",
        (
            f"{ID}: hold: header Subject: x; from=<forged@example.org> y from localhost[127.0.0.1]; "
            "from=<prx@bounces.example.org> to=<a@b.c> proto=ESMTP helo=<mail>: why"
        ),
        PutOnHold(ID, "hold", "prx@bounces.example.org"),
    ),
    (
        "cleanup",
        (
            f"{ID}: milter-hold: END-OF-MESSAGE from localhost[127.0.0.1]: milter triggers HOLD action; "
            "from=<prx@bounces.example.org> to=<a@b.c> proto=ESMTP helo=<mail>"
        ),
        PutOnHold(ID, "milter-hold", "prx@bounces.example.org"),
    ),
    (
        "cleanup",
        f"{ID}: milter-hold: {FROM_MILTER[:-1]}; from=<forged@b.c> proto=SMTP helo=<>",
        Acted(ID, "milter-hold", None),
    ),
    ("cleanup", f"{ID}: milter-reject: {FROM_MILTER}", Acted(ID, "milter-reject", "a@b.c")),
    ("cleanup", f"{ID}: warning: header Subject: message-id=x from local; from=<a@b.c>", Acted(ID, "warning", "a@b.c")),
    (
        "cleanup",
        f"{ID}: milter-header-discard: header X: y from x[192.0.2.1];",
        Acted(ID, "milter-header-discard", None),
    ),
    ("qmgr", active("4jYR8z75TxzJrGq", "app@client.test"), Active("4jYR8z75TxzJrGq", "app@client.test", 324, 1)),
    ("qmgr", active("4jYR8z75TxzJrGq", ""), Active("4jYR8z75TxzJrGq", "", 324, 1)),
    ("qmgr", f"{ID}: from=a@b.c, size=1, nrcpt=2 (queue active)", Active(ID, "a@b.c", 1, 2)),
    ("qmgr", f"{ID}: from=<a@b.c>, size=1, nrcpt=1 (queue incoming)", None),
    ("qmgr", f"{ID}: from=<a@b.c>, status=expired, returned to sender", Expired(ID, "a@b.c", "expired")),
    ("qmgr", f"{ID}: from=<>, status=force-expired, returned to sender", Expired(ID, "", "force-expired")),
    ("qmgr", f"{ID}: removed", Removed(ID)),
    ("nqmgr", f"{ID}: removed", Removed(ID)),
    ("qmgr", f"{ID}: skipped, still being delivered", Skipped(ID)),
    ("postsuper", f"{ID}: removed", Operated(ID, "removed")),
    ("postsuper", f"{ID}: requeued", Operated(ID, "requeued")),
    ("postsuper", f"{ID}: placed on hold", Operated(ID, "placed on hold")),
    ("postsuper", f"{ID}: released from hold", Operated(ID, "released from hold")),
    ("postsuper", f"{ID}: expired", Operated(ID, "expired")),
    ("postsuper", "Deleted: 1 message", None),
    (
        "bounce",
        f"{ID}: sender non-delivery notification: 1DF35917A",
        Notified(ID, "sender", "non-delivery", "1DF35917A"),
    ),
    ("bounce", f"{ID}: sender delay notification: 1DF35917A", Notified(ID, "sender", "delay", "1DF35917A")),
    (
        "trace",
        f"{ID}: sender delivery status notification: 1DF35917A",
        Notified(ID, "sender", "delivery status", "1DF35917A"),
    ),
    (
        "bounce",
        f"{ID}: postmaster non-delivery notification: 1DF35917A",
        Notified(ID, "postmaster", "non-delivery", "1DF35917A"),
    ),
    ("bounce", f"{ID}: undeliverable postmaster notification discarded", None),
    ("postfix-script", "stopping the Postfix mail system", Stopping()),
    ("master", "terminating on signal 15", Stopping()),
    ("master", "daemon started -- version 3.7.11, configuration /etc/postfix", Started()),
    ("master", "reload -- version 3.7.11, configuration /etc/postfix", None),
    ("smtp", "connect to mx.dead.test[127.0.0.9]:25: Connection refused", ConnectFailed()),
    ("smtp", f"{ID}: host mx[1.2.3.4] said: 450 4.7.1 later (in reply to RCPT TO command)", AttemptFailed(ID)),
    ("smtp", f"{ID}: host mx[1.2.3.4] refused to talk to me: 421 later", AttemptFailed(ID)),
    ("lmtp", f"{ID}: conversation with mx[1.2.3.4] timed out while sending MAIL FROM", AttemptFailed(ID)),
    ("smtp", f"{ID}: lost connection with mx[1.2.3.4] while receiving the initial server greeting", AttemptFailed(ID)),
    ("smtp", f"{ID}: TLS is required, but was not offered by host mx[1.2.3.4]", AttemptFailed(ID)),
    ("smtp", f"{ID}: SASL authentication failed; server mx[1.2.3.4] said: 535 no", AttemptFailed(ID)),
    ("smtp", f"{ID}: enabling PIX workarounds: disable_esmtp for mx[1.2.3.4]:25", None),
    ("smtp", f"{ID}: replace: header Subject: x: Subject: y", Acted(ID, "replace", None)),
    ("anvil", "statistics: max connection count 1 for (smtpd:192.0.2.1) at Oct 26 18:13:50", Statistics()),
    ("scache", "statistics: start interval Oct 26 18:13:50", Statistics()),
    ("qmgr", f"warning: {ID}: removed", Logged("warning", ID)),
    ("smtp", "warning: 4jYR8z75TxzJrGq: defer service failure", Logged("warning", "4jYR8z75TxzJrGq")),
    ("smtpd", "warning: hostname: Name or service not known", Logged("warning", None)),
    ("postdrop", "fatal: uid=0: File too large", Logged("fatal", None)),
    ("cleanup", "panic: myfree: corrupt or unallocated memory block", Logged("panic", None)),
    ("postscreen", "error: open /example: No such file or directory", Logged("error", None)),
    ("verify", "cache btree:/var/lib/postfix/verify_cache full cleanup: retained=1 dropped=0 entries", None),
    ("smtp", "", None),
]


@pytest.mark.parametrize(("daemon", "text", "expected"), LINES)
def test_a_line_is_read(daemon: str, text: str, expected: Record | None) -> None:
    """Each form of Postfix's, with short and long queue ids; what is not followed is None."""
    assert parse_record(line(daemon, text)) == expected
    assert parse_record(line(daemon, text, "postfix-out/some-service")) == expected


@pytest.mark.parametrize("daemon", ["smtp", "lmtp", "local", "virtual", "pipe", "error", "retry", "discard", "qmgr"])
def test_a_delivery_is_read_whoever_logs_it(daemon: str) -> None:
    """All its fields, with those that stand only in some lines."""
    text = (
        '4jYR900GXFzJrJD: to=<ok@good.test>, orig_to=<"a b"@alias.test>, relay=mx1.good.test[127.0.0.2]:25, '
        "conn_use=2, delay=582, delays=563/16/1.7/0.81, tls=dane/!requiretls:nocertmatch, dsn=2.0.0, "
        "status=sent (250 2.0.0 Ok: queued as EECF7E07)"
    )
    assert parse_record(line(daemon, text)) == Delivery(
        "4jYR900GXFzJrJD",
        "ok@good.test",
        '"a b"@alias.test',
        "mx1.good.test[127.0.0.2]:25",
        "2",
        "582",
        "563/16/1.7/0.81",
        "dane/!requiretls:nocertmatch",
        "2.0.0",
        "sent",
        "250 2.0.0 Ok: queued as EECF7E07",
        is_plain=True,
        is_whole=True,
        is_bracketed=True,
    )


@pytest.mark.parametrize(
    ("text", "noops"),
    [("ehlo=1 quit=1", 0), ("noop=37 quit=1", 37), ("ehlo=1 noop=2/3", 2), ("noop=x", 0), ("noop=1234567890", 0)],
)
def test_noops_are_counted(text: str, noops: int) -> None:
    """Those that were taken, of those that were tried."""
    assert Disconnected(text).noops == noops


def test_fields_of_later_versions_are_passed_over() -> None:
    """Between the recipient and the status there may be more than is known today."""
    text = tried(ID).replace("delay=", "shard=7, delay=").replace("dsn=", "quic=yes, dsn=")
    assert parse_record(line("smtp", text)) == parse_record(line("smtp", tried(ID)))


@given(HOSTILE)
@example(f"host x said: 550 {FORGED}")
@example("x), dsn=2.0.0, status=sent (250 Ok")
def test_the_far_ends_words_never_change_the_outcome(reply: str) -> None:
    """Whatever the reply is, recipient, code and status are those that stand before it."""
    read = parse_record(line("smtp", tried("913AA2144D6", dsn="5.1.1", status="bounced", reason=reply)))
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
    read = parse_record(line("smtp", text))
    assert isinstance(read, Delivery)
    assert (read.to, read.orig_to, read.dsn, read.status) == (to, before, "5.1.1", "bounced")


@given(HOSTILE)
@example("a>, size=1, nrcpt=1 (queue active)")
@example("a>, status=expired, returned to sender")
def test_a_senders_local_part_never_changes_what_qmgr_says(local: str) -> None:
    """The end of the line is Postfix's own: an active mail is not expired, nor the other way round."""
    sender = f"{quoted(local)}@example.org"
    assert parse_record(line("qmgr", active("913AA2144D6", sender))) == Active("913AA2144D6", sender, 324, 1)
    expired = f"913AA2144D6: from=<{sender}>, status=expired, returned to sender"
    assert parse_record(line("qmgr", expired)) == Expired("913AA2144D6", sender, "expired")


@given(st.sampled_from(["smtpd", "cleanup", "qmgr", "bounce", "smtp", "master", "x"]), st.one_of(HOSTILE, TEXT))
def test_any_text_is_read_or_passed_over(daemon: str, text: str) -> None:
    """Nothing raises."""
    parse_record(line(daemon, text))
    parse_record(line(daemon, f"913AA2144D6: {text}"))
    parse_record(line(daemon, f"913AA2144D6: to=<{text}"))


def test_a_line_postfix_has_cut_keeps_its_outcome() -> None:
    """It cuts at 2,000 octets, inside the reply; a line cut before is none."""
    text = tried("913AA2144D6", dsn="5.1.1", status="bounced", reason="550 5.1.1 " + "x" * 3000)[:2000]
    read = parse_record(line("smtp", text))
    assert isinstance(read, Delivery)
    assert (read.status, read.reason[-5:], read.is_whole) == ("bounced", "xxxxx", False)
    for end in range(text.index(" (550") + 2):
        assert parse_record(line("smtp", text[:end])) in (None, CutOff()), text[:end]
    assert parse_record(line("smtp", text[: text.index(", status")])) == CutOff()


@pytest.mark.parametrize(
    "part", ['"\\', '"a"', "; from=<", ", sasl_username=", "a>, ", "x=y, ", "/", "<", "a b=", "[", " "]
)
@pytest.mark.parametrize(
    ("daemon", "begin"),
    [
        ("smtp", "to=<"),
        ("smtp", "to=<a>, "),
        ("smtp", 'to=<"'),
        ("smtp", "to=<a>, relay=x, "),
        ("qmgr", "from=<"),
        ("cleanup", "hold: "),
        ("smtpd", "client=x[192.0.2.1]"),
        ("smtpd", "client="),
        ("pickup", "uid=1 from=<"),
    ],
)
def test_a_line_made_to_be_slow_is_read_in_no_time(daemon: str, begin: str, part: str) -> None:
    """The time a line takes grows with its length and no faster."""
    ends = ("", " (queue active)", ", dsn=2.0.0, status=sent (x)", ">, size=1, nrcpt=x (queue active)")
    began = time.process_time()
    for end in ends:
        parse_record(line(daemon, f"{ID}: {begin}{part * (MAX_TEXT // len(part))}{end}"))
    assert time.process_time() - began < 0.5
