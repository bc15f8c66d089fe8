"""Who wrote a mail to the return path, by what Postfix tells of it and by the field it has put on top."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.store.track.bounce_report import ReportOrigin
from postroom.watcher.lmtp import ForwardedClient, ReceivedMail
from postroom.watcher.origin import MailOrigin, origin_of

DATE = b"; Wed, 25 Nov 2026 01:31:13 +0000 (UTC)\r\n"
TLS = (
    b"\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\r\n\t key-exchange X25519)\r\n"
    b'\t(Client CN "a by evil.test (Postfix) with ESMTP id F00", Issuer "x" (not verified))\r\n'
)
BODY = b"From: <MAILER-DAEMON@mx.world.test>\r\nSubject: x\r\n\r\nReceived: from a by b (Postfix) with ESMTPA id A1\r\n"


def smtpd(queue_id: str = "A1", protocol: str = "ESMTP", client: str = "203.0.113.5", more: bytes = b"") -> bytes:
    return (
        f"Received: from mx.world.test (mx.world.test [{client}])\r\n".encode()
        + more
        + f"\tby mail.example.org (Postfix) with {protocol} id {queue_id}\r\n\tfor <pr@b.org>".encode()
        + DATE
    )


THEIR_LOGIN = smtpd("Z9", "ESMTPSA").replace(b"mail.example.org", b"mx.world.test")
PICKUP = b"Received: by mail.example.org (Postfix, from userid 1001)\r\n\tid B2" + DATE
POSTED = b"Received: by mail.example.org (Postfix)\r\n\tid C3" + DATE
AWAY = ForwardedClient("203.0.113.5", "A1")
NOBODY = ForwardedClient("", "")


def origin(head: bytes, client: ForwardedClient | None, sender: str = "") -> MailOrigin:
    own = {"127.0.0.1", "::1", "192.0.2.1"}
    return origin_of(ReceivedMail(sender, ("pr@b.org",), head + BODY, client), own.__contains__)


LOCAL = ReportOrigin.LOCAL


@pytest.mark.parametrize(
    ("head", "client", "expected"),
    [
        (smtpd(), AWAY, MailOrigin(ReportOrigin.REMOTE)),
        (smtpd(protocol="ESMTPS", more=TLS), AWAY, MailOrigin(ReportOrigin.REMOTE)),
        (smtpd(), ForwardedClient("2001:db8::5", "A1"), MailOrigin(ReportOrigin.REMOTE)),
        # Through a content filter of this host that speaks XFORWARD, and through an alias.
        (smtpd("D4", client="127.0.0.1") + smtpd(), AWAY, MailOrigin(ReportOrigin.REMOTE)),
        (POSTED + smtpd(), AWAY, MailOrigin(ReportOrigin.REMOTE)),
        # What a stranger writes below makes his mail no login of ours.
        (
            smtpd() + smtpd("Z9", "ESMTPSA").replace(b"mail.example.org", b"mx.world.test"),
            AWAY,
            MailOrigin(ReportOrigin.REMOTE),
        ),
        (POSTED, NOBODY, MailOrigin(ReportOrigin.NOTICE, notice="C3")),
        (smtpd(client="127.0.0.1"), ForwardedClient("127.0.0.1", "A1"), MailOrigin(LOCAL, reason="loopback")),
        (smtpd(client="IPv6:::1"), ForwardedClient("::1", "A1"), MailOrigin(LOCAL, reason="loopback")),
        (smtpd(client="192.0.2.1"), ForwardedClient("192.0.2.1", "A1"), MailOrigin(LOCAL, reason="loopback")),
        (smtpd(), ForwardedClient("no address", "A1"), MailOrigin(LOCAL, reason="loopback")),
        (smtpd(protocol="ESMTPSA", more=TLS), AWAY, MailOrigin(LOCAL, reason="login")),
        (smtpd(protocol="ESMTPA"), AWAY, MailOrigin(LOCAL, reason="login")),
        # Behind a proxy of this host the login stands one field below.
        (smtpd(client="127.0.0.1") + smtpd("Q7", "ESMTPSA"), AWAY, MailOrigin(LOCAL, reason="login")),
        (PICKUP, NOBODY, MailOrigin(LOCAL, reason="sendmail")),
        (POSTED + b"Delivered-To: eve@b.org\r\n" + PICKUP, NOBODY, MailOrigin(LOCAL, reason="sendmail")),
        (b"", NOBODY, MailOrigin(LOCAL, reason="sendmail")),
        # header_checks has taken out Postfix's own field: a login could hide there.
        (b"", AWAY, MailOrigin(LOCAL, reason="unknown")),
        (smtpd("F00"), AWAY, MailOrigin(LOCAL, reason="unknown")),
        (smtpd(), None, MailOrigin(LOCAL, reason="unknown")),
    ],
)
def test_only_what_another_host_brought_is_remote(
    head: bytes, client: ForwardedClient | None, expected: MailOrigin
) -> None:
    """All else anybody on this host may have written, but for what may be bounce(8)'s."""
    assert origin(head, client) == expected


def test_bounce_writes_from_the_null_sender() -> None:
    """What has a sender is none of its notices."""
    assert origin(POSTED, NOBODY, "eve@b.org") == MailOrigin(LOCAL, reason="sendmail")


@given(st.binary(max_size=300), st.text(max_size=20), st.text(max_size=8))
def test_any_octets_have_an_origin(octets: bytes, address: str, ident: str) -> None:
    """And without Postfix's own field it is never another host."""
    client = ForwardedClient(address, f"x{ident}")
    assert origin_of(ReceivedMail("", (), octets, client), lambda _: False).kind is not ReportOrigin.REMOTE
