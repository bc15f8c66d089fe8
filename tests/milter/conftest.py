"""What this room's tests share: keys as the daemon uses them, and daemons whose log is read at the end."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from postroom.milter.keys import read_key, signing_key
from postroom.milter.sign import SigningKey
from sandbox.milter import ED25519_SELECTOR, RSA_SELECTOR, MilterDaemon, ed25519_pem, rsa_pem


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[SigningKey]:
    """The RSA and the Ed25519 key of sandbox.milter, for example.org; once, for OpenSSL checks an RSA key at length."""
    folder, loaded = tmp_path_factory.mktemp("keys"), []
    for selector, pem in ((RSA_SELECTOR, rsa_pem()), (ED25519_SELECTOR, ed25519_pem())):
        path = folder / f"{selector}.pem"
        path.write_bytes(pem)
        path.chmod(0o600)
        loaded.append(signing_key("example.org", selector, read_key(path)))
    return loaded


class MakeMilter(Protocol):
    def __call__(
        self,
        networks: tuple[str, ...] = ("127.0.0.0/8",),
        settings: str = "",
        dkim: str | None = None,
        started: bool = True,
        store: bool = False,
        sections: str = "",
    ) -> MilterDaemon: ...


@pytest.fixture
def make_milter(bed: Path) -> Iterator[MakeMilter]:
    """Makes and starts a milter; at the end it is stopped and its log read: events only, and no address."""
    made: list[MilterDaemon] = []

    def make(
        networks: tuple[str, ...] = ("127.0.0.0/8",),
        settings: str = "",
        dkim: str | None = None,
        started: bool = True,
        store: bool = False,
        sections: str = "",
    ) -> MilterDaemon:
        daemon = MilterDaemon(bed / f"m{len(made)}", networks, settings, dkim, sections=sections)
        made.append(daemon)
        if store:
            daemon.init()
        else:  # it works without, and making one takes as long as most tests
            daemon.write()
        if started:
            daemon.start()
        return daemon

    yield make
    for daemon in made:
        daemon.stop()
        for line in daemon.log().splitlines():
            assert re.search(r"[\w.+-]+@[\w-]+\.\w", line) is None, f"an address is logged: {line}"
            assert re.match(r"\S+Z postroom-milter\[\d+\] \w+: [a-z_.]+( |$)", line), f"no event of ours: {line}"
