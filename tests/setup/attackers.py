"""What a user of the booted host can try against the shipped configuration, and what comes of it.

eve is an ordinary user; ada and ben are system users. Each function is one truth.
"""

import contextlib
import pwd
import re
import smtplib
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.setup.doors import post, sendmail, wait_arrived
from tests.systemd.asking import API, CONFIG, POSTROOM, connected, events, run, unit, user

from sandbox.process import until

LOOPBACKS = ("127.0.0.1", "::1")
IDLE = 150
"""More than the hundred processes of the sendmail door."""
CROWD = 1_100
"""More than a daemon has descriptors by default."""


@contextmanager
def limits_of(rate: str) -> Iterator[None]:
    """The first configuration with this limit per user, at the doors that count."""
    good = CONFIG.read_text()
    for text in (good.replace("rate: 1000/1h", f"rate: {rate}"), good):
        before = len(events(r"daemon\.reloaded"))
        CONFIG.write_text(text)
        run("systemctl", "reload", unit("milter"), unit("policy"))
        until(lambda: len(events(r"daemon\.reloaded")) >= before + 2, 30, "reloaded", every_s=0.2)  # noqa: B023
        if text != good:
            yield


def said_to(name: str, address: str, recipients: list[str], sender: str = "") -> list[str]:
    """What Postfix answers this user at an address of the host: to each recipient, and to the message."""
    with user(name):
        client = smtplib.SMTP(address, 25, "localhost", timeout=60)
    with client:
        client.ehlo()
        client.mail(sender or f"{name}@mail.example.org")
        answers = [client.rcpt(recipient) for recipient in recipients]
        if any(code == 250 for code, _ in answers):
            answers.append(client.data(f"From: {name}@mail.example.org\r\nSubject: of {name}\r\n\r\nHello.\r\n"))
        return [f"{code} {text.decode()}" for code, text in answers]


def eve_at_her_limit_is_at_it_at_every_door() -> None:
    """By sendmail(1), and by SMTP over IPv4 and IPv6; ben is not."""
    run(POSTROOM, "limits", "reset", f"uid:{pwd.getpwnam('eve').pw_uid}")
    with limits_of("3/1h"):
        for number in range(3):
            sendmail("eve", f"eve below her limit {number}")
        wait_arrived({f"eve below her limit {number}" for number in range(3)})
        for address in LOOPBACKS:
            (recipient, message) = said_to("eve", address, ["jane@example.net"])
            print(f"eve at {address}: {message}")
            assert recipient.startswith("250")
            assert re.match(r"450 4\.7\.1 .*Over the limit per-user", message), message
            (_, message) = said_to("ben", address, ["jane@example.net"])
            assert message.startswith("250"), message


def no_spelling_passes_a_suppression() -> None:
    """As Postfix would read them, over IPv4 and IPv6; nobody who may not sign is told why."""
    run(POSTROOM, "suppress", "add", "supp@example.net")
    spellings = ["supp@example.net", "supp%example.net", "example.net!supp", '"supp"@example.net', "supp@example.NET"]
    for address in LOOPBACKS:
        answers = said_to("eve", address, spellings)
        print("\n".join(f"eve at {address}, {pair[0]}: {pair[1]}" for pair in zip(spellings, answers, strict=True)))
        assert {answer[:1] for answer in answers} == {"5"}, answers
        assert not [answer for answer in answers if "since" in answer or "manual" in answer], answers
    run(POSTROOM, "suppress", "remove", "supp@example.net")


def idle_connections_stop_nobodys_sendmail() -> None:
    """150 of eve's to the port of the sendmail door, and again whenever one is closed."""
    with ExitStack() as held:
        for _ in range(IDLE):
            with user("eve"):
                sock = held.enter_context(socket.create_connection(("127.0.0.1", 10587), timeout=60))
            assert sock.recv(1000).startswith(b"421 "), "eve is greeted"
        sendmail("ben", "while eve connects")
        wait_arrived({"while eve connects"}, 30)


def a_crowd_of_one_user_shuts_nobody_out() -> None:
    """1,100 connections of a client that says nothing; another client's mail is taken."""
    with ExitStack() as held:
        for _ in range(CROWD):
            with contextlib.suppress(ConnectionError, BlockingIOError, TimeoutError):
                held.enter_context(connected(API, "ada"))
        mail = ("--from", "app@example.org", "--to", "jane@example.net", "--subject", "in a crowd", "--text", "Hello.")
        run(POSTROOM, "send", *mail)
        wait_arrived({"in a crowd"})
        until(lambda: bool(events(r"connections\.refused")), 20, "a line that says so")
    post("after the crowd")
    wait_arrived({"after the crowd"})


ALL = (
    eve_at_her_limit_is_at_it_at_every_door,
    no_spelling_passes_a_suppression,
    idle_connections_stop_nobodys_sendmail,
    a_crowd_of_one_user_shuts_nobody_out,
)
