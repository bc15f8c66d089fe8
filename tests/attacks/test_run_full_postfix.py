"""/run full: what serves goes on, and a reload is taken; sockets and locks that are there need no more room."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.submission.api.http_bed import PLAIN

from sandbox.daemon import SubmissionDaemon
from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.sink import Sink

pytestmark = pytest.mark.postfix

ROOM = 262_144


@pytest.fixture
def small_run(bed: Path) -> Iterator[Path]:
    """The daemon's run folder on a file system of its own."""
    folder = bed / "d" / "run"
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM},mode=0755", "run", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_mail_goes_on_when_run_is_full(small_run: Path, postfix: PrivatePostfix, sink: Sink) -> None:
    """Accepted, handed over, delivered; after a reload too."""
    with SubmissionDaemon(small_run.parent, postfix.handover_socket.parent) as daemon:
        try:
            with (small_run / "ballast").open("wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
        except OSError:
            pass
        assert daemon.post(PLAIN).status == 202
        assert "daemon.reloaded" in daemon.reload()
        assert daemon.post(PLAIN).status == 202
        assert daemon.request("GET", "/readyz").status == 200
        until(lambda: len(sink.messages()) >= 2, 30, "both mails", daemon.alive)
