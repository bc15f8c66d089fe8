"""The disk under the outbox full: nothing is promised that cannot be kept, and nothing promised is lost."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.submission.api.http_bed import PLAIN
from tests.submission.conftest import assert_private

from sandbox.daemon import SubmissionDaemon
from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.sink import Sink

pytestmark = pytest.mark.postfix

DISK = 8 * 1024 * 1024
BODY = {**PLAIN, "text": "The Quokka is well.\n" * 5_000}
"""A tenth of a megabyte."""


@pytest.fixture
def small_disk(bed: Path) -> Iterator[Path]:
    """A folder on a file system of DISK octets."""
    folder = bed / "d"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "small", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def daemon(small_disk: Path, postfix: PrivatePostfix) -> Iterator[SubmissionDaemon]:
    """A daemon whose state is on the small disk, and whose Postfix is not."""
    daemon = SubmissionDaemon(
        small_disk, postfix.handover_socket.parent, handover_settings="away_retry_max: 1s\nretry_first: 1s"
    )
    # Its words must not fail with the disk.
    daemon.errors = small_disk.parent / "daemon.err"
    with daemon:
        yield daemon
    assert_private(daemon.log())


def filled(folder: Path) -> Path:
    """A file that leaves no room beside it."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65_536)
        except OSError:
            return path


def test_a_full_disk_refuses_and_loses_nothing(
    daemon: SubmissionDaemon, small_disk: Path, postfix: PrivatePostfix, sink: Sink
) -> None:
    """503 storage_full, retryable; what was accepted before goes out; with room again all goes on."""
    postfix.stop()
    accepted = [daemon.post(BODY, f"before-{number}").document["id"] for number in range(3)]
    ballast = filled(small_disk)
    refused = [daemon.post(BODY, f"during-{number}") for number in range(5)]
    assert {(answer.status, answer.document["code"]) for answer in refused} == {(503, "storage_full")}
    assert all(answer.document["retryable"] and int(answer.headers["Retry-After"]) > 0 for answer in refused)
    assert daemon.request("GET", f"/v1/messages/{accepted[0]}").status == 200
    assert daemon.request("GET", "/livez").status == 200
    until(lambda: daemon.request("GET", "/readyz").status == 503, 10, "not ready", daemon.alive)
    told = daemon.request("GET", "/readyz").document
    assert told["code"] == "storage_full"
    assert str(daemon.state_dir / "submission") in told["detail"]

    # Postfix comes back while the disk is full: hand-over needs to store what it is about to do.
    postfix.start()
    until(lambda: "handover.available" in daemon.log(), 10, "Postfix back", daemon.alive)
    ballast.unlink()
    until(lambda: daemon.request("GET", "/readyz").status == 200, 10, "ready again", daemon.alive)
    accepted += [daemon.post(BODY, f"during-{number}").document["id"] for number in range(5)]
    until(lambda: daemon.deliveries()["queued"] == 8, 20, "all queued", daemon.alive)
    until(lambda: len(sink.messages()) == 8, 10, "all in the world")
    names = [mail.message()["Message-ID"] for mail in sink.messages()]
    assert sorted(names) == sorted(f"<{message}@example.org>" for message in accepted), "each once, none twice"
    assert all(daemon.message(message)["deliveries"][0]["attempts"] == 1 for message in accepted)


def test_a_daemon_killed_on_a_full_disk_starts_and_hands_over(
    daemon: SubmissionDaemon, small_disk: Path, postfix: PrivatePostfix, sink: Sink
) -> None:
    """What it had promised is there when there is room again."""
    postfix.stop()
    accepted = [daemon.post(BODY).document["id"] for _ in range(3)]
    ballast = filled(small_disk)
    assert daemon.post(BODY).status == 503
    daemon.kill()
    ballast.unlink()
    postfix.start()
    daemon.start()
    until(lambda: len(sink.messages()) == 3, 15, "all in the world", daemon.alive)
    assert {mail.message()["Message-ID"] for mail in sink.messages()} == {
        f"<{message}@example.org>" for message in accepted
    }
