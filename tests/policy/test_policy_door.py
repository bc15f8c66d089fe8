"""The policy daemon as a process, on its socket: what it answers, and what nobody can make it do."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextlib import suppress as suppress_errors
from pathlib import Path

import apsw
import pytest
from tests.policy.conftest import MakePolicy, limited

from postroom.mail.tokens import mint
from sandbox.policy import PolicyClient, PolicyDaemon, end_of_message, request
from sandbox.process import until

pytestmark = pytest.mark.process

PER_SENDER = "{name: per-sender, key: sender, rate: 3/1h}"
OVER = "450 4.7.1 Over the limit per-sender, try again later"


def suppress(daemon: PolicyDaemon, address: str) -> None:
    done = daemon.command("suppress", "add", address)
    assert done.returncode == 0, done.stderr


# What it answers


def test_mail_over_a_limit_is_told_to_come_back_and_costs_nothing(make_policy: MakePolicy) -> None:
    """Three pass, the fourth waits; another sender is not touched. RCPT counts nothing."""
    daemon = make_policy(settings=limited(PER_SENDER))
    with PolicyClient(daemon.socket) as client:
        assert [client.ask(request(instance="r")) for _ in range(10)] == ["DUNNO"] * 10
        answers = [client.ask(end_of_message(f"{number}")) for number in range(5)]
        assert answers == ["DUNNO"] * 3 + [OVER] * 2
        assert client.ask(end_of_message("other", sender="bert@example.org")) == "DUNNO"
        assert client.ask(end_of_message("null", sender="")) == "DUNNO", "the null sender is no sender"
        assert client.ask(end_of_message("plus", sender="Anna+x@EXAMPLE.org")) == OVER


def test_a_request_asked_again_is_counted_once(make_policy: MakePolicy) -> None:
    """A lost reply: Postfix asks again with the same instance, on another connection, after a restart."""
    daemon = make_policy(settings=limited(PER_SENDER))
    for _ in range(3):
        with PolicyClient(daemon.socket) as client:
            assert client.ask(end_of_message("1.2.3")) == "DUNNO"
    daemon.kill()
    daemon.start()
    with PolicyClient(daemon.socket) as client:
        assert client.ask(end_of_message("1.2.3")) == "DUNNO"
        assert [client.ask(end_of_message(instance)) for instance in "abc"] == ["DUNNO", "DUNNO", OVER]
        assert client.ask(end_of_message("1.2.3")) == "DUNNO", "the first verdict holds over the limit"


def test_another_try_in_one_transaction_is_counted(make_policy: MakePolicy) -> None:
    """Postfix gives it the same instance and another queue id; it may have other recipients."""
    daemon = make_policy(settings=limited("{name: r, key: sender, counts: recipients, rate: 5/1h}"))
    with PolicyClient(daemon.socket) as client:
        assert client.ask(end_of_message("1.2.3", queue_id="4First0", recipient_count=1)) == "DUNNO"
        assert client.ask(end_of_message("1.2.3", queue_id="4Second", recipient_count=4)) == "DUNNO"
        assert client.ask(end_of_message("1.2.3", queue_id="4Third0", recipient_count=1)).startswith("450 ")


def test_recipients_noted_at_rcpt_are_counted_at_the_end_by_whoever_is_asked(
    make_policy: MakePolicy, bed: Path
) -> None:
    """Two daemons on one store: one hears of the recipients, the other counts them, all or none."""
    settings = limited("{name: per-recipient, key: recipient, rate: 1/1h}")
    one = make_policy(settings=settings)
    other = make_policy(settings=settings, state_dir=one.state_dir)
    with PolicyClient(one.socket) as hears, PolicyClient(other.socket) as counts:
        for recipient in ("a@example.net", "b@example.net"):
            assert hears.ask(request(instance="1", recipient=recipient)) == "DUNNO"
        assert counts.ask(end_of_message("1", recipient="", recipient_count=2)) == "DUNNO"
        assert hears.ask(end_of_message("2", recipient="b@example.net")).startswith("450 4.7.1 ")
        for recipient in ("b@example.net", "c@example.net"):
            counts.ask(request(instance="3", recipient=recipient))
        assert hears.ask(end_of_message("3", recipient="", recipient_count=2)).startswith("450 4.7.1 ")
        assert counts.ask(end_of_message("4", recipient="c@example.net")) == "DUNNO", "refused with b, c cost nothing"


def test_a_return_address_that_is_not_ours_is_refused_where_the_world_delivers(make_policy: MakePolicy) -> None:
    """At RCPT, before Postfix would have to send it back; addresses elsewhere are none of our business."""
    daemon = make_policy()
    key = (daemon.state_dir / "keys" / "return-path.key").read_bytes()
    ours, foreign = mint(key, b"8 octets", time.time()), mint(bytes(32), b"8 octets", time.time())
    old = mint(key, b"8 octets", time.time() - 40 * 86_400)
    with PolicyClient(daemon.socket) as client:

        def asked(address: str, **attributes: str) -> str:
            return client.ask(request(policy_context="inbound", recipient=address, **attributes))

        for local in (ours, ours.upper(), "complaints"):
            assert asked(f"{local}@bounces.example.org") == "DUNNO"
        for local in (foreign, old, "postmaster", "", f"x+{ours}"):
            assert asked(f"{local}@Bounces.Example.ORG") == "550 5.1.1 No such return address"
        assert asked("jane@example.org") == asked(f"{foreign}@example.net") == "DUNNO"
        assert asked(f"{foreign}@bounces.example.org", protocol_state="DATA") == "DUNNO"


def test_more_recipients_than_ever_fit_are_refused_for_good(make_policy: MakePolicy) -> None:
    """550, so that the mail does not wait for what cannot come; just as many as fit pass."""
    daemon = make_policy(
        settings=limited("{name: recipients, key: login, counts: recipients, rate: 100/1h, burst: 10}")
    )
    with PolicyClient(daemon.socket) as client:
        large = end_of_message("1", recipient="", recipient_count=11, sasl_username="anna")
        assert client.ask(large) == "550 5.7.1 More recipients than the limit recipients allows at once"
        assert client.ask(end_of_message("2", recipient="", recipient_count=10, sasl_username="anna")) == "DUNNO"
        assert client.ask(end_of_message("3", sasl_username="anna")).startswith("450 4.7.1 ")
        assert client.ask(end_of_message("4", recipient="", recipient_count=11)) == "DUNNO", "without a login"


def test_counted_at_rcpt_the_message_is_counted_with_its_first_recipient(make_policy: MakePolicy) -> None:
    """Where Postfix asks at RCPT only: 2 messages and 3 recipients an hour; a recipient asked again is free."""
    daemon = make_policy(
        settings=limited(
            "{name: messages, key: sender, rate: 2/1h}",
            "{name: recipients, key: sender, counts: recipients, rate: 3/1h}",
        ),
        policy="count_at: rcpt",
    )
    with PolicyClient(daemon.socket) as client:

        def rcpt(instance: str, local: str) -> str:
            return client.ask(request(instance=instance, recipient=f"{local}@example.net"))

        assert [rcpt("1", "a"), rcpt("1", "b"), rcpt("1", "b"), rcpt("1", "a")] == ["DUNNO"] * 4
        assert client.ask(end_of_message("1", recipient="", recipient_count=2)) == "DUNNO"
        assert rcpt("2", "a") == "DUNNO"
        assert rcpt("2", "b") == "450 4.7.1 Over the limit recipients, try again later"
        assert rcpt("3", "a").startswith("450 4.7.1 Over the limit "), "two messages and three recipients are counted"


def test_a_user_of_this_host_is_counted_also_when_gone_by_the_end(make_policy: MakePolicy) -> None:
    """On another connection of Postfix's than at the start; to a daemon that never saw the client it is unknown."""
    daemon = make_policy(settings=limited("{name: per-user, key: uid, rate: 9/1h}"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as client:
            ends: dict[str, str | int] = {
                "client_address": "127.0.0.1",
                "client_port": client.getsockname()[1],
                "server_address": "127.0.0.1",
                "server_port": listener.getsockname()[1],
            }
            with PolicyClient(daemon.socket) as asks:
                assert asks.ask(request(instance="1", **ends)) == "DUNNO"
        with PolicyClient(daemon.socket) as asks:
            assert asks.ask(end_of_message("1", **ends)) == "DUNNO"
            assert asks.ask(end_of_message("2", **ends)) == "DUNNO"
            assert asks.ask(end_of_message("3", client_address="192.0.2.1")) == "DUNNO"
    uids = [re.findall(r" uid=(\w+)", line) for line in daemon.log().splitlines() if "state=END-OF-MESSAGE" in line]
    assert uids == [[str(os.geteuid())], ["unknown"], []]


def test_this_host_is_one_client_address(make_policy: MakePolicy) -> None:
    """Twelve addresses of 127.0.0.0/8, and IPv6, are one count; a neighbour has his own."""
    daemon = make_policy(settings=limited("{name: per-address, key: client_address, rate: 3/1h}"))
    addresses = ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.4", *(f"127.7.0.{at}" for at in range(12))]
    with PolicyClient(daemon.socket) as asks:
        answers = [asks.ask(end_of_message(address, client_address=address)) for address in addresses]
        assert [answer[:3] for answer in answers] == ["DUN"] * 3 + ["450"] * 13
        assert asks.ask(end_of_message("other", client_address="192.0.2.1")) == "DUNNO"


def test_a_recipient_is_checked_at_rcpt(make_policy: MakePolicy) -> None:
    """With the reason, at both doors that speak SMTP; what the world sends in is not asked about."""
    daemon = make_policy()
    suppress(daemon, "jane@example.net")
    with PolicyClient(daemon.socket) as client:
        for asked, refusal in (
            ("jane@example.net", "550 5.1.1 recipient is suppressed: manual, since "),
            ("Jane@EXAMPLE.net", "550 5.1.1 recipient is suppressed: manual, since "),
            ("jane doe@example.net", "553 5.1.3 bad recipient address: "),
            ("john@example.net", "DUNNO"),
        ):
            for context in ("smtp", "sendmail"):
                assert client.ask(request(recipient=asked, policy_context=context)).startswith(refusal)
            assert client.ask(request(recipient=asked, policy_context="inbound")) == "DUNNO"
            assert client.ask(request(recipient=asked, protocol_state="DATA")) == "DUNNO"


SENDERS = """
senders:
  allow:
    - {addresses: [anna@example.org], logins: [anna]}
    - {domains: [example.org], networks: [192.0.2.0/24]}
"""


def test_a_sender_that_is_anothers_counts_with_who_names_it(make_policy: MakePolicy) -> None:
    """A login uses up its own room, whatever form of the address it takes, and never that of the address."""
    daemon = make_policy(settings=limited("{name: per-sender, key: sender, rate: 1/1h}") + SENDERS)
    abroad = "198.51.100.1"
    with PolicyClient(daemon.socket) as client:

        def sent(instance: str, login: str, sender: str, address: str = abroad) -> str:
            return client.ask(end_of_message(instance, sasl_username=login, sender=sender, client_address=address))[:3]

        assert sent("1", "eve", "anna@example.org") == "DUN"
        assert sent("2", "eve", "SRS0=Ht5k=7X=example.org=anna@forward.example.net") == "450"
        assert sent("3", "eve", "prvs=0123abcdef=anna+x@example.org") == "450"
        assert sent("4", "bob", "anna@example.org") == "DUN"
        assert sent("5", "", "anna@example.org") == "DUN"
        assert sent("6", "anna", "anna@example.org") == "DUN"
        assert sent("7", "anna", "anna@example.org") == "450"
        assert sent("8", "", "boss@example.org", "192.0.2.7") == "DUN"
        assert sent("9", "eve", "eve@example.net") == "DUN"
        assert [sent(f"null{at}", "eve", "") for at in range(2)] == ["DUN"] * 2


def test_a_sender_that_is_anothers_is_refused_where_the_table_says_so(make_policy: MakePolicy) -> None:
    """At RCPT, after a reload, at no cost; the null sender and other domains pass."""
    settings = limited("{name: per-login, key: login, rate: 1/1h}") + SENDERS
    daemon = make_policy(settings=settings + "  others: unsigned\n")
    refused = "550 5.7.1 You may not send with this envelope sender"
    with PolicyClient(daemon.socket) as client:

        def named(login: str, sender: str) -> str:
            return client.ask(request(sasl_username=login, sender=sender, client_address="198.51.100.1"))

        assert named("eve", "anna@example.org") == "DUNNO"
        daemon.change("others: unsigned", "others: refuse")
        daemon.reload()
        for sender in ("anna@example.org", "boss@EXAMPLE.org", "SRS0=Ht5k=7X=example.org=anna@forward.example.net"):
            assert named("eve", sender) == refused
        assert named("anna", "anna+x@example.org") == named("eve", "") == named("eve", "eve@example.net") == "DUNNO"
        assert named("anna", "boss@example.org") == refused
        assert client.ask(end_of_message("1", sasl_username="eve", sender="eve@example.net")) == "DUNNO"
    assert "rule=sender_not_allowed" in daemon.log()


def test_who_may_sign_for_nothing_is_not_told_why_a_recipient_is_suppressed(make_policy: MakePolicy) -> None:
    """Not since when, by what or with which status; at the sendmail door nobody is, for users read its answers."""
    daemon = make_policy(settings=limited() + "  []\n" + SENDERS)
    suppress(daemon, "jane@example.net")
    short = "550 5.1.1 recipient gets no mail from here (recipient_suppressed); ask the postmaster of this host"
    whole = "550 5.1.1 recipient is suppressed: manual, since 20"
    with PolicyClient(daemon.socket) as client:

        def told(**attributes: str) -> str:
            return client.ask(request(recipient="jane@example.net", **{"client_address": "198.51.100.1", **attributes}))

        assert told() == told(sasl_username="eve") == told(client_address="127.0.0.1") == short
        assert told(policy_context="sendmail", client_address="127.0.0.1") == short
        assert told(sasl_username="anna").startswith(whole)
        assert told(client_address="192.0.2.7").startswith(whole)
        assert told(policy_context="inbound") == "DUNNO"


def test_what_is_not_of_the_smtp_door_is_not_counted_here(make_policy: MakePolicy) -> None:
    """The milter counts for sendmail, nobody for inbound; a context that is none passes with a warning, once."""
    daemon = make_policy(settings=limited("{name: none, key: server, rate: 1/1h}"))
    with PolicyClient(daemon.socket) as client:
        for context in ("inbound", "sendmail", "submission", "", "submission"):
            for number in range(3):
                assert client.ask(end_of_message(f"{context}{number}", policy_context=context)) == "DUNNO"
    warned = re.findall(r"policy.context_unknown context=(\S+)", daemon.log())
    assert warned == ["submission", '""']


def test_the_log_tells_who_was_over_which_limit(make_policy: MakePolicy) -> None:
    """One line, with the key hashed, as `postroom limits` takes it."""
    daemon = make_policy(settings=limited("{name: one, key: sender, rate: 1/1h}"))
    with PolicyClient(daemon.socket) as client:
        client.ask(end_of_message("1", queue_id="4XyZ1k2"))
        client.ask(end_of_message("2", queue_id="4XyZ1k3"))
    passed, refused = (line for line in daemon.log().splitlines() if "policy.answered" in line)
    assert "queue_id=4XyZ1k2 state=END-OF-MESSAGE context=smtp action=dunno by=store took_ms=" in passed
    assert re.search(
        r'queue_id=4XyZ1k3 state=END-OF-MESSAGE context=smtp action="450 4.7.1" rule=one '
        r"key=sender:#[0-9a-f]{32} used=1 limit=1 window_s=3600 by=store took_ms=\d+$",
        refused,
    )


# What nobody can make it do


def test_a_request_may_come_octet_by_octet(make_policy: MakePolicy) -> None:
    """And the next one in the same packet as its end."""
    daemon = make_policy()
    with PolicyClient(daemon.socket) as client:
        whole = request()
        for octet in whole[:-1]:
            client.sock.sendall(bytes([octet]))
        client.sock.sendall(whole[-1:] + whole)
        octets = b""
        while len(octets) < 2 * len(b"action=DUNNO\n\n"):
            octets += client.sock.recv(1000)
        assert octets == b"action=DUNNO\n\n" * 2
        client.sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.sock.recv(1), "not one stray octet"


def test_what_is_no_request_ends_its_connection_only(make_policy: MakePolicy) -> None:
    """A megabyte without an end, NUL, 10,000 attributes, HTTP, nothing: no answer, a line in the log each.

    Others are served as before.
    """
    daemon = make_policy()
    with PolicyClient(daemon.socket) as good:
        for octets, reason in (
            (b"x=y\n" * 250_000, "a request of more than 65536 octets"),
            (request()[:-1] + b"x=\0\n\n", "a NUL in a request"),
            (request()[:-1] + b"x=y\n" * 10_000 + b"\n", "a request of more than 200 attributes"),
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\n\n", "a line that is not an attribute"),
            (b"\n\n", "a line that is not an attribute"),
        ):
            logged = len(daemon.log())
            # Where octets are left unread the hang-up is a reset.
            with PolicyClient(daemon.socket) as bad, suppress_errors(ConnectionError):
                bad.sock.sendall(octets)
                assert bad.sock.recv(1) == b""
            assert good.ask(request()) == "DUNNO"
            (line,) = (line for line in daemon.log()[logged:].splitlines() if "policy." in line)
            assert f'policy.malformed reason="{reason}"' in line


def test_a_thousand_idle_connections_keep_nobody_out(make_policy: MakePolicy) -> None:
    """One for each smtpd process; the thousand-and-first is answered as quickly, and all are still there."""
    daemon = make_policy()
    clients = [PolicyClient(daemon.socket) for _ in range(1000)]
    try:
        started = time.monotonic()
        with PolicyClient(daemon.socket) as client:
            assert client.ask(request()) == "DUNNO"
        assert time.monotonic() - started < 5.0
        for client in clients[::100]:
            assert client.ask(request()) == "DUNNO"
    finally:
        for client in clients:
            client.close()


def test_a_client_that_hangs_up_inside_its_request_is_no_fault_of_ours(make_policy: MakePolicy) -> None:
    """smtpd was killed: nothing is logged, the next is served."""
    daemon = make_policy()
    for part in (b"", request()[:40], request()):
        with PolicyClient(daemon.socket) as client:
            client.sock.sendall(part)
    with PolicyClient(daemon.socket) as client:
        assert client.ask(request()) == "DUNNO"
    assert " warning: policy." not in daemon.log()


# Without its store


HOLD = """
import apsw, sys
connections = [apsw.Connection(path) for path in sys.argv[1:]]
for connection in connections:
    connection.set_busy_timeout(5000)
    connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
"""


@contextmanager
def locked(*databases: Path) -> Iterator[Callable[[], None]]:
    """Another process holds these files, until what is given is called, or to the end."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, *databases], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        def release() -> None:
            holder.communicate("\n", 10)

        yield release


def test_a_locked_store_is_answered_within_the_budget_and_counted_here(make_policy: MakePolicy) -> None:
    """Another process holds both files: the first answer is in time, the limit holds, then the store decides again."""
    daemon = make_policy(settings=limited(PER_SENDER))
    shared = daemon.state_dir / "shared"
    with (
        locked(shared / "limits.db", shared / "shared.db") as release,
        PolicyClient(daemon.socket) as client,
    ):
        answers = []
        for number in range(5):
            started = time.monotonic()
            answers += [client.ask(request(instance=f"{number}")), client.ask(end_of_message(f"{number}"))]
            assert time.monotonic() - started < 5.0
        assert answers == ["DUNNO"] * 7 + [OVER, "DUNNO", OVER]
        assert 'store.unavailable store=limits error="timeout after 0.4 s" effect="in-process limiter"' in daemon.log()
        assert " by=process " in daemon.log()
        release()

        def decided_by_the_store() -> bool:
            return client.ask(end_of_message("after", sender="carl@example.org")) == "DUNNO" and (
                "store.available store=limits" in daemon.log()
            )

        until(decided_by_the_store, 5, "the store decides again", daemon.alive)


@pytest.mark.parametrize("damage", ["missing", "no store", "no right"])
def test_a_store_that_cannot_be_opened_costs_no_answer(make_policy: MakePolicy, damage: str) -> None:
    """Files gone, overwritten or closed to us: limits are counted in the process, recipients pass unasked."""
    daemon = make_policy(settings=limited(PER_SENDER))
    daemon.kill()
    shared = daemon.state_dir / "shared"
    for name in ("limits.db", "shared.db"):
        for path in shared.glob(f"{name}-*"):
            path.unlink()
        match damage:
            case "missing":
                (shared / name).unlink()
            case "no store":
                (shared / name).write_bytes(b"no store\n" * 1000)
            case "no right":
                (shared / name).unlink()
                (shared / name).mkdir()
    daemon.start()
    with PolicyClient(daemon.socket) as client:
        started = time.monotonic()
        assert client.ask(request()) == "DUNNO"
        assert [client.ask(end_of_message(f"{number}")) for number in range(4)] == ["DUNNO"] * 3 + [OVER]
        assert time.monotonic() - started < 5.0
    assert 'effect="suppressed recipients pass"' in daemon.log()


def test_each_limit_says_what_it_does_without_the_store(make_policy: MakePolicy) -> None:
    """`defer` refuses for now; `allow` lets pass."""
    daemon = make_policy(
        settings=limited(
            "{name: strict, key: login, rate: 9/1h, on_store_loss: defer}",
            "{name: lax, key: sender, rate: 1/1h, on_store_loss: allow}",
        )
    )
    (daemon.state_dir / "shared" / "limits.db").rename(daemon.state_dir / "gone")
    with PolicyClient(daemon.socket) as client:
        assert [client.ask(end_of_message(f"{number}")) for number in range(3)] == ["DUNNO"] * 3
        assert client.ask(end_of_message("4", sasl_username="a")) == "450 4.7.1 Over the limit strict, try again later"


# The end


def test_what_was_asked_is_answered_before_the_end(make_policy: MakePolicy) -> None:
    """SIGTERM: the answer under way goes out, idle connections end, exit 0, no socket file."""
    daemon = make_policy()
    with PolicyClient(daemon.socket) as idle, PolicyClient(daemon.socket) as asks:
        assert idle.ask(request()) == "DUNNO"
        asks.sock.sendall(request())
        assert asks.answer() == "DUNNO"
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.wait(10) == 0
        assert idle.sock.recv(1) == b""
    assert not daemon.socket.exists()
    assert "daemon.stopped" in daemon.last_words()


def test_a_reload_takes_new_limits_whole_or_not_at_all(make_policy: MakePolicy) -> None:
    """On open connections, with what was counted; a fault is told with its line and mend, and changes nothing."""
    daemon = make_policy(settings=limited(PER_SENDER), policy="budget: 2s")
    with PolicyClient(daemon.socket) as client:
        assert client.ask(end_of_message("1")) == "DUNNO"
        daemon.change("rate: 3/1h", "rate: 1/1h")
        daemon.change("budget: 2s", "budget: 9s")
        refused = daemon.reload()
        line = daemon.config.read_text().splitlines().index("  budget: 9s") + 1
        assert f"{daemon.config}:{line}: policy.budget: 9s is too close to the 5s that Postfix waits; write" in refused
        assert client.ask(end_of_message("2")) == "DUNNO", "the limit of three still holds"
        daemon.change("budget: 9s", "budget: 3s")
        daemon.change("socket_mode: 0666", "socket_mode: 0600")
        taken = daemon.reload()
        assert " warning: daemon.needs_restart settings=policy.socket_mode " in taken
        assert client.ask(end_of_message("3")) == OVER
        assert client.ask(end_of_message("other", sender="bert@example.org")) == "DUNNO"


def test_a_reload_takes_a_shorter_budget_for_noted_recipients_too(make_policy: MakePolicy) -> None:
    """A locked store leaves time for the answer at RCPT."""
    daemon = make_policy(settings=limited("{name: one, key: recipient, rate: 9/1h}"), policy="budget: 4s")
    daemon.change("budget: 4s", "budget: 1s")
    daemon.reload()
    with locked(daemon.state_dir / "shared" / "limits.db"), PolicyClient(daemon.socket) as client:
        assert client.ask(request()) == "DUNNO"
    assert 'store.unavailable store=limits error="timeout after 0.4 s"' in daemon.log()


def test_a_daemon_without_its_key_is_told_how_to_make_it(make_policy: MakePolicy) -> None:
    """Exit 78, one line."""
    daemon = make_policy()
    daemon.stop()
    key = daemon.state_dir / "keys" / "recipient-hash.key"
    key.rename(daemon.state_dir / "away")
    refused = daemon.command("policy")
    assert refused.returncode == 78
    assert f"{key}: cannot be read (No such file or directory); mend: `postroom store init`" in refused.stderr
    (daemon.state_dir / "away").rename(key)


def test_its_beats_tell_what_it_does(make_policy: MakePolicy) -> None:
    """Messages let through by door, refusals and open connections reach the shared store; others are no messages."""
    daemon = make_policy(settings=limited(PER_SENDER))
    with PolicyClient(daemon.socket) as client:
        for number in range(5):
            client.ask(request(instance=f"{number}"))
            client.ask(end_of_message(f"{number}"))
        for context in ("sendmail", "inbound", "nonsense"):
            client.ask(end_of_message(context, policy_context=context))

    def samples() -> dict[str, float]:
        connection = apsw.Connection(str(daemon.state_dir / "shared" / "shared.db"), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            rows = connection.execute("SELECT samples FROM beats WHERE word = 'policy'").fetchall()
        finally:
            connection.close()
        return json.loads(str(rows[0][0])) if rows else {}

    until(lambda: samples().get("postroom_policy_requests_total") == 13, 20, "its beat", daemon.alive)
    counted = {name: value for name, value in samples().items() if "messages" in name or "refused" in name}
    assert counted == {
        "postroom_policy_messages_smtp_total": 3,
        "postroom_policy_messages_sendmail_total": 1,
        "postroom_policy_refused_total": 2,
    }
    assert "postroom_policy_connections" in samples()
