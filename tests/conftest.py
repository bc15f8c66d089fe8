"""What every room's tests share: repeatable hostile input, the guard of pure tests, and the real Postfix.

A test without a marker is pure (purity.py).

A test marked `postfix` or `fresh` needs root and Debian packages. On a laptop that lacks them it is
skipped and says why; with CI=true a missing part fails, so that a green run means that all of it ran.
"""

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.purity import PurityGuard

from sandbox.postfix import PrivatePostfix
from sandbox.sink import Sink

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")

NEEDS = {
    "postfix": (
        "/usr/sbin/postfix",
        "/usr/sbin/smtp-sink",
        "/usr/sbin/opendkim",
        "/usr/sbin/dnsmasq",
        "/usr/sbin/postfwd2",
    ),
    "fresh": ("/usr/bin/mmdebstrap", "/usr/bin/systemd-nspawn"),
}
"""Programs each marker needs, besides root."""


def missing_part(marker: str) -> str | None:
    """What this host lacks for a marker's tests; None when they can run."""
    if os.geteuid() != 0:
        return "root"
    return next((program for program in NEEDS[marker] if shutil.which(program) is None), None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in NEEDS:
        if item.get_closest_marker(marker) and (missing := missing_part(marker)):
            text = f"{marker} tests need {missing}; run scripts/test, it installs what is missing"
            if os.environ.get("CI") == "true":
                pytest.fail(text, pytrace=False)
            pytest.skip(text)


purity = PurityGuard()
purity.install()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    purity.arm(item)
    try:
        return (yield)
    finally:
        purity.disarm()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    result = yield
    if purity.broken_by is not None:
        pytest.fail(purity.broken_by, pytrace=False)
    return result


@pytest.fixture
def bed() -> Iterator[Path]:
    """A folder for daemons: its short path leaves room for sockets (107 bytes), and every user may enter it.

    pytest's own tmp_path has neither: its parent is open to one user only.
    """
    with tempfile.TemporaryDirectory(prefix="bed-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


@pytest.fixture
def sink(bed: Path) -> Iterator[Sink]:
    """The recipients' server: a running smtp-sink that stores what it gets."""
    with Sink(bed / "world") as sink:
        yield sink


@pytest.fixture
def postfix(bed: Path, sink: Sink) -> Iterator[PrivatePostfix]:
    """A running private Postfix with the hand-over listener; all its mail goes to `sink`."""
    with PrivatePostfix(bed / "postfix", ("127.0.0.1", sink.port)) as postfix:
        yield postfix
