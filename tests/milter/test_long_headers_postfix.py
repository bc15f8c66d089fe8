"""Header fields longer than a line of SMTP, through the real Postfix: what is signed verifies where it arrives."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.milter.conftest import MakeMilter
from tests.milter.test_milter_postfix import MailRoom
from tests.milter.verifiers import dkimpy_verdicts, opendkim_verdicts

from sandbox.postfix import PrivatePostfix
from sandbox.sink import Sink, free_port

pytestmark = pytest.mark.postfix


@pytest.fixture
def room(bed: Path, sink: Sink, make_milter: MakeMilter) -> Iterator[MailRoom]:
    milter, port = make_milter(networks=("127.0.0.1",), settings="socket_group: postfix"), free_port()
    with PrivatePostfix(
        bed / "postfix", ("127.0.0.1", sink.port), smtp_ports={port: {}}, milter=milter.socket
    ) as postfix:
        yield MailRoom(milter, postfix, sink, port)


FROM, TO = b"From: Jane <jane@example.org>\r\n", b"To: b@example.net\r\n"


def folded(name: bytes, words: int, word: bytes, fold: bytes = b"\r\n ") -> bytes:
    return name + b": " + fold.join(word for _ in range(words)) + b"\r\n"


def addressed(count: int, fold: bytes) -> bytes:
    return b"To: " + (b"," + fold).join(b"somebody.%04d@example.net" % n for n in range(count)) + b"\r\n"


def quoted(name: bytes) -> bytes:
    return b'From: "' + name + b'" <jane@example.org>\r\n' + TO


REFERENCE = b"<" + b"r" * 60 + b"@example.org>"
SIGNED = {
    "From folded": quoted(b"\r\n ".join(b"name" * 8 for _ in range(100))),
    "From in one line of 900": quoted(b"n" * 860),
    "From of words in one line of 3,900": quoted(b"name " * 770),
    "From with blanks": quoted(b"\r\n".join(b" " * 900 for _ in range(3)) + b"x"),
    "From with comments": b"From: " + b"\r\n ".join([b"(comment comment)"] * 200) + b" jane@example.org\r\n" + TO,
    "From with quoted pairs": quoted(b"n\\ m " * 600),
    "Subject folded": FROM + TO + folded(b"Subject", 400, b"word" * 10),
    "Subject in one line of 990": FROM + TO + b"Subject: " + b"s" * 980 + b"\r\n",
    "Subject of words in one line": FROM + TO + b"Subject: " + b"word " * 2000 + b"\r\n",
    "Subject of tabs in one line": FROM + TO + b"Subject: " + b"word\t\t" * 500 + b"\r\n",
    "8-bit Subject": FROM + TO + b"Subject: " + "Grüße ".encode() * 400 + b"\r\n",
    "two long Subjects": FROM + TO + 2 * (b"Subject: " + b"word " * 300 + b"\r\n"),
    "To of 3,000, folded": FROM + addressed(3000, b"\r\n "),
    "To of 1,500, in one line": FROM + addressed(1500, b" "),
    "Cc of 500": FROM + TO + addressed(500, b"\r\n\t").replace(b"To:", b"Cc:"),
    "References of 10 kB": FROM + TO + folded(b"References", 150, REFERENCE),
    "References of 10 kB in one line": FROM + TO + folded(b"References", 150, REFERENCE, b" "),
    "References of 200 kB": FROM + TO + folded(b"References", 3000, REFERENCE),
    "a field that is not signed": FROM + TO + b"X-Long: " + b"x" * 5000 + b"\r\n",
    "past header_size_limit": FROM + TO + folded(b"Subject", 3000, b"word" * 10),
}
UNSIGNED = {
    "From in one line of 3,900": quoted(b"n" * 3860),
    "From folded into lines of 1,500": quoted(b"\r\n ".join(b"n" * 1500 for _ in range(2))),
    "Subject in one line of 1,500": FROM + TO + b"Subject: " + b"s" * 1490 + b"\r\n",
    "Subject with a long word after the fold": FROM + TO + b"Subject: a\r\n " + b"s" * 2500 + b"\r\n b\r\n",
    "Subject in Latin 1": FROM + TO + b"Subject: " + b"Gr\xfc\xdfe " * 400 + b"\r\n",
    "To of 3,000, in one line": FROM + addressed(3000, b" "),
    "To of 3,000, without a blank": FROM + addressed(3000, b""),
    "a parameter of 3,000": FROM
    + TO
    + b"MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n x="
    + b"p" * 3000
    + b"\r\n",
}
BODIES = {998: 2, 999: 0}
"""Octets of the longest line, and the signatures the mail gets."""


def test_what_is_signed_verifies_where_it_arrives(room: MailRoom, bed: Path) -> None:
    """By two verifiers, whatever the length of its fields and of their lines."""
    with room.smtp() as client:
        for header in SIGNED.values():
            client.sendmail("jane@example.org", ["b@example.net"], header + b"\r\nhello\r\n")
    for mail in room.arrived(len(SIGNED)):
        assert dkimpy_verdicts(mail) == [True, True], mail[:3000]
        assert opendkim_verdicts(bed, mail) == ["pass", "pass"], mail[:3000]
        assert b"X-Long" in mail or all(len(line) <= 998 for line in mail.split(b"\r\n"))
    assert not room.unsigned()


def test_what_would_be_broken_on_the_way_is_not_signed(room: MailRoom) -> None:
    """A field without a blank to fold it at; the log says why."""
    with room.smtp() as client:
        for header in UNSIGNED.values():
            client.sendmail("jane@example.org", ["b@example.net"], header + b"\r\nhello\r\n")
    assert not any(b"DKIM-Signature: " in mail for mail in room.arrived(len(UNSIGNED)))
    assert room.unsigned() == ["line_too_long"] * len(UNSIGNED)


def test_a_long_line_of_the_body_is_seen(room: MailRoom, bed: Path) -> None:
    """Postfix breaks one of 999 octets, and leaves one of 998."""
    with room.smtp() as client:
        for octets in BODIES:
            body = b"a\r\n" * 30_000 + b"x" * octets + b"\r\nb\r\n"
            client.sendmail("jane@example.org", ["b@example.net"], FROM + TO + b"\r\n" + body)
    mails = room.arrived(len(BODIES))
    assert sorted(len(dkimpy_verdicts(mail)) for mail in mails) == sorted(BODIES.values())
    assert all(all(dkimpy_verdicts(mail)) for mail in mails)
    assert room.unsigned() == ["line_too_long"]
