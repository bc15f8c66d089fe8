"""The units, users and folders, without starting anything: systemd finds no fault, and they fit the daemons."""

import os
import re
import shutil
import stat
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from postroom.config.daemons import DAEMONS
from postroom.config.load import parse
from postroom.policy import server as policy
from postroom.runtime.descriptors import RESERVED
from postroom.submission import main as submission

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNITS = SYSTEMD / "system"
SHARED = UNITS / "postroom-.service.d" / "10-postroom.conf"
PROXIES = ("showq", "probe")
"""Units that pass connections on to a socket of Postfix's."""
LISTENING = ("policy", "milter", "submission", "watcher", "monitor")
OF_OTHERS = {"postfix", "postdrop", "systemd-journal", "root"}
"""Users and groups that Debian's packages make."""
MOST_EXPOSURE = 1.5
CONFIG = parse(b"hostname: mail.example.org\ndomains: {example.org: {}}\n", "it", lambda: "mail.example.org")


@pytest.fixture(autouse=True)
def _systemd() -> None:
    if shutil.which("systemd-analyze") is None:
        text = "needs systemd-analyze; run scripts/test, it installs what is missing"
        if os.environ.get("CI") == "true":
            pytest.fail(text, pytrace=False)
        pytest.skip(text)


class Unit(RawConfigParser):
    """A unit file; a setting that is written several times has all its values, a line each."""

    def __init__(self, path: Path) -> None:
        super().__init__(strict=False, comment_prefixes=("#",), delimiters=("=",))
        lines, seen = [], dict[str, int]()
        for line in path.read_text(encoding="utf-8").splitlines():
            name = line.partition("=")[0]
            seen[name] = seen.get(name, 0) + 1
            lines.append(line if seen[name] == 1 or "=" not in line else line.replace("=", f"__{seen[name]}=", 1))
        self.read_string("\n".join(lines))

    def optionxform(self, optionstr: str) -> str:
        return optionstr

    def all(self, section: str, name: str) -> list[str]:
        """Every value of a setting, in order."""
        return [value for key, value in self[section].items() if key.partition("__")[0] == name]


def lines(path: Path) -> list[list[str]]:
    """The entries of a sysusers.d or tmpfiles.d file, in words."""
    text = path.read_text(encoding="utf-8").splitlines()
    return [line.split() for line in text if line and not line.startswith("#")]


USERS = {line[1] for line in lines(SYSTEMD / "sysusers.d" / "postroom.conf") if line[0] == "u"}
GROUPS = USERS | {line[1] for line in lines(SYSTEMD / "sysusers.d" / "postroom.conf") if line[0] == "g"}
FOLDERS = {line[1]: line[2:5] for line in lines(SYSTEMD / "tmpfiles.d" / "postroom.conf")}


@pytest.mark.process
def test_systemd_finds_no_fault_in_any_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` says nothing at all: for an unknown key its exit status is 0."""
    shutil.copytree(UNITS, tmp_path / "u")
    for unit in (tmp_path / "u").glob("*.service"):
        # The one thing that is not there before an installation.
        unit.write_text(unit.read_text().replace("/opt/postroom/bin/postroom", "/bin/true"))
    units = sorted(str(path) for path in (tmp_path / "u").iterdir() if path.is_file())
    assert len(units) == 15
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.process
@pytest.mark.parametrize("word", [*DAEMONS, *PROXIES])
def test_the_sandbox_stays_as_tight_as_it_is(word: str) -> None:
    """The exposure systemd-analyze counts, of 10; redis-server's is 1.2, Postfix's own 9.6."""
    unit = UNITS / f"postroom-{word}.service"
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSURE * 10:.0f}", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(rf"level for postroom-{word}\.service: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert done.returncode == 0
    assert float(found[1]) <= MOST_EXPOSURE


def test_no_unit_hides_who_its_clients_are() -> None:
    """In a user namespace of its own every peer of a daemon is 65534, in a network of its own no loopback client is."""
    for path in (SHARED, *UNITS.glob("*.service")):
        settings = Unit(path)["Service"]
        assert settings.get("PrivateUsers", "no") == settings.get("PrivateNetwork", "no") == "no"


@pytest.mark.parametrize("word", DAEMONS)
def test_each_daemon_has_its_unit_user_and_rights(word: str) -> None:
    """It runs as its own user, in groups that exist, and writes only where there is a folder for it."""
    unit = Unit(UNITS / f"postroom-{word}.service")
    service = unit["Service"]
    assert service["ExecStart"] == f"/opt/postroom/bin/postroom {word}"
    assert service["User"] == service["Group"] == f"postroom-{word}"
    assert service["User"] in USERS
    assert set(service["SupplementaryGroups"].split()) <= GROUPS | OF_OTHERS
    assert set(service.get("ReadWritePaths", "").split()) <= FOLDERS.keys()
    if "StateDirectory" in service:
        folder = FOLDERS[f"/var/lib/{service['StateDirectory']}"]
        assert folder == [service["StateDirectoryMode"], service["User"], service["Group"]]
    for credential in unit.all("Service", "LoadCredential"):
        name, _, path = credential.partition(":")
        assert Path(path).name == name
        assert FOLDERS[str(Path(path).parent)] == ["0700", "root", "root"]
    assert unit["Install"]["WantedBy"] == "postroom.target"


def test_every_daemon_that_serve_runs_has_a_unit() -> None:
    """And no other has but the proxies."""
    assert {path.stem for path in UNITS.glob("*.service")} == {f"postroom-{word}" for word in (*DAEMONS, *PROXIES)}
    assert {path.stem for path in UNITS.glob("*.socket")} == {f"postroom-{word}" for word in (*LISTENING, *PROXIES)}


@pytest.mark.parametrize("word", LISTENING)
def test_each_socket_is_the_one_its_daemon_looks_for(word: str) -> None:
    """Path, mode and group are the defaults of the configuration; its folder is made before it."""
    socket = Unit(UNITS / f"postroom-{word}.socket")["Socket"]
    assert socket["SocketUser"] == f"postroom-{word}"
    assert str(Path(socket["ListenStream"]).parent) in FOLDERS
    service = Unit(UNITS / f"postroom-{word}.service")
    assert service["Unit"]["Requires"] == service["Install"]["Also"] == f"postroom-{word}.socket"
    settings = getattr(CONFIG, word)
    assert Path(socket["ListenStream"]) == settings.socket
    assert (int(socket["SocketMode"], 8), socket["SocketGroup"]) == (settings.socket_mode, settings.socket_group)


def test_nobody_but_postfix_may_reach_the_sockets_it_asks_at() -> None:
    """The milter signs what it is handed."""
    assert FOLDERS["/var/spool/postfix/postroom"] == ["0750", "root", "postfix"]
    for mode, user, group in FOLDERS.values():
        assert user in USERS | {"root"}
        assert group in GROUPS | OF_OTHERS
        assert not int(mode, 8) & stat.S_IWOTH


def test_what_must_end_gently_has_the_time() -> None:
    """systemd kills later than the daemon itself gives up: milter.drain, the last requests and hand-overs."""
    milter = Unit(UNITS / "postroom-milter.service")["Service"]
    assert milter["KillMode"] == "mixed"
    assert int(milter["TimeoutStopSec"].removesuffix("s")) > CONFIG.milter.drain
    assert int(Unit(UNITS / "postroom-submission.service")["Service"]["TimeoutStopSec"].removesuffix("s")) > 30


def test_the_descriptors_are_enough_for_all_connections_that_are_taken() -> None:
    """Those of all clients at submission, and those of others beside Postfix's at policy."""
    descriptors = int(Unit(SHARED)["Service"]["LimitNOFILE"])
    assert descriptors > submission.MOST_CONNECTIONS + RESERVED
    assert descriptors > 2 * policy.MOST_IN_ALL + RESERVED


def test_the_docs_tell_what_each_user_is_in() -> None:
    """The table in docs/operating.md is the SupplementaryGroups= of the units."""
    page = (SYSTEMD.parent / "docs" / "operating.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `postroom-(\w+)` \| (.*?) \|", page.split("## The units\n")[1], re.MULTILINE)
    told = {word: set(re.findall("`(.*?)`", groups)) for word, groups in rows}
    units = {word: Unit(UNITS / f"postroom-{word}.service")["Service"] for word in DAEMONS}
    assert told == {word: set(unit["SupplementaryGroups"].split()) for word, unit in units.items()}
