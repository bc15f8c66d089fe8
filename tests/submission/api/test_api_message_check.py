"""The socket door with suppressed recipients and limits of mail, as a client meets it."""

import pytest
from tests.submission.api.http_bed import PLAIN
from tests.submission.conftest import MakeDaemon

from sandbox.daemon import DEFAULTS, SubmissionDaemon
from sandbox.process import until

pytestmark = pytest.mark.process


def suppressing(make_daemon: MakeDaemon, *addresses: str, limits: str = "") -> SubmissionDaemon:
    daemon = make_daemon(settings=DEFAULTS + limits)
    for address in addresses:
        assert daemon.command("suppress", "add", address, "--cause", "asked_not_to").returncode == 0
    return daemon


def test_a_message_to_suppressed_recipients_only_is_refused_with_the_reason(make_daemon: MakeDaemon) -> None:
    """422 with a pointer to each; the key is not used up, and nothing waits."""
    daemon = suppressing(make_daemon, "jane@example.net", "joe@example.net")
    refused = daemon.post({**PLAIN, "to": ["Jane <Jane@example.net>"], "bcc": ["joe@example.net"]}, "key")
    assert (refused.status, refused.document["code"], refused.document["retryable"]) == (422, "suppressed", False)
    jane, joe = refused.document["errors"]
    assert (jane["pointer"], jane["code"], joe["pointer"]) == ("/to/0", "suppressed", "/bcc/0")
    assert jane["detail"].startswith("recipient is suppressed: asked_not_to, since 20")
    assert daemon.deliveries()["accepted"] == 0
    assert daemon.post({**PLAIN, "to": ["john@example.net"]}, "key").status == 202


def test_beside_others_a_suppressed_recipient_is_a_delivery_in_that_state(make_daemon: MakeDaemon) -> None:
    """202: the answer and the message tell who gets nothing, and why; the same key gives the same answer."""
    daemon = suppressing(make_daemon, "jane@example.net")
    document = {**PLAIN, "to": ["john@example.net", "jane@example.net"]}
    answer = daemon.post(document, "key")
    assert (answer.status, answer.document["states"]) == (202, {"accepted": 1, "suppressed": 1})
    for shown in (answer.document, daemon.message(answer.document["id"])):
        john, jane = shown["deliveries"]
        assert (john["state"], jane["state"], jane["enhanced_status"]) == ("accepted", "suppressed", "5.1.1")
        assert jane["reason"].startswith("recipient is suppressed: asked_not_to, since 20")
        assert "next_try" not in jane
    assert daemon.post(document, "key").document == answer.document
    assert daemon.deliveries() | {"accepted": 1, "suppressed": 1} == daemon.deliveries()


def test_a_recipient_may_be_suppressed_for_one_stream(make_daemon: MakeDaemon) -> None:
    """The request's stream, else the template's; other mail goes, and mail that names none."""
    daemon = make_daemon(settings=DEFAULTS)
    daemon.command("suppress", "add", "jane@example.net", "--stream", "newsletter", "--cause", "asked_not_to")
    daemon.command("suppress", "add", "jane@example.net", "--stream", "transactional")
    to_jane = {**PLAIN, "to": ["jane@example.net"]}
    refused = daemon.post({**to_jane, "stream": "newsletter"})
    assert (refused.status, refused.document["code"]) == (422, "suppressed")
    detail = refused.document["errors"][0]["detail"]
    assert detail.startswith("recipient is suppressed for newsletter: asked_not_to, since 20")
    receipts = daemon.post({**to_jane, "stream": "receipts"})
    assert daemon.message(receipts.document["id"])["stream"] == "receipts"
    plain = daemon.post(to_jane)
    assert (receipts.status, plain.status) == (202, 202)
    assert "stream" not in daemon.message(plain.document["id"])
    data = {"first_name": "Jane", "action_url": "https://example.org/login"}
    template = {"name": "welcome", "data": data}
    welcome = {"from": PLAIN["from"], "to": ["jane@example.net"], "template": template}
    assert daemon.post(welcome).document["code"] == "suppressed"


def test_a_message_larger_than_a_limit_is_refused_at_once(make_daemon: MakeDaemon) -> None:
    """422, not retryable, as mail at the SMTP doors gets 550; just as many as fit are accepted."""
    limits = "limits: [{name: few, key: sender, counts: recipients, rate: 9/1h, burst: 3}]\n"
    daemon = suppressing(make_daemon, "jane@example.net", limits=limits)
    four = [f"r{number}@example.net" for number in range(4)]
    refused = daemon.post({**PLAIN, "to": four})
    assert (refused.status, refused.document["code"], refused.document["retryable"]) == (422, "never_fits", False)
    assert "limit few " in refused.document["detail"]
    assert daemon.post({**PLAIN, "to": [*four[:3], "jane@example.net"]}).status == 202


def test_the_sender_is_the_from_address_without_its_plus_part(make_daemon: MakeDaemon) -> None:
    """Postfix is away, and still it is known which mail will wait for its limit."""
    daemon = suppressing(make_daemon, limits="limits: [{name: one, key: sender, rate: 1/1h}]\n")
    messages = [
        daemon.post({**PLAIN, "from": f"Shop <{local}@example.org>"}).document["id"]
        for local in ("shop", "shop+orders", "help")
    ]

    def states() -> list[str]:
        return [daemon.message(message)["deliveries"][0]["state"] for message in messages]

    until(lambda: states() == ["accepted", "deferred", "accepted"], 10, "the second waits", daemon.alive)


def test_requests_and_mail_have_limits_of_their_own(make_daemon: MakeDaemon) -> None:
    """One client: two requests a minute are one thing, one message an hour another."""
    limits = (
        "limits: [{name: mail, key: client, rate: 1/1h}, {name: asks, key: client, counts: requests, rate: 2/1m}]\n"
    )
    daemon = suppressing(make_daemon, limits=limits)
    assert [daemon.post(PLAIN).status for _ in range(3)] == [202, 202, 429]
    until(lambda: daemon.deliveries()["deferred"] == 1, 10, "one waits", daemon.alive)
