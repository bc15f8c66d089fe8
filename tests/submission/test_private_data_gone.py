"""What a message says, and to whom, stands nowhere in the state of Postroom soon after Postfix has it.

The files are searched as they lie on the disk, the write-ahead logs too, while the daemon runs.
"""

from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.submission.api.http_bed import PLAIN
from tests.submission.conftest import MakeDaemon

from sandbox.daemon import SubmissionDaemon
from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.sink import Sink

pytestmark = pytest.mark.postfix

GONE_WITHIN_S = 60.0
RECIPIENTS = ("zaphod-quokka", "marvin-quokka")
MARKERS = tuple(word.encode() for word in (*RECIPIENTS, "Quokka-subject", "Quokka-body"))


def message(number: int, size: int) -> dict[str, Any]:
    return {
        **PLAIN,
        "to": [f"{name}{number}@example.net" for name in RECIPIENTS],
        "subject": f"Quokka-subject {number}",
        "text": "Quokka-body in clear\n" * size,
    }


def in_clear(folder: Path) -> dict[str, int]:
    """How often anything private stands in which file."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            octets = path.read_bytes()
            if count := sum(octets.count(marker) for marker in MARKERS):
                found[path.name] = count
    return found


def hand_over(daemon: SubmissionDaemon, sink: Sink, messages: int) -> None:
    before = daemon.deliveries()["queued"]
    for number in range(messages):
        assert daemon.post(message(number, 1 + number % 7 * 200)).status == 202
    until(lambda: daemon.deliveries()["queued"] == before + 2 * messages, 60, "all queued", daemon.alive)


def test_nothing_in_clear_is_left_when_postfix_has_it(
    make_daemon: MakeDaemon, postfix: PrivatePostfix, sink: Sink
) -> None:
    """While it waits it is there; after the hand-over it is gone from all files within a minute."""
    daemon = make_daemon(postfix.handover_socket.parent, handover_settings="away_retry_max: 1s\nretry_first: 1s")
    postfix.stop()
    assert daemon.post(message(0, 1)).status == 202
    assert in_clear(daemon.state_dir), "the search finds what is there"
    postfix.start()
    until(lambda: daemon.deliveries()["queued"] == 2, 60, "queued", daemon.alive)
    until(lambda: not in_clear(daemon.state_dir), GONE_WITHIN_S, "gone", daemon.alive)
    hand_over(daemon, sink, 60)
    until(lambda: not in_clear(daemon.state_dir), GONE_WITHIN_S, "gone again", daemon.alive)


def test_a_reader_that_stays_is_named_and_stops_nothing(
    make_daemon: MakeDaemon, postfix: PrivatePostfix, sink: Sink
) -> None:
    """A program that reads mail.db and does not end keeps the log full: mail flows on, and the log says why."""
    daemon = make_daemon(postfix.handover_socket.parent)
    reader = apsw.Connection(str(daemon.state_dir / "submission" / "mail.db"), flags=apsw.SQLITE_OPEN_READONLY)
    reader.execute("BEGIN").fetchall()
    reader.execute("SELECT count(*) FROM message").fetchall()
    hand_over(daemon, sink, 10)
    until(lambda: "store.wal_held" in daemon.log(), 90, "the line", daemon.alive)
    assert in_clear(daemon.state_dir).keys() == {"mail.db-wal"}
    hand_over(daemon, sink, 10)
    reader.close()
    until(lambda: not in_clear(daemon.state_dir), GONE_WITHIN_S, "gone", daemon.alive)
    assert daemon.log().count("store.wal_held") == 1
