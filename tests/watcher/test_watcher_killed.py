"""kill -9 of the watcher at any moment: each line counts once, as if nothing had happened.

The daemon follows a log file that grows and is rotated; what it has found out at the end is compared with that of
a watcher that read the same lines at one go.
"""

import os
import signal
import threading
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.store.outbox.sample_messages import rows
from tests.watcher.conftest import MakeWatcher
from tests.watcher.log_lines import active, in_file, token, tried

from sandbox.process import until
from sandbox.watcher import WatcherDaemon

pytestmark = pytest.mark.process

MAILS = 1500
KILLS = 6


def history() -> list[str]:
    """Lines of many mails, each deferred some times before its end; short queue ids are used again."""
    random, lines = Random(7), []
    for number in range(MAILS):
        queue_id = f"A{number % 200:05X}"
        sender = f"{token(number)}@bounces.example.org"
        for attempt in range(random.randint(0, 3)):
            lines.append(in_file("qmgr", active(queue_id, sender), attempt))
            lines.append(in_file("smtp", tried(queue_id, f"u{number}@example.net", "4.3.0", "deferred", "450 later")))
        status, dsn, reason = random.choice(
            [("sent", "2.0.0", "250 Ok"), ("bounced", "5.1.1", "550 5.1.1 unknown"), ("bounced", "5.7.1", "550 no")]
        )
        lines.append(in_file("qmgr", active(queue_id, sender), 9))
        lines.append(in_file("smtp", tried(queue_id, f"u{number}@example.net", dsn, status, reason)))
        lines.append(in_file("qmgr", f"{queue_id}: removed", 10))
    return lines


def found_out(daemon: WatcherDaemon) -> list[list[Any]]:
    """All it knows, but for its own times and ids."""
    path = daemon.state_dir / "watcher" / "track.db"
    deliveries = "SELECT q.token, hint, state, enhanced_status, reason, attempts FROM delivery d JOIN queue q"
    return [
        rows(path, "SELECT queue_id, token, ended_at IS NULL FROM queue ORDER BY id"),
        rows(path, f"{deliveries} ON q.id = d.queue ORDER BY q.id"),
        rows(path, "SELECT token, queue_id, hint, cause, proven FROM share ORDER BY number"),
    ]


def is_through(daemon: WatcherDaemon) -> bool:
    path = daemon.state_dir / "watcher" / "track.db"
    return rows(path, "SELECT count(*) FROM queue WHERE ended_at IS NOT NULL") == [(MAILS,)]


def write(path: Path, lines: list[str], done: threading.Event) -> None:
    """Write the lines in pieces of odd sizes, and rotate by renaming now and then."""
    random, octets, at = Random(3), "".join(lines).encode(), 0
    while at < len(octets):
        size = random.randint(1, 40_000)
        with path.open("ab") as file:
            file.write(octets[at : at + size])
        at += size
        # Where a line ends: a writer opens the new file for its next line.
        if octets[at - 1 : at] == b"\n" or random.random() < 0.2:
            end = octets.find(b"\n", at - 1) + 1
            with path.open("ab") as file:
                file.write(octets[at:end])
            at = max(at, end)
            if random.random() < 0.3:
                for number in range(8, 0, -1):
                    older = path.with_name(f"{path.name}.{number}")
                    if older.exists():
                        older.rename(path.with_name(f"{path.name}.{number + 1}"))
                path.rename(path.with_name(f"{path.name}.1"))
        done.wait(0.02)
    done.set()


def test_killed_at_any_moment_each_line_counts_once(bed: Path, make_watcher: MakeWatcher) -> None:
    """The same mails, states, numbers of tries and suppressions as in one go."""
    lines, straight = history(), bed / "straight.log"
    straight.write_text("".join(lines), encoding="utf-8")
    once = make_watcher(bed, f"source: {straight}")
    once.start()
    until(lambda: is_through(once), 20, "all read at one go", once.alive)
    once.stop()

    log, done, random = bed / "log" / "mail.log", threading.Event(), Random(5)
    log.parent.mkdir()
    log.write_text(lines[0], encoding="utf-8")
    killed = make_watcher(bed, f"source: {log}")
    killed.start()
    until(
        lambda: "A0" in str(rows(killed.state_dir / "watcher" / "track.db", "SELECT queue_id FROM queue")), 5, "begun"
    )
    writer = threading.Thread(target=write, args=(log, lines[1:], done))
    writer.start()
    for _ in range(KILLS):
        done.wait(random.uniform(0.0, 0.15))
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait(5)
        killed.start()
    writer.join()
    until(lambda: is_through(killed), 20, "all read", killed.alive)
    assert found_out(killed) == found_out(once)
    assert "watcher.gap" not in killed.log()
