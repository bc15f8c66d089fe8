"""What each daemon of the booted host reaches, tried from within: its user, its groups, its view of the files.

The tables are those of docs/rights.md. For each daemon a process enters its mount namespace, takes its ids and gives up
all else, as whoever had taken it over would have it; and tries.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.systemd.asking import SPOOL, STATE, events, health, pids, run, unit

from sandbox.process import until

RUN = Path("/run/postroom")
TRY = """
import json, os, socket, sys

def opens(path, flags):
    try:
        os.close(os.open(path, flags))
    except OSError:
        return False
    return True

def connects(path):
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(path)
        except OSError:
            return False
    return True

def makes(folder):
    path = folder + "/tried-by-somebody"
    if not opens(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY):
        return False
    os.unlink(path)
    return True

found = {}
for line in sys.stdin:
    what, path = line.split()
    found[f"{what} {path}"] = {
        "read": lambda: opens(path, os.O_RDONLY),
        "write": lambda: opens(path, os.O_RDWR),
        "make": lambda: makes(path),
        "connect": lambda: connects(path),
    }[what]()
print(json.dumps(found))
"""

SHARED, MAIL, TRACK = STATE / "shared", STATE / "submission/mail.db", STATE / "watcher/track.db"
WRITES_SHARED = {"policy", "milter", "submission", "watcher"}
ALL = {*WRITES_SHARED, "monitor"}
MAY: dict[tuple[str, Path], set[str]] = {
    ("connect", SPOOL / "public/postroom-in"): {"submission"},
    ("connect", SPOOL / "public/postroom-probe"): {"submission"},
    ("connect", SPOOL / "public/showq"): {"submission"},
    ("connect", SPOOL / "public/pickup"): {"submission"},
    ("make", SPOOL / "maildrop"): set(),
    ("connect", RUN / "showq.sock"): {"submission", "watcher", "monitor"},
    ("connect", RUN / "probe.sock"): {"watcher"},
    ("connect", RUN / "submission.sock"): {"submission"},
    ("connect", RUN / "monitor.sock"): {"monitor"},
    ("connect", SPOOL / "postroom/policy.sock"): set(),
    ("connect", SPOOL / "postroom/milter.sock"): set(),
    ("connect", SPOOL / "postroom/lmtp.sock"): set(),
    ("make", SHARED): WRITES_SHARED,
    **{("read", SHARED / f"{name}.db"): ALL for name in ("limits", "shared")},
    **{
        ("write", SHARED / f"{name}.db{what}"): WRITES_SHARED
        for name in ("limits", "shared")
        for what in ("", "-wal", "-shm")
    },
    ("read", MAIL): {"submission"},
    ("write", MAIL): {"submission"},
    ("read", TRACK): {"submission", "watcher", "monitor"},
    ("write", TRACK): {"watcher"},
    ("make", TRACK.parent): {"watcher"},
    ("read", STATE / "keys/recipient-hash.key"): set(),
    ("read", STATE / "keys/return-path.key"): set(),
    ("write", Path("/etc/postroom/postroom.yaml")): set(),
    ("write", Path("/opt/postroom/bin/postroom")): set(),
    ("make", Path("/run")): set(),
    ("make", RUN): set(),
}


def tried(word: str) -> dict[str, bool]:
    """All of MAY, tried as this daemon."""
    pid = pids()[word]
    status = Path(f"/proc/{pid}/status").read_text()
    uid, gid = (re.findall(rf"^{name}:\s+(\d+)", status, re.MULTILINE)[0] for name in ("Uid", "Gid"))
    groups = ",".join(re.findall(r"^Groups:\s*(.*)$", status, re.MULTILINE)[0].split())
    inside = ["nsenter", f"--target={pid}", "--mount", "setpriv", f"--reuid={uid}", f"--regid={gid}"]
    inside += [f"--groups={groups}", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    done = subprocess.run(
        [*inside, sys.executable, "-c", TRY],
        input="".join(f"{what} {path}\n" for what, path in _rows()),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, (word, done.stderr)
    return dict(json.loads(done.stdout))


def _rows() -> dict[tuple[str, Path], set[str]]:
    keys = sorted((STATE / "dkim").glob("*.pem"))
    assert keys, "a signing key"
    return MAY | {("read", key): {"milter"} for key in keys}


def each_daemon_reaches_what_it_needs_and_no_more() -> None:
    rows, found = _rows(), {word: tried(word) for word in sorted(ALL)}
    for (what, path), may in rows.items():
        does = {word for word in ALL if found[word][f"{what} {path}"]}
        print(f"{what:<8} {path!s:<45} {' '.join(sorted(does)) or '-'}")
        assert does == may, (what, path, does, may)


def what_they_need_serves_them() -> None:
    """The monitor reads the store and the queue; the watcher has marked the log in sessions that cannot send."""
    until(lambda: health()["findings"] == [], 60, f"no findings: {health()['findings']}", every_s=1.0)
    assert health()["stores"] == {"shared": True, "limits": True, "track": True}
    until(lambda: bool(events("watcher.covered")), 60, "the log covered", every_s=0.5)
    log = subprocess.run(["journalctl", "--quiet", "--output=short", "--no-pager"], capture_output=True, check=True)
    for word in ("showq", "probe"):
        assert run("systemctl", "is-active", unit(word)) == "active\n", word
    assert re.search(rb"postfix/postroom-probe/smtpd\[\d+\]: disconnect from .* noop=\d", log.stdout)
