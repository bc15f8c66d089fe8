"""Mail of somebody who logs in at 587 of the booted host, from a place that is none of its own networks."""

import re
import smtplib
from base64 import b64encode

from tests.setup.doors import wait_arrived
from tests.systemd.asking import POSTROOM, WORLD, run

SUBJECT = "by login"
MAIL = f"From: anna@example.org\nTo: jane@example.net\nSubject: {SUBJECT}\n\nHello.\n"


def a_login_is_asked_for_counted_and_signed() -> None:
    """By Cyrus SASL and a password of its own; without it nothing is taken."""
    with smtplib.SMTP("127.0.0.1", 587, "laptop.test", timeout=60, source_address=("127.0.0.2", 0)) as client:
        client.ehlo()
        client.mail("anna@example.org")
        assert client.rcpt("jane@example.net")[0] in {454, 554}, "taken without a login"
        client.rset()
        assert client.docmd("AUTH PLAIN", b64encode(b"\0anna\0wrong").decode())[0] == 535
        client.login("anna", "secret")
        client.sendmail("anna@example.org", ["jane@example.net", "joe@example.net"], MAIL)
    wait_arrived({SUBJECT})
    (mail,) = (text for path in WORLD.glob("mail.*") if f"Subject: {SUBJECT}\n" in (text := path.read_text("latin-1")))
    assert "\nDKIM-Signature: " in mail
    (login,) = set(re.findall(r"sasl_method=PLAIN, sasl_username=(\S+)", run("journalctl", "--quiet", "--no-pager")))
    assert run(POSTROOM, "limits", "show", f"login:{login}").startswith("per-login: 2 of 500 in 3600 s")
