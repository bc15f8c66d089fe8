"""A mail by each door of the booted host, and what the world got of them."""

import re
import smtplib
import subprocess
from collections import Counter

from tests.systemd.asking import WORLD, api, run

from sandbox.process import until


def arrived() -> Counter[str]:
    """Subject -> how often the world has it."""
    subjects = (re.search(r"^Subject: (.*)$", path.read_text("latin-1"), re.MULTILINE) for path in WORLD.glob("mail.*"))
    return Counter(found[1] for found in subjects if found is not None)


def wait_arrived(subjects: set[str], within_s: float = 60.0) -> None:
    """Each of them once."""
    try:
        until(lambda: subjects <= arrived().keys(), within_s, "all mails in the world", every_s=0.3)
    except Exception:
        print(sorted(subjects - arrived().keys())[:5], run("postqueue", "-p")[-2000:])
        for options in (("--unit=postroom-submission",), ("--unit=postroom-milter",), ()):
            print(run("journalctl", "--no-pager", "--boot", "--lines=60", *options))
        raise
    twice = {subject: count for subject, count in arrived().items() if subject in subjects and count > 1}
    assert twice == {}, twice


def sendmail(name: str, subject: str) -> None:
    mail = f"From: {name}@example.org\nTo: jane@example.net\nSubject: {subject}\n\nHello.\n"
    words = [
        "runuser",
        "--user",
        name,
        "--",
        "/usr/sbin/sendmail",
        "-i",
        "-f",
        f"{name}@example.org",
        "jane@example.net",
    ]
    subprocess.run(words, input=mail.encode(), check=True, timeout=60)


def smtp(subject: str) -> None:
    mail = f"From: app@example.org\nTo: jane@example.net\nSubject: {subject}\n\nHello.\n"
    with smtplib.SMTP("127.0.0.1", 25, timeout=60) as client:
        client.sendmail("app@example.org", ["jane@example.net"], mail)


def post(subject: str, recipient: str = "jane@example.net") -> str:
    """Its id."""
    body = {"from": "app@example.org", "to": recipient, "subject": subject, "text": "Hello."}
    status, answer = api("POST", "/v1/messages", body)
    assert status == 202, answer
    return str(answer["id"])


def state(message: str) -> str:
    """Of a message to one recipient, as the API tells it."""
    return str(api("GET", f"/v1/messages/{message}")[1]["deliveries"][0]["state"])
