"""The monitor beside real daemons and the real Postfix: figures of mail that really went, findings that are true."""

import re
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.policy.postfix_bed import send
from tests.watcher.far_end import FarEnd

from sandbox.daemon import SubmissionDaemon
from sandbox.monitor import MonitorDaemon
from sandbox.policy import PolicyDaemon
from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.sink import free_port
from sandbox.submission_service import WORDS, service_options
from sandbox.watcher import WatcherDaemon

pytestmark = pytest.mark.postfix

WITHIN_S = 30.0


@dataclass(frozen=True)
class Host:
    """A host with its daemons."""

    postfix: PrivatePostfix
    port: int
    submission: SubmissionDaemon
    monitor: MonitorDaemon

    def post(self, name: str) -> None:
        message = {"from": "hello@example.org", "to": [f"{name}@world.test"], "subject": "x", "text": "y"}
        assert self.submission.post(message).status == 202

    def metrics(self) -> dict[str, float]:
        """Sample, with its label values in their order, to value."""
        families = text_string_to_metric_families(self.monitor.get("/metrics").text)
        return {
            " ".join([sample.name, *sample.labels.values()]): sample.value
            for family in families
            for sample in family.samples
        }


@pytest.fixture
def host(bed: Path) -> Iterator[Host]:
    """All but the milter, which these tests do not ask; mail that is deferred is not tried again meanwhile."""
    port = free_port()
    with FarEnd() as far_end:
        postfix = PrivatePostfix(
            bed / "postfix",
            ("127.0.0.1", far_end.port),
            smtp_ports={port: service_options()},
            settings={**WORDS, "minimal_backoff_time": "1h", "queue_run_delay": "1h"},
        )
        postfix.write()
        public = postfix.handover_socket.parent
        submission = SubmissionDaemon(bed / "s", public)
        submission.init()
        state_dir = submission.state_dir
        policy = PolicyDaemon(bed / "p", postfix.queue_directory / "postroom" / "policy.sock", state_dir=state_dir)
        watcher = WatcherDaemon(bed / "w", public, f"source: {postfix.maillog}", state_dir=state_dir)
        monitor = MonitorDaemon(
            bed / "o",
            postfix.showq_socket,
            ("submission", "policy", "watcher"),
            monitor="waiting_late: 1s",
            state_dir=state_dir,
        )
        try:
            postfix.start()
            for daemon in (submission, policy, watcher, monitor):
                daemon.write()
                daemon.start()
            monitor.heard("submission", "policy", "watcher")
            yield Host(postfix, port, submission, monitor)
        finally:
            for daemon in (monitor, watcher, policy, submission):
                daemon.stop()
            postfix.stop()


def test_the_figures_are_those_of_the_mail_that_went(host: Host) -> None:
    """Three by the API, of which one each is delivered, bounced and waits in Postfix's queue; two by SMTP."""
    for name in ("ada", "ghost", "busy"):
        host.post(name)
    with smtplib.SMTP("127.0.0.1", host.port) as client:
        client.ehlo("client.example.com")
        assert [send(client, "anna@example.org", f"{name}@world.test") for name in ("grace", "mary")] == ["250"] * 2
    until(
        lambda: (
            host.metrics().get("postroom_watcher_delivered_total") == 4  # with Postfix's notice of the bounce
            and host.metrics().get("postroom_policy_messages_smtp_total") == 2
            and host.metrics().get("postroom_submission_queued_total") == 3
        ),
        WITHIN_S,
        "the beats of it",
        host.monitor.alive,
        0.2,
    )
    metrics = host.metrics()
    assert metrics["postroom_submission_accepted_total"] == 3
    assert metrics["postroom_watcher_bounced_total"] == 1
    assert metrics["postroom_monitor_queue_messages deferred"] == 1
    assert len(host.postfix.queue()) == 1, "as postqueue(1) says"
    assert 0 <= metrics["postroom_monitor_queue_oldest_seconds"] < 60
    answer = host.monitor.get("/healthz")
    assert answer.status == 200, answer.text
    page = host.monitor.get("/").text
    tiles = dict(re.findall(r"<dt>(.*?)</dt><dd>(\S+) ", page))
    assert (tiles["delivered"], tiles["deferred"], tiles["bounced"]) == ("1", "1", "1")
    assert tiles["in Postfix&#39;s queue"] == "1"
    numbers = dict(re.findall(r'<th scope="row">([^<]+?) ?(?:<small>.*?</small>)?</th><td class="n">(.*?)</td>', page))
    assert (numbers["API"], numbers["SMTP"], numbers["refused"]) == ("3", "2", "0")
    assert (numbers["handed over"], numbers["the address"]) == ("3", "1")
    for told in (page, answer.text, host.monitor.get("/metrics").text, host.monitor.log()):
        assert "world.test" not in told
        assert "hello@" not in told


def test_postfix_being_away_is_found_and_forgotten(host: Host) -> None:
    """The queue that cannot be read, the mail that waits; when Postfix is back all is well."""
    host.postfix.stop()
    host.post("ada")

    def found() -> set[str]:
        return {" ".join(what.split()[:5]) for what in host.monitor.findings()}

    until(
        lambda: (
            found()
            == {
                "Postfix's queue cannot be read",
                "Postfix does not accept mail",
                "a delivery has waited in",
            }
        ),
        WITHIN_S,
        "findings",
        host.monitor.alive,
        0.2,
    )
    assert host.monitor.get("/healthz").status == 503
    assert "Something is wrong" in host.monitor.get("/").text
    host.postfix.start()
    until(lambda: host.monitor.get("/healthz").status == 200, 60.0, "all well again", host.monitor.alive, 0.2)
