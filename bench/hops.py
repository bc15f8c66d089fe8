"""bench/hops: how many files of the program a maintainer passes through on three ways.

    sudo .venv/bin/python bench/hops.py [--tree CHECKOUT] [--list]

    accept    POST /v1/messages to its 202, Postfix being away
    queue     the same with the real Postfix there, to `queued`; only the files that `accept` has not
    rcpt      policy: the answer at RCPT, a limit by recipient being set
    end       policy: the answer at END-OF-MESSAGE, three limits being counted
    state     watcher: Postfix's log lines of that mail to its state in track.db

Each daemon runs with a profiler in all its threads that notes which files' functions are called. A way is walked
several times and a file counts when it was there each time, so that beats and sweeps, which come by chance, do not.
Neither do files without a function of their own that is called: plain values and constants. --tree asks another
checkout of Postroom, for a comparison; --list names the files.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "daemons"), str(ROOT / "scripts"), str(ROOT)]

from bench.prerequisites import need, need_environment  # noqa: E402 - the checkout's own packages

need_environment()

from sandbox.daemon import DEFAULTS, Daemon, SubmissionDaemon  # noqa: E402
from sandbox.policy import PolicyClient, PolicyDaemon, end_of_message, request  # noqa: E402
from sandbox.postfix import PrivatePostfix  # noqa: E402
from sandbox.process import until  # noqa: E402
from sandbox.watcher import WatcherDaemon  # noqa: E402

WALKS = 4
SETTLED_S = 0.4
"""How long what follows an answer may take, and how long a daemon is left alone before."""
LIMITS = """
limits:
  - {name: by-sender, key: sender, counts: messages, rate: 1000/1h}
  - {name: by-recipient, key: recipient, counts: recipients, rate: 1000/1h}
  - {name: by-server, key: server, counts: messages, rate: 1000/1h}
"""
LETTER = {"from": "hello@example.org", "to": ["jane@world.test"], "subject": "x", "text": "y"}

PROFILER = """
import os, sys, threading, time
control, root = os.environ["HOPS_CONTROL"], os.environ["HOPS_ROOT"]
called = set()
def note(frame, event, argument, called=called):
    if event == "call":
        called.add(frame.f_code)
def answer():
    asked = ""
    while True:
        time.sleep(0.01)
        try:
            with open(control) as file:
                now = file.read()
        except OSError:
            continue
        if now != asked and now.endswith("."):
            files = sorted({code.co_filename for code in called.copy() if code.co_filename.startswith(root)
                            and code.co_name != "<module>"})
            called.clear()
            with open(control + ".new", "w") as file:
                file.write("\\n".join(files))
            os.rename(control + ".new", control + "." + now)
            asked = now
threading.setprofile(note)
sys.setprofile(note)
watch = threading.Thread(target=answer, daemon=True)
watch.start()
"""


class Profiled:
    """A daemon that tells which files were used since it was last asked."""

    def __init__(self, daemon: Daemon, folder: Path, tree: Path) -> None:
        self._daemon = daemon
        self._control = folder / "control"
        self._asked = 0
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sitecustomize.py").write_text(PROFILER, encoding="utf-8")
        daemons = tree / "daemons"
        daemon.start(
            {
                "PYTHONPATH": f"{folder}:{daemons}",
                "HOPS_CONTROL": str(self._control),
                "HOPS_ROOT": str(daemons / "postroom"),
            }
        )

    def files(self) -> set[str]:
        """Those used since the last call."""
        self._asked += 1
        self._control.write_text(f"{self._asked}.", encoding="utf-8")
        answer = Path(f"{self._control}.{self._asked}.")
        until(answer.exists, 10.0, "the profiler's answer", self._daemon.alive, 0.005)
        return set(answer.read_text(encoding="utf-8").split("\n")) - {""}

    def on_the_way(self, walk: Callable[[], object]) -> set[str]:
        """Files used each time this way is walked, and not while nothing is asked."""
        walk()
        walks: list[set[str]] = []
        for _ in range(WALKS):
            self.files()
            walk()
            time.sleep(SETTLED_S)
            walks.append(self.files())
        return set.intersection(*walks)


def submission_ways(folder: Path, tree: Path) -> dict[str, set[str]]:
    """accept and queue, and state, which needs the same mail."""
    ways: dict[str, set[str]] = {}
    postfix = PrivatePostfix(folder / "postfix", ("127.0.0.1", 9), settings={"default_transport": "discard:"})
    postfix.write()
    daemon = SubmissionDaemon(
        folder / "s", postfix.handover_socket.parent, DEFAULTS + LIMITS, handover_settings="away_retry_max: 1s"
    )
    daemon.init()
    profiled = Profiled(daemon, folder / "profile-s", tree)
    try:
        ways["accept"] = profiled.on_the_way(lambda: accepted(daemon))
        with postfix:
            until(lambda: daemon.deliveries()["accepted"] == 0, 60.0, "what waited is queued", daemon.alive)
            ways["queue"] = profiled.on_the_way(lambda: queued(daemon)) - ways["accept"]
            watcher = WatcherDaemon(
                folder / "w",
                postfix.handover_socket.parent,
                f"source: {postfix.maillog}",
                state_dir=daemon.state_dir,
            )
            watcher.init()
            watching = Profiled(watcher, folder / "profile-w", tree)
            try:
                watcher.covered()
                ways["state"] = watching.on_the_way(lambda: followed(daemon))
            finally:
                watcher.stop()
    finally:
        daemon.stop()
    return ways


def accepted(daemon: SubmissionDaemon) -> str:
    """Post once; the id."""
    answer = daemon.post(LETTER)
    if answer.status != 202:
        raise SystemExit(f"not accepted: {answer}")
    return str(answer.document["id"])


def queued(daemon: SubmissionDaemon) -> None:
    """Post once and wait until Postfix has it."""
    before = daemon.deliveries()["queued"]
    accepted(daemon)
    until(lambda: daemon.deliveries()["queued"] > before, 20.0, "the mail is queued", daemon.alive, 0.02)


def followed(daemon: SubmissionDaemon) -> None:
    """Post once and wait until the log's word of it is known."""
    message = accepted(daemon)
    until(
        lambda: daemon.message(message)["deliveries"][0]["state"] not in {"accepted", "queued"},
        20.0,
        "what the log says of the mail",
        daemon.alive,
        0.05,
    )


def policy_ways(folder: Path, tree: Path) -> dict[str, set[str]]:
    """rcpt and end."""
    daemon = PolicyDaemon(folder / "p", folder / "p.sock", DEFAULTS + LIMITS)
    daemon.init()
    profiled = Profiled(daemon, folder / "profile-p", tree)
    number = 0
    try:
        with PolicyClient(daemon.socket) as client:

            def rcpt() -> None:
                nonlocal number
                number += 1
                answer(client.ask(request(instance=f"{number}.1")))

            def end() -> None:
                answer(client.ask(end_of_message(f"{number}.1")))

            ways = {"rcpt": profiled.on_the_way(rcpt)}

            def message() -> None:
                rcpt()
                profiled.files()
                end()

            ways["end"] = profiled.on_the_way(message)
    finally:
        daemon.stop()
    return ways


def answer(action: str) -> None:
    """Both questions are to be answered with DUNNO."""
    if action.upper() != "DUNNO":
        raise SystemExit(f"not passed: {action}")


def main() -> None:
    """Walk and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tree", type=Path, default=ROOT, help="the checkout to ask; default this one")
    parser.add_argument("--list", action="store_true", help="name the files")
    arguments = parser.parse_args()
    need(["postfix"], root=True)
    tree = arguments.tree.resolve()
    with tempfile.TemporaryDirectory(prefix="postroom-hops-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        ways = submission_ways(folder, tree) | policy_ways(folder, tree)
    for way, files in ways.items():
        print(f"{way:<8} {len(files):3d} files")
        if arguments.list:
            print(
                "".join(f"  {Path(file).relative_to(tree / 'daemons' / 'postroom')}\n" for file in sorted(files)),
                end="",
            )


if __name__ == "__main__":
    main()
