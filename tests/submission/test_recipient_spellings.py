"""The API and the spellings of a recipient: an address at a domain of ours may lead on to any other."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.submission.api.http_bed import PLAIN
from tests.submission.conftest import MakeDaemon

from sandbox.daemon import DEFAULTS, SubmissionDaemon
from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.sink import Sink

pytestmark = pytest.mark.postfix

ROUTED = "jane%example.net@localhost"
LIMIT = "limits: [{name: each, key: recipient, rate: 2/1h}]\n"


@pytest.fixture
def routing(bed: Path, sink: Sink) -> Iterator[PrivatePostfix]:
    """A Postfix for which localhost is a domain of its own, and perhaps others, which only a table knows."""
    settings = {"mydestination": "localhost, inline:{ example.edu=local }", "local_recipient_maps": ""}
    with PrivatePostfix(bed / "postfix", ("127.0.0.1", sink.port), settings=settings) as postfix:
        yield postfix


def arrived(sink: Sink, count: int) -> bool:
    return len(sink.messages()) == count


def started(make_daemon: MakeDaemon, postfix: PrivatePostfix, settings: str = "") -> SubmissionDaemon:
    daemon = make_daemon(postfix.handover_socket.parent, started=False, settings=DEFAULTS + settings)
    daemon.start({"MAIL_CONFIG": str(postfix.config_directory)})
    return daemon


def test_a_suppressed_recipient_gets_nothing_in_another_spelling(
    make_daemon: MakeDaemon, routing: PrivatePostfix
) -> None:
    """Refused as when it is written plainly; of one that cannot be told the request is at fault."""
    daemon = started(make_daemon, routing)
    assert daemon.command("suppress", "add", "jane@example.net").returncode == 0
    for spelling in (ROUTED, "example.net!jane@LocalHost", "jane%example.net%localhost@localhost"):
        refused = daemon.post({**PLAIN, "to": [spelling]})
        assert (refused.status, refused.document["code"]) == (422, "suppressed")
    unknown = daemon.post({**PLAIN, "to": ["b@example.net"], "cc": ["jane%example.net@example.com"]})
    (error,) = unknown.document["errors"]
    assert (unknown.status, error["pointer"], error["code"]) == (422, "/cc/0", "address_invalid")
    assert "jane" not in error["detail"]


def test_all_spellings_have_one_count(make_daemon: MakeDaemon, routing: PrivatePostfix, sink: Sink) -> None:
    """Two of the limit of 2 go out, and arrive at one address; the third waits."""
    daemon = started(make_daemon, routing, LIMIT)
    for number, recipient in enumerate(("jane@example.net", ROUTED), 1):
        assert daemon.post({**PLAIN, "to": [recipient]}).status == 202
        until(partial(arrived, sink, number), 20, f"mail {number}")
    third = daemon.post({**PLAIN, "to": ["example.net!jane@localhost"]}).document["id"]
    until(lambda: daemon.deliveries()["deferred"] == 1, 20, "the third waits")
    assert daemon.message(third)["deliveries"][0]["reason"] == "over the limit each"
    assert {mail.recipients for mail in sink.messages()} == {("jane@example.net",)}
