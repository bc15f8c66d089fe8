"""What this room's tests share: daemons that are stopped at the end, whose log holds nothing private."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from sandbox.daemon import DEFAULTS
from sandbox.policy import PolicyDaemon


def limited(*limits: str) -> str:
    """The settings of a daemon with these limits, each in YAML's short form."""
    return DEFAULTS + "limits:\n" + "".join(f"  - {limit}\n" for limit in limits)


def assert_private(log: str) -> None:
    """No line quotes an address; every line is an event."""
    for line in log.splitlines():
        assert re.search(r"[\w.+-]+@[\w-]+\.\w", line) is None, f"an address is logged: {line}"
        assert re.match(r"\S+Z postroom-\w+\[\d+\] \w+: [a-z_.]+( |$)", line), f"no event of ours: {line}"


class MakePolicy(Protocol):
    """Makes and starts a policy daemon, with PolicyDaemon's arguments; `main_cf` is the folder of its Postfix's."""

    def __call__(
        self,
        path: Path | None = None,
        *,
        settings: str = ...,
        policy: str = ...,
        state_dir: Path | None = ...,
        main_cf: Path | None = ...,
    ) -> PolicyDaemon: ...


@pytest.fixture
def make_policy(bed: Path) -> Iterator[MakePolicy]:
    made: list[PolicyDaemon] = []

    def make(
        path: Path | None = None,
        *,
        settings: str = DEFAULTS,
        policy: str = "",
        state_dir: Path | None = None,
        main_cf: Path | None = None,
    ) -> PolicyDaemon:
        folder = bed / f"p{len(made)}"
        daemon = PolicyDaemon(folder, path or folder / "policy.sock", settings, policy, state_dir)
        made.append(daemon)
        daemon.init()
        daemon.start(None if main_cf is None else {"MAIL_CONFIG": str(main_cf)})
        return daemon

    yield make
    for daemon in made:
        daemon.stop()
        assert_private(daemon.log())
