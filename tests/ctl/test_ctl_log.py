"""`postroom log`: one object for each line, and one for each mail."""

import gzip
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.ctl.conftest import CHECKOUT, Postroom
from tests.watcher.log_sample import FOLDER, LOG, cases, lab

LINE = b"Nov 24 02:10:10 mail postfix/qmgr[446]: 913AA2144D6: removed"


def test_each_line_gives_one_object(postroom: Postroom) -> None:
    """A line, an object, what is neither, octets that are no text: in their order, none left out."""
    entry = b'{"syslog_identifier": "postfix/qmgr", "message": "913AA2144D6: removed"}'
    done = postroom("log", "parse", stdin=b"\n".join([LINE, b"", entry, b"\xff\xfe", LINE + b"\r"]))
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["kind"] for one in objects] == ["removed", "malformed", "removed", "malformed", "removed"]
    assert objects[0] == objects[4]
    assert objects[2] == {"syslog_name": "postfix", "daemon": "qmgr", "queue_id": "913AA2144D6", "kind": "removed"}
    assert done.returncode == 0


def test_all_lines_of_the_sample_are_read_by_the_command(postroom: Postroom) -> None:
    """Lines that hold line ends in the middle, too: they come as objects."""
    texts = [
        case.get("line") or json.dumps({name: case[name] for name in ("syslog_identifier", "message")})
        for case in cases()
    ]
    done = postroom("log", "parse", stdin="\n".join(texts).encode())
    assert [json.loads(line) for line in done.stdout.splitlines()] == [case["expect"] for case in cases()]


def test_an_old_log_gives_one_object_for_each_queue_id(postroom: Postroom, tmp_path: Path) -> None:
    """In several files, packed or not, the oldest first."""
    lines = LOG.read_bytes().splitlines(keepends=True)
    old, new = tmp_path / "mail.log.2.gz", tmp_path / "mail.log.1"
    old.write_bytes(gzip.compress(b"".join(lines[:50])))
    new.write_bytes(b"".join(lines[50:]))
    done = postroom("log", "replay", str(old), str(new), "--json")
    mails = [json.loads(line) for line in done.stdout.splitlines()]
    assert [mail["queue_id"] for mail in mails] == [message["queue_id"] for message in lab()["messages"]]
    assert mails[1] == {
        "queue_id": "4jYR9002dTzJrH8",
        "message_id": "<sc002.r3@app.client.test>",
        "sender": "app@client.test",
        "recipients": [
            {"address": "grey@good.test", "state": "expired", "dsn": "4.2.0", "attempts": 3},
            {"address": "ok@good.test", "state": "delivered", "dsn": "2.0.0", "attempts": 1},
        ],
        "removed": True,
    }
    assert (done.returncode, done.stderr) == (0, "")


def test_a_log_is_shown_for_people(postroom: Postroom) -> None:
    """Each mail, its recipients, what it led to, and a sum; from stdin as well."""
    done = postroom("log", "replay", "--relayhost", "-", stdin=LOG.read_bytes() + b"Nov 24 02:10:10 mail cron[1]: x\n")
    shown = done.stdout.splitlines()
    assert shown[:3] == [
        "4jYR8z75TxzJrGq  from <app@client.test>  <sc001.r3@app.client.test>  removed",
        "    expired    4.4.1    attempts: 3  ok@dead.test",
        "    non-delivery notice 4jYR981ySPzJrJG",
    ]
    assert shown[-2:] == [
        "10 mails: 4 delivered, 5 expired, 2 relayed",
        "passed over: 1 lines of other programs, 0 malformed",
    ]


@pytest.mark.parametrize("octets", [None, b"\x1f\x8b\x08\x00damaged", gzip.compress(LINE, mtime=0)[:-9]])
def test_a_file_that_cannot_be_read_is_a_finding(postroom: Postroom, tmp_path: Path, octets: bytes | None) -> None:
    """Missing, damaged, cut: it says which and exits 1."""
    path = tmp_path / "mail.log.gz"
    if octets is not None:
        path.write_bytes(octets)
    done = postroom("log", "replay", str(path))
    assert done.returncode == 1
    assert done.stderr.startswith(f"{path}: cannot be read (")
    assert "; mend: " in done.stderr


@pytest.mark.process
def test_the_score_counts_what_is_right(tmp_path: Path) -> None:
    """All of tests/data is; of a folder in which something else is expected, that is told."""
    score = CHECKOUT / "scripts" / "score-log"
    done = subprocess.run([str(score), str(FOLDER)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{'lines.jsonl: lines':<58}    285 of 285 right" in done.stdout.splitlines()
    assert f"{'lab-r3.txt: ground truth, recipients':<58}      7 of 7 right" in done.stdout.splitlines()

    folder = tmp_path / "other"
    shutil.copytree(FOLDER, folder)
    known = lab()
    known["injected"][0]["expect"] = {"ok@dead.test": "sent"}
    known["messages"][2]["sender"] = "somebody"
    known["lines"][3]["client_ip"] = "::1"
    (folder / "lab-r3.expected.json").write_text(json.dumps(known))
    done = subprocess.run([str(score), str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    for wrong in ("lab-r3.txt:4", "4jYR9003wSzJrHm", "to ok@dead.test: read expired, expected sent"):
        assert wrong in done.stdout
    assert subprocess.run([str(score), str(tmp_path)], capture_output=True, check=False).returncode == 2


@pytest.mark.process
def test_the_examples_in_the_docs_show_what_the_command_prints() -> None:
    """Each console block of "Old logs" in docs/operating.md, run as it is written."""
    section = (
        (CHECKOUT / "docs" / "operating.md").read_text(encoding="utf-8").split("## Old logs\n")[1].split("\n## ")[0]
    )
    examples = re.findall(r"```console\n\$ (.*)\n([^`]*)```", section)
    assert len(examples) == 2
    environment = os.environ | {"PATH": f"{CHECKOUT / 'scripts'}:{os.environ['PATH']}"}
    for command, shown in examples:
        done = subprocess.run(
            ["bash", "-c", command], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout == shown
