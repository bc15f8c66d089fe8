"""record_json.py: every field of the lines that other projects test with, and of a complete log."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.watcher.log_lines import line
from tests.watcher.log_sample import NOW, cases, lab, lab_lines

from postroom.watcher.lines import LineReader
from postroom.watcher.record_json import line_to_json


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_every_field_of_a_line_is_right(case: dict[str, Any]) -> None:
    """Exactly those fields, for a line of a file or of the journal."""
    text = case.get("line") or json.dumps({name: case[name] for name in ("syslog_identifier", "message")})
    assert line_to_json(LineReader(NOW).line(text)) == case["expect"]


def test_every_line_of_a_whole_log_is_right() -> None:
    """In their order, read by one reader."""
    reader = LineReader(NOW)
    read = [{"line": number, **line_to_json(reader.line(text))} for number, text in enumerate(lab_lines(), 1)]
    assert read == lab()["lines"]


@pytest.mark.parametrize(
    ("daemon", "text", "fields"),
    [
        ("pickup", "913AA2144D6: uid=0 from=<root>", {"kind": "pickup", "uid": 0, "from": "root"}),
        (
            "pickup",
            "913AA2144D6: uid=110 from=<a@b.c> orig_id=4jYR8z75TxzJrGq",
            {"kind": "pickup", "uid": 110, "from": "a@b.c", "orig_id": "4jYR8z75TxzJrGq"},
        ),
        ("postsuper", "913AA2144D6: requeued", {"kind": "postsuper", "action": "requeued"}),
        ("qmgr", "913AA2144D6: skipped, still being delivered", {"kind": "skipped"}),
        ("qmgr", "913AA2144D6: from=<>, status=expired, returned to sender", {
            "kind": "expired", "from": "", "status": "expired"}),
        (
            "smtpd",
            "913AA2144D6: client=x[2001:db8::1]:4711, orig_queue_id=4jYR8z75TxzJrGq, sasl_sender=s@b.c",
            {
                "kind": "client",
                "client_name": "x",
                "client_ip": "2001:db8::1",
                "client_port": 4711,
                "orig_queue_id": "4jYR8z75TxzJrGq",
                "sasl_sender": "s@b.c",
            },
        ),
        ("cleanup", "913AA2144D6: hold: header X: y from local; from=<a@b.c>", {"kind": "action", "action": "hold"}),
    ],
)  # fmt: skip
def test_kinds_the_sample_lacks(daemon: str, text: str, fields: dict[str, Any]) -> None:
    """With the queue id, and by Postfix's words."""
    expected = {"syslog_name": "postfix", "daemon": daemon, "queue_id": "913AA2144D6", "pid": 446, **fields}
    assert line_to_json(line(daemon, text)) == expected


def test_a_line_cut_before_its_outcome_is_malformed() -> None:
    """Nothing else is said of it."""
    assert line_to_json(line("smtp", "913AA2144D6: to=<a@b.c>, relay=x, delay=1, del")) == {"kind": "malformed"}


def test_a_line_cut_inside_the_reply_is_truncated() -> None:
    """What there is of the reply is given whole."""
    text = "913AA2144D6: to=<a@b.c>, relay=x[/y], delay=.., delays=1/2/3/4, dsn=5.1.1, status=bounced (550 (no"
    fields = line_to_json(line("smtp", text))
    assert (fields["truncated"], fields["response"], fields["status"]) == (True, "550 (no", "bounced")
    assert (fields["relay_host"], fields["relay_addr"], fields["relay_port"]) == ("x", "/y", None)
    assert (fields["delay"], fields["delays"]) == (None, [1.0, 2.0, 3.0, 4.0])


@given(st.sampled_from(["smtpd", "cleanup", "qmgr", "smtp", "pickup", "postscreen", "x"]), st.text(max_size=200))
def test_any_line_gives_an_object(daemon: str, text: str) -> None:
    """It can be written as JSON, and has a kind."""
    for said in (text, f"913AA2144D6: {text}", f"913AA2144D6: client={text}", f"913AA2144D6: to=<{text}"):
        assert json.loads(json.dumps(line_to_json(line(daemon, said))))["kind"]
