"""The quickstart's judgement: each witness that disagrees makes a row wrong, and agreement makes it right."""

from dataclasses import replace
from typing import Any

import pytest

from sandbox.api import Answer
from sandbox.sink import StoredMail
from sandbox.trial import MAILS, Mail, judge, judge_refusal, judge_rest, queue_ids, received_as, settled

MAIL = Mail(
    title="two",
    body={},
    recipients=("ada@example.net", "grace@example.com"),
    subject="Grüße",
    parts=("text/plain", "text/html"),
    words=("hello",),
)
MESSAGE: dict[str, Any] = {
    "message_id": "<1@example.org>",
    "deliveries": [
        {"recipient": "a…@example.net", "state": "queued", "queue_id": "AAAA1"},
        {"recipient": "g…@example.com", "state": "queued", "queue_id": "BBBB2"},
    ],
}
LOG = {"AAAA1": ["sent"], "BBBB2": ["sent"]}
ACCEPTED = Answer(202, {"Content-Type": "application/json; charset=utf-8"}, {"id": "m1"})
RAW = """\
Received: from localhost (localhost [127.0.0.1])
\tby mail.example.org (Postfix) with ESMTP id {queue_id}
\tfor <x>; Tue, 24 Nov 2026 03:30:12 +0000 (UTC)
Message-ID: <1@example.org>
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="b"

--b
Content-Type: text/plain

hello
--b
Content-Type: text/html

<p>hello</p>
--b--
"""


def stored(queue_id: str, recipient: str, raw: str = RAW) -> StoredMail:
    return StoredMail(f"{queue_id}@bounces.example.org", (recipient,), raw.replace("{queue_id}", queue_id).encode())


STORED = (stored("AAAA1", "ada@example.net"), stored("BBBB2", "grace@example.com"))


def faults(
    answers: tuple[Answer, ...] = (ACCEPTED,),
    message: dict[str, Any] = MESSAGE,
    log: dict[str, list[str]] = LOG,
    arrived: tuple[StoredMail, ...] = STORED,
) -> list[str]:
    return [fault for row in judge(MAIL, answers, message, log, arrived) for fault in row.faults]


def test_three_witnesses_that_agree_make_rows_without_fault() -> None:
    """A row for each recipient, with the subject and parts as they arrived."""
    rows = judge(MAIL, (ACCEPTED,), MESSAGE, LOG, STORED)
    assert [row.recipient for row in rows] == ["ada@example.net", "grace@example.com"]
    assert {row.arrived for row in rows} == {"Grüße (plain+html)"}
    assert [row.faults for row in rows] == [(), ()]


@pytest.mark.parametrize(
    ("witness", "told"),
    [
        ({"answers": (replace(ACCEPTED, status=200),)}, "answered [200], not 202"),
        ({"answers": (ACCEPTED, replace(ACCEPTED, document={"id": "m2"}))}, "different messages"),
        ({"message": {**MESSAGE, "deliveries": MESSAGE["deliveries"][:1]}}, "1 deliveries, not 2"),
        ({"message": {**MESSAGE, "deliveries": []}}, "0 deliveries, not 2"),
        ({"log": {"AAAA1": ["sent"]}}, "log says nothing"),
        ({"log": {**LOG, "BBBB2": ["deferred", "sent"]}}, "log says deferred, sent"),
        ({"arrived": STORED[:1]}, "1 mails arrived, not 2"),
        ({"arrived": (*STORED, STORED[0])}, "2 mails arrived under this queue id"),
        ({"arrived": (STORED[0], replace(STORED[1], sender=STORED[0].sender))}, "share a return path"),
        ({"arrived": (STORED[0], replace(STORED[1], sender="x@example.org"))}, "return path is x@example.org"),
        ({"arrived": (STORED[0], replace(STORED[1], recipients=("b@x", "c@x")))}, "envelope is for"),
        ({"arrived": (STORED[0], stored("BBBB2", "grace@example.com", RAW.replace("C3=BC", "C3=BD")))}, "subject is"),
        ({"arrived": (STORED[0], stored("BBBB2", "grace@example.com", RAW.replace("/html", "/css")))}, "parts are"),
        ({"arrived": (STORED[0], stored("BBBB2", "grace@example.com", RAW.replace("\nhello", "\n")))}, "lacks 'hello'"),
    ],
)
def test_a_witness_that_disagrees_is_a_fault(witness: dict[str, Any], told: str) -> None:
    """The fault says who disagrees, and in what."""
    assert any(told in fault for fault in faults(**witness))


def test_a_delivery_that_failed_says_what_the_api_says() -> None:
    """State and reason stand in the fault."""
    failed = {"recipient": "a…@example.net", "state": "failed", "reason": "5.1.1 no such user"}
    told = faults(message={**MESSAGE, "deliveries": [failed, MESSAGE["deliveries"][1]]})
    assert "the API says failed: 5.1.1 no such user" in told


def test_a_message_is_settled_when_no_delivery_waits_for_postroom() -> None:
    """Queued is settled, accepted and deferred are not."""
    assert settled(MESSAGE)
    for state in ("accepted", "deferred", "scheduled"):
        assert not settled({"deliveries": [*MESSAGE["deliveries"], {"state": state}]})
    assert queue_ids(MESSAGE) == ["AAAA1", "BBBB2"]


def test_only_the_topmost_received_line_names_the_queue_id() -> None:
    """A line that came with the mail, lower down, is not taken for Postfix's."""
    below = "Received: by x (Postfix) with ESMTP id FAKE9\n"
    mail = StoredMail("", (), (RAW.replace("{queue_id}", "AAAA1").replace("Message-ID", f"{below}Message-ID")).encode())
    assert received_as(mail.message()) == "AAAA1"
    assert received_as(StoredMail("", (), b"Subject: x\n\n").message()) == ""


def test_the_refusal_must_be_problem_json_that_names_every_fault() -> None:
    """Another status, another type or a missing pointer is wrong."""
    pointers = [{"pointer": pointer} for pointer in ("/from", "/to/0", "/subject")]
    refusal = Answer(422, {"Content-Type": "application/problem+json"}, {"errors": pointers})
    assert judge_refusal(refusal).faults == ()
    assert judge_refusal(replace(refusal, status=202)).faults
    assert judge_refusal(replace(refusal, headers={"Content-Type": "application/json"})).faults
    assert judge_refusal(replace(refusal, document={"errors": pointers[:2]})).faults


def test_mail_nobody_sent_is_a_row_of_its_own() -> None:
    """The far end must not have more than was sent."""
    assert judge_rest(2, STORED) == []
    (row,) = judge_rest(1, STORED)
    assert row.faults == ("only 1 were sent",)


def test_no_word_that_is_looked_for_needs_escaping_in_html() -> None:
    """The judgement compares words as they are, in both parts."""
    assert not [word for mail in MAILS for word in mail.words if set(word) & set("&<>\"'")]
