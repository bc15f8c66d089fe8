"""`postroom bounce`: replies and messages in, one JSON object a line out."""

import json
from pathlib import Path

from tests.ctl.conftest import Postroom


def test_each_reply_is_judged(postroom: Postroom) -> None:
    """A plain line, or a JSON object with codes of its own."""
    done = postroom(
        "bounce",
        "classify",
        stdin=b"550 5.1.1 <jane@example.net> unknown user\n"
        b'{"text": "Mailbox full", "reply_code": "552", "status": "5.2.2"}\n'
        b'{"text": "User unknown", "reply_code": 450}\n',
    )
    assert done.returncode == 0
    unknown, full, later = map(json.loads, done.stdout.splitlines())
    assert unknown == {
        "class": "invalid_recipient",
        "bucket": "recipient",
        "suppress": "now",
        "rule": "recipient.unknown",
        "version": 2,
        "evidence": "550 5.1.1 @ unknown",
    }
    assert (full["class"], full["bucket"], full["suppress"]) == ("mailbox_full", "mailbox", "after")
    assert (later["class"], later["suppress"]) == ("invalid_recipient", "after")


HOSTILE = [
    b"",
    b"\xff\xfe\x00",
    b"{",
    b'{"text": 1}',
    b'{"text": "\\ud800", "reply_code": [1], "status": {"a": 1}}',
    b'{"reply_code": "550"}',
    b"[" * 50_000,
    b'{"text":' * 20_000,
    b"x" * 300_000,
    b'{"text": "550 x", "status": 1e999}',
    b"\x1b[31m550 user unknown\r",
    "550 пользователь не найден".encode(),
]


def test_each_hostile_line_gives_one_object(postroom: Postroom) -> None:
    """So that lines in and out can be laid side by side; the last one needs no line end."""
    done = postroom("bounce", "classify", stdin=b"\n".join(HOSTILE))
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, len(found)) == (0, len(HOSTILE))
    assert found[-1]["class"] == "invalid_recipient"


def test_each_file_is_understood(postroom: Postroom, tmp_path: Path) -> None:
    """In the order given; a file that cannot be read has its error, and the exit code says so."""
    bounce, empty = tmp_path / "bounce.eml", tmp_path / "empty.eml"
    bounce.write_bytes(
        b"From: MAILER-DAEMON@example.net\n\n"
        b"This message could not be delivered.\n\n<jane@example.net>:\n550 no such user\n"
    )
    empty.write_bytes(b"")
    done = postroom("bounce", "parse", str(bounce), str(empty), str(tmp_path / "missing.eml"))
    first, second, third = map(json.loads, done.stdout.splitlines())
    assert first == {
        "file": str(bounce),
        "kind": "bounce",
        "recipients": [
            {
                "address": "jane@example.net",
                "action": "failed",
                "status": "",
                "class": "invalid_recipient",
                "suppress": "now",
            }
        ],
    }
    assert (second["kind"], second["error"]) == ("other", "the message is empty")
    assert (third["kind"], third["error"]) == ("other", "No such file or directory")
    assert done.returncode == 1
    assert postroom("bounce", "parse", str(bounce)).returncode == 0
