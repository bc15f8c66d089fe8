"""What smtp-sink stored is read back as it came."""

import contextlib
import smtplib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandbox.process import BedError
from sandbox.sink import Sink, parse_stored

STORED = (
    b"X-Client-Addr: 127.0.0.1\nX-Client-Proto: ESMTP\nX-Helo-Args: mail.example.org\n"
    b"X-Mail-Args: <v.1=a@example.org> SIZE=120\n"
    b"X-Rcpt-Args: <b@example.net> ORCPT=rfc822;b@example.net\n"
    b'X-Rcpt-Args: <"c > d"@example.net>\n'
    b"Received: from mail.example.org ([127.0.0.1])\n\tby smtp-sink (smtp-sink) with ESMTP id 22f8da36;\n"
    b"\tTue, 24 Nov 2026 03:32:18 +0000 (UTC)\n"
    b"Received: from x\n\tby mail.example.org (Postfix) with ESMTP id 7B21D20C85D\nSubject: x\n\nhi\n\n\n"
)


def test_envelope_and_mail_are_told_apart() -> None:
    """The sink's own lines are the envelope; the mail begins after its Received line."""
    mail = parse_stored(STORED)
    assert mail is not None
    assert mail.sender == "v.1=a@example.org"
    assert mail.recipients == ("b@example.net", '"c > d"@example.net')
    assert (
        mail.raw == b"Received: from x\n\tby mail.example.org (Postfix) with ESMTP id 7B21D20C85D\nSubject: x\n\nhi\n\n"
    )
    assert mail.message()["Subject"] == "x"


def test_the_null_sender_is_the_empty_one() -> None:
    """MAIL FROM:<> of a bounce (RFC 5321 §4.5.5)."""
    mail = parse_stored(STORED.replace(b"<v.1=a@example.org>", b"<>"))
    assert mail is not None
    assert mail.sender == ""


def test_a_mail_still_being_written_is_not_read() -> None:
    """The empty line at the end is the sink's word that it is complete."""
    assert parse_stored(STORED[:-1].removesuffix(b"\n")) is None


@given(st.binary())
@example(b"\n\n")
@example(b"X-Mail-Args: <\n\n")
@example(b"X-Mail-Args: <>\nReceived: \n\n")
def test_any_file_is_a_mail_or_not_yet_or_an_error(data: bytes) -> None:
    """Any bytes: a value, None or BedError."""
    with contextlib.suppress(BedError):
        parse_stored(data)
    with contextlib.suppress(BedError):
        parse_stored(STORED[:200] + data)


@pytest.mark.postfix
def test_a_mail_sent_to_the_sink_comes_back_whole(sink: Sink) -> None:
    """Two recipients, dots at line starts, 8-bit text: all as sent."""
    body = b"Subject: dots\r\n\r\n.\r\n..two\r\n\xc3\xa4\xff\r\n\r\nend\r\n"
    with smtplib.SMTP("127.0.0.1", sink.port) as client:
        client.sendmail("a@example.org", ["b@example.net", "c@example.net"], body)
    (mail,) = sink.messages()
    assert mail.sender == "a@example.org"
    assert mail.recipients == ("b@example.net", "c@example.net")
    assert mail.raw == body.replace(b"\r\n", b"\n")


@pytest.mark.postfix
def test_every_mail_of_a_session_comes_back(sink: Sink) -> None:
    """One stored mail for each transaction."""
    with smtplib.SMTP("127.0.0.1", sink.port) as client:
        for number in range(5):
            client.sendmail("a@example.org", ["b@example.net"], f"Subject: {number}\r\n\r\n")
    assert sorted(mail.message()["Subject"] for mail in sink.messages()) == ["0", "1", "2", "3", "4"]


@pytest.mark.postfix
def test_a_sink_can_refuse(bed: Path) -> None:
    """The options of smtp-sink(1) reach it: -r RCPT refuses every recipient for now."""
    with Sink(bed / "refusing", options=("-r", "RCPT")) as sink, smtplib.SMTP("127.0.0.1", sink.port) as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail("a@example.org", ["b@example.net"], "Subject: x\r\n\r\n")
        assert refused.value.recipients["b@example.net"][0] == 450
    assert sink.messages() == []


@pytest.mark.postfix
def test_a_taken_port_is_told(sink: Sink) -> None:
    """A port asked for by number is not changed behind the caller's back."""
    with pytest.raises(BedError, match=f"127.0.0.1:{sink.port}"), Sink(sink.folder / "second", port=sink.port):
        pass


@pytest.mark.postfix
def test_a_stopped_sink_accepts_nobody(bed: Path) -> None:
    """After the with block nothing listens."""
    with Sink(bed / "short") as sink:
        assert sink.alive()
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP("127.0.0.1", sink.port)
