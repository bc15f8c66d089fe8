"""A user of the booted host who is nobody special: what eve writes From the domain leaves without a signature."""

import subprocess
import sys

from tests.setup.doors import wait_arrived
from tests.systemd.asking import WORLD, run

SMTP = """
import smtplib, sys
with smtplib.SMTP("127.0.0.1", 25, timeout=60) as client:
    client.sendmail("eve@mail.example.org", ["jane@example.net"], sys.stdin.read())
"""
SEND = {
    "smtp": (sys.executable, "-I", "-c", SMTP),
    "sendmail": ("/usr/sbin/sendmail", "-i", "jane@example.net"),
}


def eve_writes_from_the_domain_and_it_is_not_signed() -> None:
    """By SMTP and by sendmail(1); the same of a system user is."""
    run("useradd", "eve")
    subjects = {f"{user} by {door}": (user, command) for user in ("eve", "ada") for door, command in SEND.items()}
    for subject, (user, command) in subjects.items():
        mail = f"From: boss@example.org\nTo: jane@example.net\nSubject: {subject}\n\nHello.\n"
        words = ["runuser", "--user", user, "--", *command]
        subprocess.run(words, input=mail.encode(), cwd="/", check=True, timeout=60)
    wait_arrived(set(subjects))
    texts = [path.read_text("latin-1") for path in WORLD.glob("mail.*")]
    for subject, (user, _) in subjects.items():
        (mail,) = (text for text in texts if f"Subject: {subject}\n" in text)
        assert ("\nDKIM-Signature: " in mail) == (user == "ada"), mail
