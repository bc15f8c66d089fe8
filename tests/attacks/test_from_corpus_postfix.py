"""From fields meant to show one author to the signer and another to the reader, sent through the real Postfix.

What arrives signed has one From field, its signatures hold, and each way to read that field finds an address of the
domain that signed. The readers here are separate code, and as naive as mail programs are.
"""

import email
import email.policy
import email.utils
import re
import smtplib
from pathlib import Path

import pytest
from tests.milter.conftest import MakeMilter, make_milter
from tests.milter.verifiers import dkimpy_verdicts

from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.sink import Sink, free_port
from sandbox.verifiers import with_crlf

pytestmark = pytest.mark.postfix
__all__ = ["make_milter"]

HONEST = [
    b"From: eve@example.org",
    b"From: Eve <eve@example.org>",
    b'From: "Eve, of Sales" <eve@example.org>',
    b"From: eve@example.org (Eve)",
    b"From: =?utf-8?q?=C3=88ve?= <eve@example.org>",
    "From: Ève <eve@example.org>".encode(),
    b"From:\r\n Eve\r\n\t<eve@example.org>",
    b"from: eve@EXAMPLE.org",
]
TRICKS = [
    b"From: boss@evil.example\r\nFrom: eve@example.org",
    b"From: eve@example.org\r\nFrom: boss@evil.example",
    b"From: eve@example.org\r\nfrom : boss@evil.example",
    b"From : boss@evil.example\r\nFrom: eve@example.org",
    b"From\t: boss@evil.example",
    b"From: boss@evil.example, eve@example.org",
    b"From: eve@example.org, boss@evil.example",
    b"From: eve@example.org; boss@evil.example",
    b"From: eve@example.org boss@evil.example",
    b"From: <boss@evil.example> <eve@example.org>",
    b"From: <eve@example.org> <boss@evil.example>",
    b"From: boss@evil.example <eve@example.org>",
    b"From: <eve@example.org> boss@evil.example",
    b"From: eve@example.org <boss@evil.example>",
    b"From: <boss@evil.example>eve@example.org",
    b"From: (eve@example.org) boss@evil.example",
    b"From: (<eve@example.org>) <boss@evil.example>",
    b"From: boss@evil.example (<eve@example.org>)",
    b"From: boss(comment)@evil.example (x) eve@example.org",
    b"From: <eve@example.org(boss@evil.example)>",
    b"From: <boss@evil.example(eve@example.org)>",
    b'From: "<eve@example.org>" <boss@evil.example>',
    b'From: "eve@example.org" boss@evil.example',
    b'From: "unclosed <eve@example.org>, <boss@evil.example>',
    b'From: \\"<eve@example.org>\\" <boss@evil.example>',
    b"From: boss@evil.example\\, <eve@example.org>",
    b"From: friends: eve@example.org, boss@evil.example;",
    b"From: friends: boss@evil.example;, eve@example.org",
    b"From: undisclosed: ; <boss@evil.example>",
    b"From: <@example.org:boss@evil.example>",
    b"From: <@evil.example,@example.org:eve@example.org>",
    b"From: boss@evil.example@example.org",
    b"From: eve@example.org@evil.example",
    b"From: boss%evil.example@example.org, x@evil.example",
    b"From: eve@[example.org]",
    b"From: boss@evil.example\0<eve@example.org>",
    b"From: eve@example.org\0.evil.example",
    b"From: eve@example.org\x0b, boss@evil.example",
    b"From: eve@example.org\rFrom: boss@evil.example",
    b"From: eve@example.org\nFrom: boss@evil.example",
    b"From: =?utf-8?q?eve=40example.org?= <boss@evil.example>",
    b"From: =?utf-8?q?=3Ceve=40example.org=3E?= boss@evil.example",
    b"From: =?utf-8?b?PGV2ZUBleGFtcGxlLm9yZz4=?=",
    b"From: eve@example.org.evil.example",
    b"From: eve@evil.example.org",
    b"From: eve@example.org\xe2\x80\x8b.evil.example",
    "From: eve@ex\u0430mple.org".encode(),  # a Cyrillic letter
    "From: eve@example\u3002org <boss@evil.example>".encode(),  # an ideographic full stop
    "From: boss@evil.example\u202egro.elpmaxe@eve <eve@evil.example>".encode(),
    b"From:",
    b"From: <>",
    b"From: eve",
    b"X-From: eve@example.org",
    b"Sender: eve@example.org\r\nFrom: boss@evil.example",
    b"Resent-From: eve@example.org\r\nFrom: boss@evil.example",
    b"From:\r\n \r\n eve@example.org, boss@evil.example",
    b"From: eve@example.org,\r\n\tboss@evil.example",
    b"From: x" + b" " * 3_000 + b"<eve@example.org>, <boss@evil.example>",
    b"From: " + b"(" * 900 + b"eve@example.org" + b")" * 900 + b" boss@evil.example",
    b"Fr\0om: boss@evil.example\r\nFrom: eve@example.org",
    b"\xef\xbb\xbfFrom: boss@evil.example\r\nFrom: eve@example.org",
    b" From: boss@evil.example\r\nFrom: eve@example.org",
    b"Subject: x\r\n From: boss@evil.example\r\nFrom: eve@example.org, boss@evil.example",
]


def authors(mail: bytes) -> set[str]:
    """The domains that different readers take the author's address to be of; "" is one who finds none."""
    head = mail.partition(b"\r\n\r\n")[0]
    fields = re.findall(rb"(?im)^from[ \t]*:((?:.*)(?:\r?\n[ \t].*)*)", head)
    found = set[str]()
    for field in fields:
        text = re.sub(r"\r?\n", "", field.decode("utf-8", "replace"))
        angled = re.findall(r"<([^<>]*)>", text)
        bare = re.findall(r"[^\s<>,;:()\"\\\[\]]+@[^\s<>,;:()\"\\\[\]]+", re.sub(r'"[^"]*"|\([^()]*\)', " ", text))
        for readings in (angled[:1], angled[-1:], bare, [address for _, address in email.utils.getaddresses([text])]):
            found |= {reading.rpartition("@")[2].lower() for reading in readings}
    for address in email.message_from_bytes(mail, policy=email.policy.default)["From"].addresses:
        found.add(address.domain.lower())
    return found


def fields_named_from(mail: bytes) -> int:
    return len(re.findall(rb"(?im)^from[ \t]*:", mail.partition(b"\r\n\r\n")[0]))


def test_what_arrives_signed_has_one_author_for_every_reader(bed: Path, sink: Sink, make_milter: MakeMilter) -> None:
    """All honest ones are signed; of the tricks, only what every reader takes for ours."""
    milter, port = make_milter(networks=("127.0.0.1",), settings="socket_group: postfix"), free_port()
    mails = {f"honest {number}": field for number, field in enumerate(HONEST)}
    mails |= {f"trick {number}": field for number, field in enumerate(TRICKS)}
    with PrivatePostfix(
        bed / "postfix", ("127.0.0.1", sink.port), smtp_ports={port: {}}, milter=milter.socket
    ) as postfix:
        taken = 0
        for name, field in mails.items():
            message = b"X-Case: " + name.encode() + b"\r\n" + field + b"\r\nTo: jane@example.net\r\n\r\nHello.\r\n"
            taken += sent(port, message)
        until(lambda: len(sink.messages()) >= taken, 60.0, f"{taken} mails", postfix.alive)
    arrived = [with_crlf(mail.raw) for mail in sink.messages()]
    signed = {case_of(mail): mail for mail in arrived if mail.startswith(b"DKIM-Signature:")}
    print(f"\n{len(mails)} sent, {taken} taken, {len(signed)} signed")
    assert {name for name in mails if name.startswith("honest")} <= signed.keys()
    wrong = [
        (mails[name], fields_named_from(mail), authors(mail))
        for name, mail in signed.items()
        if fields_named_from(mail) != 1 or authors(mail) != {"example.org"}
    ]
    assert wrong == []
    assert all(all(dkimpy_verdicts(mail)) for mail in signed.values())


def sent(port: int, message: bytes) -> bool:
    """Whether Postfix took it; as it is, bare CR and LF included."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.ehlo()
        client.mail("eve@example.org", ["BODY=8BITMIME"])
        client.rcpt("jane@example.net")
        return client.data(message)[0] == 250


def case_of(mail: bytes) -> str:
    found = re.search(rb"(?m)^X-Case: (.*?)\r$", mail)
    assert found is not None, mail[:500]
    return found[1].decode()
