"""More connections of one user than a daemon has descriptors for by default: the others are served all the same."""

import json
import os
import pwd
import select
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.submission.api.http_bed import LIVEZ, PLAIN, connected, post_head, rest, statuses

from sandbox.crowd import Crowd
from sandbox.daemon import Daemon, SubmissionDaemon
from sandbox.monitor import MonitorDaemon
from sandbox.notify import NotifySocket
from sandbox.policy import PolicyClient, PolicyDaemon, request
from sandbox.process import until
from sandbox.watcher import WatcherDaemon

pytestmark = pytest.mark.postfix  # for root, who may become other users
EVE = 54321
SLOW = int(os.environ.get("POSTROOM_SLOW_CLIENTS", "100"))
AS_SYSTEMD = ("prlimit", "--nofile=1024:16384")
"""The soft limit is the usual one, the hard one that of the units."""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def started(stack: ExitStack, daemon: Daemon, prefix: tuple[str, ...] = AS_SYSTEMD) -> None:
    daemon.init()
    for folder in (daemon.folder, daemon.folder / "run"):
        folder.chmod(0o755)
    daemon.start(prefix=prefix)
    stack.callback(daemon.stop)


def refusals(daemon: Daemon) -> list[str]:
    return [line for line in daemon.log().splitlines() if " connections.refused " in line]


@pytest.fixture
def submission(bed: Path, stack: ExitStack) -> SubmissionDaemon:
    daemon = SubmissionDaemon(bed / "d", bed, submission="socket_mode: 0666\nrequest_timeout: 20s")
    started(stack, daemon)
    return daemon


@pytest.mark.parametrize("count", [1_100, 3_000])
def test_one_client_with_a_crowd_of_connections_stops_no_other(submission: SubmissionDaemon, count: int) -> None:
    """A thousand stay, the rest is closed at once, and one line tells whose they are; another uid gets its 202."""
    with Crowd(submission.socket, count, EVE) as crowd:
        assert (crowd.connected, crowd.refused) == (count, count - 1_000)
        assert submission.post(PLAIN).status == 202
        (line,) = refusals(submission)
        assert " warning: " in line
        assert f'uid={EVE} open=1000 most="1000 of a user"' in line
        assert "submission.max_connections" in line
        assert submission.post(PLAIN).status == 202
    with Crowd(submission.socket, 1_000, EVE) as again:
        assert again.refused == 0, "those that have ended do not count"
    assert len(refusals(submission)) == 1


def test_a_client_over_its_bound_reads_why(submission: SubmissionDaemon) -> None:
    """503 as a problem with Retry-After, also for one that sends its request first; then it is closed."""
    with Crowd(submission.socket, 1_000):
        body = json.dumps(PLAIN).encode()
        for octets in (b"", LIVEZ, post_head(len(body)) + body):
            with connected(submission.socket) as connection:
                connection.sendall(octets)
                answer = rest(connection)
            assert statuses(answer) == [503]
            head, _, text = answer.partition(b"\r\n\r\n")
            assert b"\r\nRetry-After: 5\r\n" in head
            assert b"\r\nContent-Type: application/problem+json" in head
            assert json.loads(text)["code"] == "too_many_connections"
            assert json.loads(text)["retryable"] is True


@pytest.mark.parametrize("trickle", [b"", b"POST /v1/messages HTTP/1.1\r\nHost: x\r\n"])
def test_a_client_that_says_nothing_or_little_is_closed(submission: SubmissionDaemon, trickle: bytes) -> None:
    """After submission.request_timeout, whether no octet came or one a second."""
    with Crowd(submission.socket, SLOW, EVE, trickle) as crowd:
        assert crowd.open_still() == SLOW
        until(lambda: crowd.open_still() == 0, 60, "all closed", submission.alive, 0.5)
    assert submission.post(PLAIN).status == 202


def test_with_few_descriptors_a_user_has_a_quarter_of_them(bed: Path, stack: ExitStack) -> None:
    """Where no more than 1,024 are allowed at all, as by a shell's ulimit."""
    daemon = SubmissionDaemon(bed / "d", bed, submission="socket_mode: 0666")
    started(stack, daemon, ("prlimit", "--nofile=1024:1024"))
    crowds = [stack.enter_context(Crowd(daemon.socket, 1_100, EVE + number)) for number in range(3)]
    assert [crowd.connected - crowd.refused for crowd in crowds] == [192, 192, 192]
    assert daemon.post(PLAIN).status == 202
    assert len(refusals(daemon)) == 3


def test_a_crowd_at_the_monitor(bed: Path, stack: ExitStack) -> None:
    """A hundred stay; others read the page."""
    daemon = MonitorDaemon(bed / "m", bed / "showq", monitor="socket_mode: 0666")
    started(stack, daemon)
    with Crowd(daemon.socket, 1_100, EVE) as crowd:
        assert crowd.connected - crowd.refused == 100
        assert daemon.get("/livez").status == 200
        assert len(refusals(daemon)) == 1


def test_a_crowd_at_policy_leaves_postfix_served(bed: Path, stack: ExitStack) -> None:
    """Two thousand of another user stay, which may be a Postfix elsewhere; Postfix itself is not counted."""
    daemon = PolicyDaemon(bed / "p", bed / "policy.sock")
    started(stack, daemon)
    with (
        Crowd(daemon.socket, 3_000, EVE) as crowd,
        Crowd(daemon.socket, 2_000, pwd.getpwnam("postfix").pw_uid) as smtpds,
        PolicyClient(daemon.socket) as client,
    ):
        assert crowd.connected - crowd.refused == 2_000
        assert smtpds.refused == 0
        assert client.ask(request()) == "DUNNO"
        assert len(refusals(daemon)) == 1


def test_a_crowd_at_the_intake_leaves_postfix_served(bed: Path, stack: ExitStack) -> None:
    """Twenty of another user stay, and Postfix has its fifty beside them."""
    log = bed / "mail.log"
    log.touch()
    daemon = WatcherDaemon(bed / "w", bed, f"source: {log}", socket=bed / "s" / "lmtp.sock")
    started(stack, daemon)
    with (
        Crowd(daemon.socket, 1_100, EVE) as crowd,
        Crowd(daemon.socket, 60, pwd.getpwnam("postfix").pw_uid) as lmtps,
    ):
        assert crowd.connected - crowd.refused == 20
        assert lmtps.connected - lmtps.refused == 50


def test_without_descriptors_a_daemon_waits_and_says_so(bed: Path, stack: ExitStack) -> None:
    """Its signs of life go on; when there is room again who waited is served."""
    daemon = PolicyDaemon(bed / "p", bed / "policy.sock")
    daemon.init()
    daemon.folder.chmod(0o755)
    notify = stack.enter_context(NotifySocket(bed / "manager"))
    limit = ("prlimit", "--nofile=300:300")
    daemon.start({"NOTIFY_SOCKET": str(notify.path), "WATCHDOG_USEC": "200000"}, prefix=limit)
    stack.callback(daemon.stop)
    notify.wait_ready(daemon.pid, 20)
    with Crowd(daemon.socket, 600, pwd.getpwnam("postfix").pw_uid):
        until(lambda: " connections.waiting " in daemon.log(), 10, "the line", daemon.alive)
        waiting = stack.enter_context(PolicyClient(daemon.socket))
        for _ in range(30):  # more than its queue holds, so some were sent now
            assert select.select([notify._socket], [], [], 10)[0], "it gives no sign of life"
            assert notify._socket.recv(100) == b"WATCHDOG=1"
    assert waiting.ask(request()) == "DUNNO"
    (line,) = [line for line in daemon.log().splitlines() if " connections.waiting " in line]
    assert 'error="Too many open files"' in line
    assert "LimitNOFILE=" in line
