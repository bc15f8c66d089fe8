"""docs/rights.md: its tables are the units."""

import re
from pathlib import Path

import pytest
from tests.systemd.test_units import GROUPS, OF_OTHERS, SHARED, SYSTEMD, UNITS, Unit

PAGE = (SYSTEMD.parent / "docs" / "rights.md").read_text(encoding="utf-8")
WORDS = sorted(path.stem for path in UNITS.glob("*.service"))


def rows(page: str) -> dict[str, list[set[str]]]:
    """The first table: unit to groups, folders it writes, keys and address families."""
    found = re.findall(r"^\| `(postroom-\w+)` \|(.*)\|$", page.split("## What follows", maxsplit=1)[0], re.MULTILINE)
    return {unit: [set(re.findall("`(.*?)`", cell)) for cell in cells.split("|")] for unit, cells in found}


def of_unit(path: Path) -> list[set[str]]:
    unit = Unit(path)
    service = unit["Service"]
    written = set(service.get("ReadWritePaths", "").split())
    if "StateDirectory" in service:
        written.add(f"/var/lib/{service['StateDirectory']}")
    keys = {credential.partition(":")[0] for credential in unit.all("Service", "LoadCredential")}
    return [set(service["SupplementaryGroups"].split()), written, keys, set(service["RestrictAddressFamilies"].split())]


def test_the_page_has_every_unit_as_it_is() -> None:
    """Groups, folders, keys and address families."""
    assert rows(PAGE) == {word: of_unit(UNITS / f"{word}.service") for word in WORDS}


def test_what_follows_is_what_the_groups_give() -> None:
    """The second table: the hand-over is for postdrop, signing keys are the milter's, and who writes what."""
    lines = re.findall(r"^\| (\w+) \| (.*) \|$", PAGE.split("## What follows")[1], re.MULTILINE)
    told = {word: dict(zip(COLUMNS, cells.split(" | "), strict=True)) for word, cells in lines}
    for word, cells in told.items():
        groups, written, keys, _ = of_unit(UNITS / f"postroom-{word}.service")
        writes = {folder.rpartition("/")[2] for folder in written}
        assert cells == {
            "mail.db": "write" if "submission" in writes else "-",
            "shared": "write" if "shared" in writes else "read" if "postroom" in groups else "-",
            "track.db": "write" if "watcher" in writes else "read" if "postroom-watcher" in groups else "-",
            "signing keys": "read" if word == "milter" else "-",
            "keys": {0: "-", 1: "its copy", 2: "its copies"}[len(keys)],
            "handover": "connect" if "postdrop" in groups else "-",
            "queue": "connect" if "postroom-queue" in groups else "-",
            "probe": "connect" if word == "watcher" else "-",
        }
    assert set(told) == {"policy", "milter", "submission", "watcher", "monitor"}


COLUMNS = ("mail.db", "shared", "track.db", "signing keys", "keys", "handover", "queue", "probe")


@pytest.mark.parametrize("word", ["showq", "probe"])
def test_a_proxy_is_systemds_own_and_has_no_files_of_ours(word: str) -> None:
    """It passes on one socket of Postfix's, to those its own socket is for."""
    service = Unit(UNITS / f"postroom-{word}.service")["Service"]
    assert re.fullmatch(r"/lib/systemd/systemd-socket-proxyd /var/spool/postfix/public/[a-z-]+", service["ExecStart"])
    assert service["User"] == service["Group"] == "postroom-proxy"
    hidden = {path.lstrip("-") for path in service["InaccessiblePaths"].split()}
    assert hidden == {"/etc/postroom", "/var/lib/postroom", "/var/spool/postfix/maildrop"}
    socket = Unit(UNITS / f"postroom-{word}.socket")["Socket"]
    assert (socket["SocketUser"], socket["SocketGroup"], socket["SocketMode"]) == {
        "showq": ("root", "postroom-queue", "0660"),
        "probe": ("postroom-watcher", "postroom-watcher", "0600"),
    }[word]
    assert socket["SocketGroup"] in GROUPS | OF_OTHERS
    assert socket["ListenStream"] == f"/run/postroom/{word}.sock"


def test_a_daemon_says_that_it_is_ready_and_lives_and_a_proxy_does_not() -> None:
    """What all units share asks for neither, for it would win over a unit's own word."""
    assert not {"Type", "WatchdogSec"} & set(Unit(SHARED)["Service"])
    for path in UNITS.glob("*.service"):
        service = Unit(path)["Service"]
        is_daemon = service["ExecStart"].startswith("/opt/postroom/bin/postroom ")
        assert service["Type"] == ("notify" if is_daemon else "exec"), path
        assert ("WatchdogSec" in service) == is_daemon, path
