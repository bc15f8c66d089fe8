"""The submission daemon with the real Postfix and a world behind it."""

import asyncio
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.submission.api.http_bed import PLAIN, WELCOME
from tests.submission.conftest import MakeDaemon

from postroom.postfix.showq import queue_ids
from sandbox.daemon import SubmissionDaemon
from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.sink import Sink

pytestmark = pytest.mark.postfix

QUICK = "away_retry_max: 1s\nretry_first: 1s"


def states(daemon: SubmissionDaemon, message: str) -> list[str]:
    return [delivery["state"] for delivery in daemon.message(message)["deliveries"]]


def delivery_of(daemon: SubmissionDaemon, message: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The only delivery of a message, once this holds of it."""

    def delivery() -> dict[str, Any]:
        only: dict[str, Any] = daemon.message(message)["deliveries"][0]
        return only

    until(lambda: holds(delivery()), 15, "the delivery so", daemon.alive)
    return delivery()


def test_a_template_for_two_people_becomes_two_mails(
    make_daemon: MakeDaemon, postfix: PrivatePostfix, sink: Sink
) -> None:
    """One Message-ID, each with an envelope sender of its own."""
    daemon = make_daemon(postfix.handover_socket.parent)
    answer = daemon.post({**WELCOME, "to": ["Zaphod <zaphod@example.net>", "b@example.net"]})
    until(lambda: len(sink.messages()) == 2, 15, "two mails")
    mails = sorted(sink.messages(), key=lambda mail: mail.recipients)
    assert [mail.recipients for mail in mails] == [("b@example.net",), ("zaphod@example.net",)]
    assert all(re.fullmatch(r"pr[a-z2-7]{26}@bounces\.example\.org", mail.sender) for mail in mails)
    assert mails[0].sender != mails[1].sender
    assert {mail.message()["Message-ID"] for mail in mails} == {answer.document["message_id"]}
    assert {mail.message()["To"] for mail in mails} == {"Zaphod <zaphod@example.net>, b@example.net"}
    until(lambda: states(daemon, answer.document["id"]) == ["queued", "queued"], 5, "both queued")
    queue = [delivery["queue_id"] for delivery in daemon.message(answer.document["id"])["deliveries"]]
    assert [postfix.statuses(queue_id) for queue_id in queue] == [["sent"], ["sent"]]


def test_mail_accepted_while_postfix_is_stopped_goes_out_once(
    make_daemon: MakeDaemon, postfix: PrivatePostfix, sink: Sink
) -> None:
    """It waits with the reason; after the start it is delivered, each once."""
    daemon = make_daemon(postfix.handover_socket.parent, handover_settings=QUICK)
    postfix.stop()
    messages = [daemon.post(PLAIN).document["id"] for _ in range(5)]
    waiting = delivery_of(daemon, messages[0], lambda delivery: "reason" in delivery)
    assert waiting["reason"] == f"{postfix.handover_socket}: Postfix is not running; mend: start it"
    assert (waiting["state"], waiting["attempts"]) == ("accepted", 0)
    assert daemon.command("status").returncode == 1
    postfix.start()
    until(lambda: len(sink.messages()) == 5, 15, "five mails")
    for message in messages:
        assert delivery_of(daemon, message, lambda delivery: delivery["state"] == "queued")["attempts"] == 1
    assert len({mail.message()["Message-ID"] for mail in sink.messages()}) == 5
    assert len(sink.messages()) == 5


def test_mail_too_large_for_postfix_fails_with_its_words(make_daemon: MakeDaemon, bed: Path, sink: Sink) -> None:
    """message_size_limit is Postfix's; what it says is shown, and mail that fits goes out behind it."""
    settings = {"message_size_limit": "20000"}
    with PrivatePostfix(bed / "postfix", ("127.0.0.1", sink.port), settings=settings) as postfix:
        daemon = make_daemon(postfix.handover_socket.parent)
        large = daemon.post({**PLAIN, "text": "The Quokka is well.\n" * 2000}).document["id"]
        small = daemon.post(PLAIN).document["id"]
        failed = delivery_of(daemon, large, lambda delivery: delivery["state"] == "failed")
        assert failed["enhanced_status"] == "5.3.4"
        assert failed["reason"].startswith("552 5.3.4 ")
        delivery_of(daemon, small, lambda delivery: delivery["state"] == "queued")
        assert daemon.command("status", large).returncode == 1


def test_a_recipient_postfix_refuses_fails_alone(make_daemon: MakeDaemon, bed: Path, sink: Sink) -> None:
    """Of 50 recipients every second is unknown: 25 fail with 5.1.1, 25 arrive."""
    known = ", ".join(f"k{number}@example.net=x" for number in range(25))
    settings = {
        "relay_domains": "example.net",
        "relay_recipient_maps": f"inline:{{{known}}}",
        "relay_transport": f"smtp:[127.0.0.1]:{sink.port}",
    }
    with PrivatePostfix(bed / "postfix", ("127.0.0.1", sink.port), settings=settings) as postfix:
        daemon = make_daemon(postfix.handover_socket.parent)
        recipients = [f"{kind}{number}@example.net" for number in range(25) for kind in ("k", "u")]
        message = daemon.post({**PLAIN, "to": recipients}).document["id"]
        until(lambda: states(daemon, message) == ["queued", "failed"] * 25, 15, "all settled", daemon.alive)
        unknown = {
            delivery["enhanced_status"]
            for delivery in daemon.message(message)["deliveries"]
            if delivery["state"] == "failed"
        }
        assert unknown == {"5.1.1"}
        until(lambda: len(sink.messages()) == 25, 15, "25 mails")


def test_a_daemon_outside_group_postdrop_is_told_so(bed: Path, postfix: PrivatePostfix) -> None:
    """EACCES becomes a sentence with what to do; the mail waits, and goes out once the group is right."""
    daemon = SubmissionDaemon(bed / "d", postfix.handover_socket.parent, handover_settings=QUICK)
    daemon.init()
    # Our own uid, so that it can enter a checkout in a 0700 home; without root's way around modes.
    without = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--regid=nogroup", "--clear-groups")
    try:
        daemon.start(prefix=without)
        message = daemon.post(PLAIN).document["id"]
        waiting = delivery_of(daemon, message, lambda delivery: "reason" in delivery)
        assert waiting["reason"] == (
            f"{postfix.handover_socket}: permission denied; "
            "mend: add this daemon's user to group postdrop, then restart it"
        )
        daemon.stop()
        daemon.start(prefix=(*without[:3], "--groups=postdrop"))
        delivery_of(daemon, message, lambda delivery: delivery["state"] == "queued")
    finally:
        daemon.stop()


def test_postfix_keeps_the_id_as_the_envelope_id(make_daemon: MakeDaemon, bed: Path) -> None:
    """A DSN names the message by it (RFC 3461 §4.4), and returns headers only."""
    with PrivatePostfix(bed / "postfix", ("127.0.0.1", 9)) as postfix:
        daemon = make_daemon(postfix.handover_socket.parent)
        message = daemon.post(PLAIN).document["id"]
        queue_id = delivery_of(daemon, message, lambda delivery: delivery["state"] == "queued")["queue_id"]
        kept = subprocess.run(
            ["/usr/sbin/postcat", "-c", postfix.config_directory, "-e", "-q", queue_id],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert f"envelope_id={message}\n" in kept
        assert "ret_flags=2\n" in kept, "2 is DSN_RET_HDRS (Postfix src/global/dsn_mask.h)"


def test_the_queue_of_the_real_postfix_is_read(make_daemon: MakeDaemon, bed: Path) -> None:
    """Whatever this Postfix's showq says can be read: the envelope sender of each mail, with its queue id."""
    with PrivatePostfix(bed / "postfix", ("127.0.0.1", 9)) as postfix:
        daemon = make_daemon(postfix.handover_socket.parent)
        for _ in range(3):
            daemon.post({**PLAIN, "to": ["a@example.net", "b@example.net"]})
        until(lambda: daemon.deliveries()["queued"] == 6, 15, "six queued", daemon.alive)
        expected = {mail.sender: mail.queue_id for mail in postfix.queue()}
        assert len(expected) == 6
        found = asyncio.run(
            queue_ids(postfix.showq_socket, {*expected, "prother@bounces.example.org"}.__contains__, 10)
        )
        assert found == expected
        assert asyncio.run(queue_ids(postfix.showq_socket, {"prother@bounces.example.org"}.__contains__, 10)) == {}
