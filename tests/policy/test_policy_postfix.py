"""The policy daemon as the real Postfix asks it: many clients, many processes, and a daemon that dies."""

import smtplib
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest
from tests.policy.conftest import MakePolicy, limited
from tests.policy.postfix_bed import PATIENT, asking_postfix, rush, send
from tests.store.limits.plain_limits import PlainLimits

from postroom.store.limits.interface import Demand
from sandbox.policy import PolicyDaemon
from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.sink import Sink, free_port
from sandbox.submission_service import PIECE

pytestmark = pytest.mark.postfix

HUNDRED = "{name: per-sender, key: sender, rate: 100/1h}"


@pytest.mark.parametrize("processes", [1, 4])
def test_of_two_hundred_messages_at_once_exactly_a_hundred_pass(
    make_policy: MakePolicy, bed: Path, sink: Sink, processes: int
) -> None:
    """20 clients, one limit of 100/1h; one daemon, then four on one store, each with a listener of its own."""
    postfix, ports, sockets = asking_postfix(bed / "postfix", sink.port, processes)
    first = make_policy(sockets[0], settings=limited(HUNDRED))
    for path in sockets[1:]:
        make_policy(path, settings=limited(HUNDRED), state_dir=first.state_dir)
    with postfix:
        assert rush(ports, clients=20, messages=10) == {"250": 100, "450 4.7.1": 100}
        until(lambda: len(sink.messages()) == 100, 20, "a hundred mails", postfix.alive)


def test_a_suppressed_recipient_is_refused_at_rcpt_with_the_reason(
    make_policy: MakePolicy, bed: Path, sink: Sink
) -> None:
    """The others of the message get theirs; Postfix's own words stand around ours."""
    postfix, (port,), (path,) = asking_postfix(bed / "postfix", sink.port)
    daemon = make_policy(path)
    assert daemon.command("suppress", "add", "jane@example.net", "--cause", "asked_not_to").returncode == 0
    with postfix, smtplib.SMTP("127.0.0.1", port) as client:
        client.ehlo()
        refused = client.sendmail("anna@example.org", ["john@example.net", "jane@example.net"], "Subject: x\n\nx\n")
        code, text = refused["jane@example.net"]
        assert code == 550
        assert text.startswith(b"5.1.1 <jane@example.net>: Recipient address rejected: recipient is suppressed: ")
        assert b"asked_not_to, since 20" in text
        assert list(refused) == ["jane@example.net"]
        until(lambda: len(sink.messages()) == 1, 10, "one mail", postfix.alive)
        assert sink.messages()[0].recipients == ("john@example.net",)


def test_every_recipient_of_a_message_is_counted(make_policy: MakePolicy, bed: Path, sink: Sink) -> None:
    """What Postfix says at RCPT and at the end come together: by recipient and by domain, all or none."""
    limits = ("{name: each, key: recipient, rate: 2/1h}", "{name: domains, key: recipient_domain, rate: 3/1h}")
    postfix, (port,), (path,) = asking_postfix(bed / "postfix", sink.port)
    make_policy(path, settings=limited(*limits))
    with postfix, smtplib.SMTP("127.0.0.1", port) as client:
        client.ehlo()
        a, b, c = "a@one.example", "b@one.example", "c@two.example"
        outcomes = [send(client, "anna@example.org", *to) for to in ((a, b, c), (a, c), (a,), (b, c), (b,), (b,))]
        # The third a is over `each`; c with b over `each` costs b nothing; the second b is the third of its domain.
        assert outcomes == ["250", "250", "450 4.7.1", "450 4.7.1", "250", "450 4.7.1"]


def test_the_daemon_agrees_with_the_plain_model(make_policy: MakePolicy, bed: Path, sink: Sink) -> None:
    """Three rules, three senders, one to four recipients: each message passes exactly when the model lets it."""
    rules = (
        "{name: m, key: sender, rate: 9/1h}",
        "{name: r, key: sender, counts: recipients, rate: 20/1h, burst: 3}",
        "{name: all, key: server, counts: recipients, rate: 40/1d}",
    )
    postfix, (port,), (path,) = asking_postfix(bed / "postfix", sink.port)
    make_policy(path, settings=limited(*rules))
    random, model, expected, outcomes = Random(7), PlainLimits(), [], []
    with postfix, smtplib.SMTP("127.0.0.1", port) as client:
        client.ehlo()
        for number in range(80):
            sender, count = random.choice("abc"), random.randint(1, 4)
            demands = (
                Demand("m", sender, 1, 9, 3600),
                Demand("r", sender, count, 20, 3600, 3),
                Demand("all", "", count, 40, 86_400),
            )
            verdict = model.take(f"{number}", demands, 1_800_000_000_000)
            expected.append("250" if verdict.allowed else "550 5.7.1" if verdict.never_fits else "450 4.7.1")
            outcomes.append(send(client, f"{sender}@example.org", *(f"r{n}@example.net" for n in range(count))))
    assert outcomes == expected
    assert set(expected) == {"250", "450 4.7.1", "550 5.7.1"}


def test_a_daemon_killed_under_load_costs_its_default_and_no_count(
    make_policy: MakePolicy, bed: Path, sink: Sink
) -> None:
    """kill -9 while eight clients send: 451 until it is back, then mail again; no more pass than were counted."""
    postfix, (port,), (path,) = asking_postfix(bed / "postfix", sink.port)
    limit = "{name: per-sender, key: sender, rate: 60/1h}"
    daemon = make_policy(path, settings=limited(limit))
    outcomes: list[str] = []
    stop = threading.Event()

    def keep_sending(number: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
            client.ehlo()
            while not stop.is_set():
                outcomes.append(send(client, "anna@example.org", f"r{number}@example.net"))

    with postfix:
        clients = [threading.Thread(target=keep_sending, args=(number,)) for number in range(8)]
        for client in clients:
            client.start()
        try:
            until(lambda: outcomes.count("250") >= 20, 20, "twenty passed", postfix.alive)
            daemon.kill()
            until(lambda: "451 4.3.0" in outcomes, 20, "the default action", postfix.alive)
            daemon.start()
            until(lambda: "450 4.7.1" in outcomes, 40, "over the limit", postfix.alive)
        finally:
            stop.set()
            for client in clients:
                client.join(60)
        counts = Counter(outcomes)
        assert set(counts) == {"250", "451 4.3.0", "450 4.7.1"}
        # A take whose answer died with the daemon, asked again in vain: at most one for each client.
        assert 60 - len(clients) <= counts["250"] <= 60


def port_25(bed: Path, sink: Sink, settings: Mapping[str, str]) -> tuple[PrivatePostfix, int]:
    """A Postfix not started yet, with the lists of policy.main.cf as they stand, and the port; it believes XCLIENT."""
    port = free_port()
    postfix = PrivatePostfix(
        bed / "postfix",
        ("127.0.0.1", sink.port),
        handover=False,
        smtp_ports={port: {"smtpd_authorized_xclient_hosts": "127.0.0.1", **PATIENT}},
        settings={
            **PIECE,
            "relay_domains": "example.net",
            "relay_transport": f"smtp:[127.0.0.1]:{sink.port}",
            **settings,
        },
    )
    return postfix, port


def outcomes_at(port: int, client_address: str, sender: str, *recipients: str, login: str = "") -> list[str]:
    """What becomes of a message to each of them, from a client of that address, logged in or not."""
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.ehlo()
        logged_in = f" LOGIN={login}" if login else ""
        assert client.docmd("XCLIENT", f"ADDR={client_address} NAME=[UNAVAILABLE]{logged_in}")[0] == 220
        client.ehlo()
        return [send(client, sender, recipient) for recipient in recipients]


@pytest.fixture
def policy_of_one(make_policy: MakePolicy, bed: Path) -> PolicyDaemon:
    """Lets each sender send once, and nobody to jane."""
    path = bed / "postfix" / "queue" / "postroom" / "policy.sock"
    daemon = make_policy(path, settings=limited("{name: one, key: sender, rate: 1/1h}"))
    assert daemon.command("suppress", "add", "jane@example.net").returncode == 0
    return daemon


THREE = ("john@example.net", "john@example.net", "jane@example.net")


def test_port_25_limits_our_own_hosts_and_not_the_world(policy_of_one: PolicyDaemon, bed: Path, sink: Sink) -> None:
    """Without the daemon the world's mail goes on and ours waits; nothing of it makes Postfix warn before."""
    postfix, port = port_25(bed, sink, {})
    with postfix:
        assert outcomes_at(port, "127.0.0.1", "anna@example.com", *THREE) == ["250", "450 4.7.1", "550 5.1.1"]
        assert outcomes_at(port, "192.0.2.9", "anna@example.com", *THREE) == ["250", "250", "250"]
        assert not postfix.warnings()
        policy_of_one.stop()
        assert outcomes_at(port, "192.0.2.9", "anna@example.com", "jane@example.net") == ["250"]
        assert outcomes_at(port, "127.0.0.1", "anna@example.com", "john@example.net") == ["451 4.3.0"]


def test_port_25_limits_who_has_logged_in_from_anywhere(policy_of_one: PolicyDaemon, bed: Path, sink: Sink) -> None:
    """A stolen password passes by no limit. Postfix speaks of the login, and has no status of an address for it."""
    postfix, port = port_25(bed, sink, {"smtpd_sasl_auth_enable": "yes"})
    refused = ["250", "450 4.7.1", "550 5.0.0"]
    with postfix:
        assert outcomes_at(port, "192.0.2.9", "eve@example.com", *THREE, login="eve") == refused
        assert outcomes_at(port, "127.0.0.1", "joe@example.com", *THREE, login="joe") == refused
        assert outcomes_at(port, "192.0.2.9", "eve@example.com", *THREE) == ["250", "250", "250"]
        policy_of_one.stop()
        assert outcomes_at(port, "192.0.2.9", "eve@example.com", "john@example.net", login="eve") == ["451 4.3.0"]
