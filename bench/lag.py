"""bench/lag: how far the watcher is behind Postfix's log while Postfix runs flat out.

    sudo .venv/bin/python bench/lag.py [--seconds N]

smtp-source(1) loads a private Postfix as fast as it goes, on the same cores, with mail of others; sessions of ours
send as fast as they can beside it, each mail with a token of its own, so that its facts are stored. Its journal is one
of its own, which the watcher follows into track.db. Every 20 ms the journal's time of the last line that is stored
there is set beside the clock: by so much the store is behind the log, journald's own time and the commit in it. Lines
come every millisecond, so an idle log adds nothing.

Prints the messages and lines a second, and the lag: median, p99 and the greatest.

Limits: as root, best in namespaces of its own (scripts/soak).
"""

import argparse
import itertools
import re
import smtplib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "daemons"), str(ROOT / "scripts"), str(ROOT)]

from bench.prerequisites import need, need_environment  # noqa: E402 - the checkout's own packages

need_environment()

import apsw  # noqa: E402
from bench.history import KEY  # noqa: E402

from postroom.mail.tokens import NAME_OCTETS, mint  # noqa: E402
from sandbox.journald import Journald  # noqa: E402
from sandbox.postfix import PrivatePostfix  # noqa: E402
from sandbox.sink import Sink, free_port  # noqa: E402
from sandbox.watcher import WatcherDaemon  # noqa: E402

UNIT = "postfix@-.service"
SESSIONS, OURS, OCTETS = 10, 4, 2048
EVERY_S = 0.02
WARM_S = 2.0
POSITION = "SELECT position FROM position WHERE source = 'journal'"


def stored_until(connection: apsw.Connection) -> float:
    """The journal's time of the last line that is in track.db (Unix seconds)."""
    ((cursor,),) = connection.execute(POSITION).fetchall()
    found = re.search(r";t=([0-9a-f]+);", str(cursor))
    if found is None:
        raise SystemExit(f"no time in the journal's cursor {cursor}")
    return int(found[1], 16) / 1e6


def stored_mails(track: Path) -> int:
    """How many mails of ours the watcher has seen."""
    connection = apsw.Connection(str(track), flags=apsw.SQLITE_OPEN_READONLY)
    ((count,),) = connection.execute("SELECT count(*) FROM queue").fetchall()
    return int(str(count))


def send_ours(port: int, numbers: Iterator[int], stopping: threading.Event) -> None:
    """One session of ours, until it is to stop."""
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as session:
        while not stopping.is_set():
            token = mint(KEY, next(numbers).to_bytes(NAME_OCTETS, "big"), time.time())
            session.sendmail(f"{token}@bounces.example.org", ["jane@world.test"], "Subject: x\n\n" + "y" * OCTETS)


def measured(port: int, track: Path, seconds: float) -> list[float]:
    """Load Postfix for so long, and look."""
    command = ["/usr/sbin/smtp-source", "-N", "-d", "-s", str(SESSIONS), "-m", "10000000", "-l", str(OCTETS),
               "-f", "others@example.org", "-t", "jane@world.test", f"inet:127.0.0.1:{port}"]  # fmt: skip
    lags, stopping, numbers = [], threading.Event(), itertools.count()
    ours = [threading.Thread(target=send_ours, args=(port, numbers, stopping)) for _ in range(OURS)]
    connection = apsw.Connection(str(track), flags=apsw.SQLITE_OPEN_READONLY)
    with subprocess.Popen(command) as source:
        for thread in ours:
            thread.start()
        began = time.time()
        while (now := time.time()) < began + WARM_S + seconds:
            if now > began + WARM_S:
                lags.append(now - stored_until(connection))
            time.sleep(EVERY_S)
        if source.poll() is not None:
            raise SystemExit(f"smtp-source ended by itself: {source.returncode}")
        stopping.set()
        for thread in ours:
            thread.join()
        source.terminate()
    connection.close()
    return lags


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    need(("postfix", "systemd"), root=True)
    with tempfile.TemporaryDirectory(prefix="postroom-bench-", dir="/var/tmp") as place, ExitStack() as stack:
        folder = Path(place)
        folder.chmod(0o755)
        journald, port = stack.enter_context(Journald(unit=UNIT)), free_port()
        world = stack.enter_context(Sink(folder / "world", stores=False))
        postfix = PrivatePostfix(
            folder / "postfix", ("127.0.0.1", world.port), smtp_ports={port: {}}, journald=journald
        )
        stack.enter_context(postfix)
        handover = postfix.handover_socket.parent
        watcher = WatcherDaemon(folder / "w", handover, f"source: journal\nunits: [{UNIT}]", journald=journald)
        stack.enter_context(watcher)
        watcher.covered()
        before, lines = world.count(), len(journald.lines())
        began = time.perf_counter()
        lags = measured(port, watcher.state_dir / "watcher" / "track.db", arguments.seconds)
        took_s = time.perf_counter() - began
        messages, lines = world.count() - before, len(journald.lines()) - lines
        ours = stored_mails(watcher.state_dir / "watcher" / "track.db")
    cuts = quantiles(lags, n=100)
    rates = f"{messages / took_s:.0f} messages/s delivered, {lines / took_s:.0f} lines/s"
    print(f"{rates}, {ours} mails of ours, in {took_s:.0f} s")
    print(f"lag: median {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms, most {max(lags) * 1000:.0f} ms,"
          f" {len(lags)} looks")  # fmt: skip


if __name__ == "__main__":
    main()
