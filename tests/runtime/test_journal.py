"""The log in the real journal: events and their fields can be asked for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import postroom
from sandbox.journald import JOURNALD, in_a_namespace

pytestmark = pytest.mark.process

SOURCES = Path(postroom.__file__).parent.parent
SPEAKER = Path(__file__).with_name("journal_speaker.py")


def test_an_event_is_found_in_the_journal_by_its_fields() -> None:
    """`journalctl POSTROOM_EVENT=…` finds it, with its level, its word and each of its fields."""
    done = in_a_namespace(
        JOURNALD + '"$1" "$2" journal; journalctl --sync; journalctl -o json POSTROOM_EVENT=handover.unavailable',
        sys.executable,
        str(SPEAKER),
    )
    assert done.stdout.startswith("lives\n"), done.stderr
    (event,) = (json.loads(text) for text in done.stdout.splitlines()[1:])
    ours = {name: value for name, value in event.items() if name.startswith("POSTROOM_")}
    assert ours == {
        "POSTROOM_EVENT": "handover.unavailable",
        "POSTROOM_ERROR": r'"two\nlines, \u00fcber"',
        "POSTROOM_QUEUE_ID": "4XyZ",
        "POSTROOM_TOOK_MS": "0.5",
        "POSTROOM_AGAIN": "yes",
    }
    assert (event["PRIORITY"], event["SYSLOG_IDENTIFIER"]) == ("4", "postroom-policy")
    assert event["MESSAGE"] == (
        r'handover.unavailable error="two\nlines, \u00fcber" queue_id=4XyZ took_ms=0.5 again=yes'
    )


def test_auto_is_the_journal_where_stderr_leads_there() -> None:
    """systemd-cat connects stderr as a service has it, and $JOURNAL_STREAM names it: the event has its fields."""
    done = in_a_namespace(
        JOURNALD + 'systemd-cat --identifier=plain sh -c "$3" sh "$1" "$2"; journalctl --sync;'
        " journalctl -q -o cat POSTROOM_EVENT=handover.unavailable; echo; journalctl -q -o cat -t plain",
        sys.executable,
        str(SPEAKER),
        'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$1" "$2" auto',
    )
    events, _, plain = done.stdout.partition("\n\n")
    assert events.startswith("handover.unavailable error="), done.stderr
    assert plain == "lives\n", "on stderr nothing"


def test_auto_is_stderr_everywhere_else() -> None:
    """A $JOURNAL_STREAM that is inherited but not ours (stderr was redirected) decides nothing."""
    done = subprocess.run(
        [sys.executable, str(SPEAKER), "auto"],
        env={"PYTHONPATH": str(SOURCES), "JOURNAL_STREAM": "8:12345"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "handover.unavailable" in done.stderr


def test_a_journal_that_is_away_stops_nothing() -> None:
    """Its socket without anybody behind it, or no socket: the daemon goes on."""
    bind = "import socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).bind('/run/systemd/journal/socket')"
    empty, dead_socket = "mount -t tmpfs tmpfs /run;", 'mkdir -p /run/systemd/journal; "$1" -c "$3";'
    for before in (empty, empty + dead_socket):
        done = in_a_namespace(before + '"$1" "$2" journal', sys.executable, str(SPEAKER), bind)
        assert (done.stdout, done.stderr, done.returncode) == ("lives\n", "", 0)
