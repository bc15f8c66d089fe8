"""The listener where the watcher marks the log (postfix-conf/probe.master.cf): it answers, and takes no mail."""

import subprocess
from pathlib import Path

import pytest
from tests.bed.test_bed_postfix import HandoverClient

from sandbox.postfix import PrivatePostfix
from sandbox.sink import Sink

pytestmark = pytest.mark.postfix

GENEROUS = {
    "smtpd_recipient_restrictions": "permit",
    "smtpd_relay_restrictions": "permit",
    "smtpd_sender_restrictions": "permit",
    "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
    "smtpd_authorized_xforward_hosts": "127.0.0.0/8",
    "mydestination": "localhost, mail.example.org",
}
"""What a site may allow loopback in main.cf."""


def test_it_takes_no_mail_from_anybody(bed: Path, sink: Sink) -> None:
    """Every sender is refused and no queue is run; nor does the bare recipient `postmaster`, which smtpd takes past all
    lists of recipients, lead to a mail."""
    with PrivatePostfix(bed / "postfix", ("127.0.0.1", sink.port), settings=GENEROUS) as postfix:
        listener = postfix.queue_directory / "public" / "postroom-probe"
        with HandoverClient(listener) as client:
            assert client.ehlo("mail.example.org")[0] == 250
            assert not client.has_extn("xclient")
            assert not client.has_extn("xforward")
            for sender in ("", "anna@example.org", "postmaster@mail.example.org"):
                assert client.mail(sender)[0] == 554
                assert client.rcpt("postmaster")[0] == 503
                assert client.docmd("DATA")[0] == 503
                client.rset()
            assert client.docmd("ETRN", "example.net")[0] >= 400
            assert client.verify("postmaster")[0] == 502
            assert client.noop()[0] == 250

        # The bar behind it, by itself.
        folder = str(postfix.config_directory)
        setting = "postroom-probe/unix/smtpd_sender_restrictions="
        subprocess.run(["/usr/sbin/postconf", "-c", folder, "-P", setting], check=True)
        subprocess.run(["/usr/sbin/postfix", "-c", folder, "reload"], check=True, capture_output=True)
        for data in ("DATA", "BDAT 1 LAST"):
            with HandoverClient(listener) as client:
                client.ehlo("mail.example.org")
                assert client.mail("anna@example.org")[0] == 250
                assert client.rcpt("jane@example.net")[0] == 554
                assert client.rcpt("postmaster")[0] == 250
                client.putcmd(data)
                if data != "DATA":
                    client.send(b"x")
                assert client.getreply()[0] == 554
        assert postfix.queue() == []
    assert sink.messages() == []
