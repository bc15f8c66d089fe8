"""The policy daemon and the spellings of a recipient: none gets round a suppression, and all have one count."""

import os
import smtplib
import time
from pathlib import Path

import pytest
from tests.policy.conftest import MakePolicy, limited
from tests.policy.postfix_bed import asking_postfix

from sandbox.daemon import DEFAULTS
from sandbox.policy import PolicyClient, request
from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.sink import Sink

pytestmark = pytest.mark.postfix

OURS = {
    "inet_protocols": "all",
    "mynetworks": "127.0.0.0/8 [::1]/128",
    "mydestination": "mail.example.org, localhost",
    "local_recipient_maps": "",
}
CLIENTS = ("127.0.0.1", "::1")
SUPPRESSED = (
    "supp@example.net",
    "Supp@EXAMPLE.net",
    '"supp"@example.net',
    "supp(whom)@example.net",
    "@a.example,@b.example:supp@example.net",
    "supp%example.net",
    "example.net!supp",
    "supp%example.net@mail.example.org",
    "supp%example.net@LOCALHOST",
    "supp%example.net@localhost.",
    "example.net!supp@localhost",
    "supp%example.net%localhost@mail.example.org",
    "localhost!example.net!supp@localhost",
    '"supp%example.net"@localhost',
    '"supp@example.net"@mail.example.org',
    '"supp@example.net"',
    "supp%example.net@[127.0.0.1]",
    "supp%example.net@[IPv6:::1]",
    "supp@example.net@localhost",
)
"""All of them reached supp@example.net, as long as the address was looked at as it was written."""


def asking_also_by_ipv6(folder: Path, sink: Sink) -> tuple[PrivatePostfix, int, Path]:
    """A Postfix, not started yet, that asks at this socket about mail to this port, on 127.0.0.1 and ::1."""
    postfix, (port,), (path,) = asking_postfix(folder, sink.port, settings=OURS)
    postfix.write()
    master = postfix.config_directory / "master.cf"
    *before, service = master.read_text("ascii").partition(f"127.0.0.1:{port}")
    own = before[1] + service
    master.write_text("".join(before) + service + own.replace("127.0.0.1:", "[::1]:", 1), "ascii")
    os.utime(master, (time.time() - 60, time.time() - 60))
    return postfix, port, path


def rcpt(client: smtplib.SMTP, recipient: str) -> str:
    """Name a recipient exactly so; the answer's code and status."""
    code, text = client.docmd(f"RCPT TO:<{recipient}>")
    return f"{code} {text.split()[0].decode('ascii')}"


def test_no_spelling_gets_round_a_suppression(make_policy: MakePolicy, bed: Path, sink: Sink) -> None:
    """By IPv4 and by IPv6; what a remote host alone may read passes as it is, and is another recipient."""
    postfix, port, path = asking_also_by_ipv6(bed / "postfix", sink)
    daemon = make_policy(path, main_cf=postfix.config_directory)
    assert daemon.command("suppress", "add", "supp@example.net").returncode == 0
    postfix.start()
    try:
        for address in CLIENTS:
            with smtplib.SMTP(address, port) as client:
                client.ehlo()
                client.mail("anna@example.org")
                answers = {recipient: rcpt(client, recipient) for recipient in SUPPRESSED}
                assert set(answers.values()) <= {"550 5.1.1", "553 5.1.3"}, answers
                assert list(answers.values()).count("550 5.1.1") >= 12, answers
                for other in ("john%example.net@localhost", "supp%example.net@example.com"):
                    assert rcpt(client, other) == "250 2.1.5"
                assert client.data(b"Subject: hello\r\n\r\nhello\r\n")[0] == 250
        until(lambda: len(sink.messages()) == len(CLIENTS), 20, "a mail of each", postfix.alive)
        there = {recipient for mail in sink.messages() for recipient in mail.recipients}
        assert there == {"john@example.net", "supp%example.net@example.com"}
    finally:
        postfix.stop()


@pytest.mark.parametrize("count_at", ["end_of_message", "rcpt"])
def test_all_spellings_have_one_count(make_policy: MakePolicy, bed: Path, sink: Sink, count_at: str) -> None:
    """Of the recipient and of its domain; in one message it is one recipient."""
    limits = ("{name: each, key: recipient, rate: 4/1h}", "{name: domains, key: recipient_domain, rate: 40/1h}")
    postfix, port, path = asking_also_by_ipv6(bed / "postfix", sink)
    daemon = make_policy(
        path, settings=limited(*limits), policy=f"count_at: {count_at}", main_cf=postfix.config_directory
    )
    spelled = ("b@example.net", "b%example.net", "example.net!b", "b%example.net@localhost", "example.net!B@LocalHost")
    outcomes = []
    postfix.start()
    try:
        for number, recipient in enumerate(spelled):
            with smtplib.SMTP(CLIENTS[number % 2], port) as client:
                client.ehlo()
                client.mail("anna@example.org")
                answer = rcpt(client, recipient)
                if answer.startswith("250"):
                    code, text = client.data(b"Subject: hello\r\n\r\nhello\r\n")
                    answer = f"{code} {text.split()[0].decode('ascii')}"
                outcomes.append(answer)
        assert outcomes == ["250 2.0.0"] * 4 + ["450 4.7.1"]
        until(lambda: len(sink.messages()) == 4, 20, "four mails", postfix.alive)
        assert {mail.recipients for mail in sink.messages()} == {("b@example.net",)}
        used = daemon.command("limits", "show", "recipient_domain:example.net").stdout
        assert used.startswith("domains: 4 of 40 ")
    finally:
        postfix.stop()


def test_what_main_cf_says_is_read_again_at_a_reload(make_policy: MakePolicy, bed: Path, sink: Sink) -> None:
    """With allow_percent_hack = no the part before the @ is a name of ours; a main.cf with a fault changes nothing."""
    postfix, _, path = asking_also_by_ipv6(bed / "postfix", sink)
    daemon = make_policy(path, main_cf=postfix.config_directory)
    assert daemon.command("suppress", "add", "supp@example.net").returncode == 0
    main = postfix.config_directory / "main.cf"
    text = main.read_text("ascii")

    def answer(recipient: str) -> str:
        with PolicyClient(path) as client:
            return client.ask(request(recipient=recipient))[:9]

    assert answer("supp%example.net@localhost") == "550 5.1.1"
    main.write_text(f"{text}allow_percent_hack = no\n", "ascii")
    assert answer("supp%example.net@localhost") == "550 5.1.1"
    daemon.reload()
    assert answer("supp%example.net@localhost") == "DUNNO"
    assert answer("example.net!supp@localhost") == "550 5.1.1"
    main.unlink()
    assert "postfix.rewriting_unknown" in daemon.reload()
    assert answer("example.net!supp@localhost") == "553 5.1.3"
    assert answer("supp@example.net") == "550 5.1.1"


def test_a_return_address_is_known_in_any_spelling(make_policy: MakePolicy, bed: Path, sink: Sink) -> None:
    """Where the world delivers, a made-up one is refused; all else passes, whatever it looks like."""
    postfix, _, path = asking_also_by_ipv6(bed / "postfix", sink)
    make_policy(path, main_cf=postfix.config_directory)
    with PolicyClient(path) as client:
        for made_up in ("x@bounces.example.org", "x%bounces.example.org@localhost", "bounces.example.org!x"):
            assert (
                client.ask(request(policy_context="inbound", recipient=made_up)) == "550 5.1.1 No such return address"
            )
        for other in ("x%example.net@localhost", "x%@localhost", "complaints%bounces.example.org@localhost"):
            assert client.ask(request(policy_context="inbound", recipient=other)) == "DUNNO"


@pytest.mark.parametrize(("setting", "expected"), [("separate", "DUNNO"), ("same", "550 5.1.1")])
def test_plus_addresses_are_separate_or_the_same(
    make_policy: MakePolicy, bed: Path, sink: Sink, setting: str, expected: str
) -> None:
    """A suppression of the address without holds for those with, in every spelling; one of its own always holds."""
    postfix, _, path = asking_also_by_ipv6(bed / "postfix", sink)
    settings = f"{DEFAULTS}recipients: {{plus_addresses: {setting}}}\n"
    daemon = make_policy(path, settings=settings, main_cf=postfix.config_directory)
    for suppressed in ("gone@example.net", "one+own@example.net"):
        assert daemon.command("suppress", "add", suppressed).returncode == 0
    with PolicyClient(path) as client:
        for recipient in ("gone+x@example.net", "gone+x+y%example.net@localhost", "example.net!gone+x"):
            assert client.ask(request(recipient=recipient))[:9] == expected
        assert client.ask(request(recipient="one+own@example.net"))[:9] == "550 5.1.1"
        for other in ("one@example.net", "one+else@example.net", "gone-x@example.net"):
            assert client.ask(request(recipient=other)) == "DUNNO"
