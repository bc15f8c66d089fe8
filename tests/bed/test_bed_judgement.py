"""The quickstart's judgement: each witness that disagrees makes a row wrong, and agreement makes it right."""

from dataclasses import replace
from email.message import EmailMessage
from subprocess import CompletedProcess
from typing import Any

import pytest

from sandbox.api import Answer
from sandbox.maillog import LoggedDelivery
from sandbox.quickstart.judgement import Copy, Seen, judge, judge_rest, received_as, short
from sandbox.quickstart.mails import (
    AGAIN,
    DELIVERED,
    FIRST,
    INVALID,
    OVER_LIMIT,
    SENT_BY_SENDMAIL,
    SENT_BY_SMTP,
    SUPPRESSED_AT_SOCKET,
    UNKNOWN,
    WAITING,
    Mail,
)
from sandbox.sink import StoredMail
from sandbox.smtp import Reply

MAIL = Mail(
    title="two parts",
    door="socket",
    sender="hello@example.org",
    recipient="ada@example.net",
    subject="Grüße",
    outcome=DELIVERED,
    used=1,
    content={},
    parts=("text/plain", "text/html"),
    words=("hello",),
)
BY_SMTP = replace(MAIL, door="smtp", outcome=SENT_BY_SMTP)
OVER = replace(BY_SMTP, outcome=OVER_LIMIT)
BY_SENDMAIL = replace(MAIL, door="sendmail", outcome=SENT_BY_SENDMAIL)
AT_LIMIT = replace(BY_SENDMAIL, outcome=WAITING)

RAW = """\
Received: from localhost (localhost [127.0.0.1])
\tby mail.example.org (Postfix) with ESMTP id AAAA1
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
STORED = StoredMail("token@bounces.example.org", ("ada@example.net",), RAW.encode())
COPY = Copy(STORED, [True], ["pass"])
DELIVERY = {
    "state": "delivered",
    "queue_id": "AAAA1",
    "enhanced_status": "2.0.0",
    "reason": "250 2.0.0 Ok",
}
SENT = LoggedDelivery("2.0.0", "sent", "250 2.0.0 Ok")
ACCEPTED = Answer(202, {"Content-Type": "application/json; charset=utf-8"}, {"id": "m1"})
SEEN = Seen(said=[ACCEPTED], message={"deliveries": [DELIVERY]}, logged=[SENT], copies=[COPY], used=(1, 3))
SEEN_BY_SMTP = replace(
    SEEN,
    said=[Reply(250, "2.0.0 Ok: queued as AAAA1")],
    message=None,
    copies=[replace(COPY, stored=replace(STORED, sender="hello@example.org"))],
)
THROUGH_THE_DOOR = LoggedDelivery("2.0.0", "sent", "250 2.0.0 Ok: queued as AAAA1")
SEEN_BY_SENDMAIL = replace(SEEN_BY_SMTP, said=[CompletedProcess((), 0)], logged=[THROUGH_THE_DOOR, SENT])
WAITS = LoggedDelivery(
    "4.7.1",
    "deferred",
    "host 127.0.0.1[127.0.0.1] said: 450 4.7.1 Over the limit hourly for sender:#75f9,"
    " not before 2026-11-24 17:08:00 UTC (in reply to end of DATA command)",
)
SEEN_AT_LIMIT = replace(SEEN_BY_SENDMAIL, logged=[WAITS], copies=[], waiting=1)
OVER_TEXT = "450 4.7.1 <END-OF-MESSAGE>: End-of-data rejected: Over the limit hourly, try again later"
SEEN_OVER = Seen(said=[Reply(450, OVER_TEXT.removeprefix("450 "))], refused=["550 x", OVER_TEXT], used=(1, 3))


def problem(code: str, **errors: str) -> Answer:
    """A refusal of the API: pointers without their slash, and details."""
    listed = [{"pointer": f"/{name.replace('_', '/')}", "detail": detail} for name, detail in errors.items()]
    return Answer(422, {"Content-Type": "application/problem+json"}, {"code": code, "errors": listed})


def delivery(**other: Any) -> dict[str, Any]:
    """The message as the API tells it, its one delivery changed so."""
    return {"deliveries": [{**DELIVERY, **other}]}


def copy(raw: str = RAW, **other: Any) -> list[Copy]:
    """The copy at the far end, changed so."""
    return [replace(COPY, stored=replace(STORED, raw=raw.encode(), **other))]


def test_witnesses_that_agree_make_a_row_without_fault() -> None:
    """At both doors; the state is the API's word, or that of Postfix's log."""
    row = judge(MAIL, SEEN)
    assert (row.signed, row.used, row.state, row.reason, row.faults) == (
        "yes",
        "1/3",
        "delivered",
        "250 2.0.0 Ok",
        (),
    )
    assert (judge(BY_SMTP, SEEN_BY_SMTP).state, judge(BY_SMTP, SEEN_BY_SMTP).faults) == ("sent", ())


@pytest.mark.parametrize(
    ("witness", "told"),
    [
        ({"said": [replace(ACCEPTED, status=200)]}, "answered 200, not 202"),
        ({"said": [ACCEPTED, ACCEPTED]}, "by 2 requests, not 1 by 1"),
        ({"said": [ACCEPTED, replace(ACCEPTED, document={"id": "m2"})]}, "different messages"),
        ({"said": [problem("invalid", to="is nobody")], "message": None}, "it is refused, not delivered: is nobody"),
        ({"message": {"deliveries": [DELIVERY] * 2}}, "2 deliveries by 1 requests"),
        ({"message": {"title": "no such message"}}, "it is not told, not delivered"),
        ({"message": delivery(state="queued")}, "it is queued, not delivered"),
        ({"message": delivery(enhanced_status="2.1.5")}, "its status is 2.1.5, not 2.0.0"),
        ({"message": delivery(reason="all well")}, "its reason lacks '250': all well"),
        ({"message": delivery(queue_id="BBBB2")}, "it arrived as AAAA1, not BBBB2"),
        ({"logged": []}, "log says nothing"),
        ({"logged": [LoggedDelivery("4.3.0", "deferred", "x"), SENT]}, "log says [('deferred', '4.3.0'), ("),
        ({"copies": []}, "0 mails arrived, not 1"),
        ({"copies": [COPY, COPY]}, "2 mails arrived, not 1"),
        ({"copies": [replace(COPY, dkimpy=[False])]}, "by dkimpy [False], by OpenDKIM ['pass']"),
        ({"copies": [replace(COPY, dkimpy=[], opendkim=[])]}, "by dkimpy [], by OpenDKIM []"),
        ({"copies": [replace(COPY, opendkim=["fail"])]}, "by OpenDKIM ['fail']"),
        ({"copies": copy(sender="x@example.org")}, "return path is x@example.org"),
        ({"copies": copy(recipients=("b@x", "c@x"))}, "envelope is for"),
        ({"copies": copy(RAW.replace("C3=BC", "C3=BD"))}, "subject is"),
        ({"copies": copy(RAW.replace("/html", "/css"))}, "parts are"),
        ({"copies": copy(RAW.replace("\nhello", "\n"))}, "lacks 'hello'"),
        ({"used": (2, 3)}, "used of the limit: (2, 3), not (1, 3)"),
    ],
)
def test_a_witness_that_disagrees_is_a_fault(witness: dict[str, Any], told: str) -> None:
    """The fault says who disagrees, and in what."""
    assert any(told in fault for fault in judge(MAIL, replace(SEEN, **witness)).faults)


@pytest.mark.parametrize(
    ("mail", "seen", "told"),
    [
        (BY_SMTP, replace(SEEN_BY_SMTP, logged=[]), "it is queued, not sent: nothing is logged"),
        (BY_SMTP, replace(SEEN_BY_SMTP, copies=[COPY]), "return path is token@bounces.example.org"),
        (BY_SMTP, SEEN_OVER, "it is refused, not sent"),
        (OVER, SEEN_BY_SMTP, "it is sent, not refused"),
        (OVER, SEEN_BY_SMTP, "1 mails arrived, not 0"),
        (OVER, replace(SEEN_OVER, refused=[OVER_TEXT, "550 x"]), "log has other refusals"),
        (OVER, replace(SEEN_OVER, refused=[]), "log has other refusals"),
        (OVER, replace(SEEN_OVER, said=[Reply(550, OVER_TEXT.removeprefix("450 "))]), "lacks '450 4.7.1'"),
    ],
)
def test_the_smtp_door_is_told_by_reply_and_log(mail: Mail, seen: Seen, told: str) -> None:
    """What was taken by the log of its queue id; what was not, by the reply, which the log must have as well."""
    assert any(told in fault for fault in judge(mail, seen).faults)


def test_a_refusal_at_smtp_is_right_when_it_was_expected() -> None:
    """Reply, log and limit agree, and nothing arrived."""
    row = judge(OVER, SEEN_OVER)
    assert (row.signed, row.state, row.reason, row.faults) == ("-", "refused", "450 4.7.1 Over the limit hourly", ())


def test_mail_of_sendmail_is_told_by_the_log_of_both_its_queue_ids() -> None:
    """It arrives as what the door's listener took it."""
    row = judge(BY_SENDMAIL, SEEN_BY_SENDMAIL)
    assert (row.signed, row.state, row.reason, row.faults) == ("yes", "sent", "250 2.0.0 Ok", ())


def test_waiting_is_what_log_and_limits_say_together() -> None:
    """With the reason, less what nobody can read."""
    row = judge(AT_LIMIT, SEEN_AT_LIMIT)
    assert (row.signed, row.state, row.reason, row.faults) == ("-", "waiting", "450 4.7.1 Over the limit hourly", ())


@pytest.mark.parametrize(
    ("mail", "seen", "told"),
    [
        (AT_LIMIT, replace(SEEN_AT_LIMIT, waiting=0), "it is deferred, not waiting"),
        (AT_LIMIT, SEEN_BY_SENDMAIL, "it is sent, not waiting"),
        (AT_LIMIT, replace(SEEN_AT_LIMIT, logged=[]), "it is queued, not waiting: nothing is logged"),
        (BY_SENDMAIL, replace(SEEN_BY_SENDMAIL, logged=[SENT]), "log says [('sent', '2.0.0')]"),
        (BY_SENDMAIL, replace(SEEN_BY_SENDMAIL, said=[CompletedProcess((), 75, b"", b"no room")]), "with 75: no room"),
    ],
)
def test_the_sendmail_door_is_told_by_log_and_limits(mail: Mail, seen: Seen, told: str) -> None:
    """And by sendmail(1)'s own end."""
    assert any(told in fault for fault in judge(mail, seen).faults)


def test_a_refusal_of_the_api_must_be_problem_json_that_names_every_fault() -> None:
    """Another type or a missing pointer is wrong."""
    mail = replace(MAIL, outcome=INVALID, used=0)
    right = problem("invalid", **{"from": "x", "to_0": "x", "subject": "x"})
    seen = Seen(said=[right])
    assert judge(mail, seen).faults == ()
    assert judge(mail, replace(seen, said=[problem("invalid", **{"from": "x", "to_0": "x"})])).faults
    assert judge(mail, replace(seen, said=[replace(right, headers={"Content-Type": "application/json"})])).faults
    assert judge(mail, replace(seen, said=[replace(right, status=400)])).faults
    suppressed = problem("suppressed", to_0="recipient is suppressed: invalid_recipient, since 2026-11-24")
    row = judge(replace(mail, outcome=SUPPRESSED_AT_SOCKET), Seen(said=[suppressed]))
    assert (row.reason, row.faults) == ("suppressed: invalid_recipient", ())


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("host x[127.0.0.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command)", "550 5.1.1 User unknown"),
        (
            "550 5.1.1 <a@b>: Recipient address rejected: recipient is suppressed: invalid_recipient, since 2026-11-24",
            "550 5.1.1 suppressed: invalid_recipient",
        ),
        (OVER_TEXT, "450 4.7.1 Over the limit hourly"),
        ("250 2.0.0 Ok", "250 2.0.0 Ok"),
    ],
)
def test_a_reason_is_shown_without_what_stands_elsewhere(reason: str, shown: str) -> None:
    """The server's reply remains."""
    assert short(reason) == shown


def test_only_the_topmost_received_line_names_the_queue_id() -> None:
    """A line that came with the mail, lower down, is not taken for Postfix's."""
    below = "Received: by x (Postfix) with ESMTP id FAKE9\n"
    mail = StoredMail("", (), RAW.replace("Message-ID", f"{below}Message-ID").encode())
    assert received_as(mail.message()) == "AAAA1"
    assert received_as(EmailMessage()) == ""


def test_mail_nobody_sent_is_a_row_of_its_own() -> None:
    """The far end must not have more than was sent."""
    assert judge_rest([MAIL], [STORED]) == []
    (row,) = judge_rest([replace(MAIL, outcome=UNKNOWN)], [STORED])
    assert row.faults == ("only 0 were sent",)
    assert judge_rest([MAIL], [STORED, STORED])


def test_no_word_that_is_looked_for_needs_escaping_in_html() -> None:
    """The judgement compares words as they are, in both parts."""
    assert not [word for mail in (*FIRST, *AGAIN) for word in mail.words if set(word) & set("&<>\"'")]


def test_mails_not_of_the_api_have_message_ids_of_their_own() -> None:
    """They are found at the far end by it."""
    ids = [mail.message_id for mail in (*FIRST, *AGAIN) if mail.door != "socket"]
    assert len(set(ids)) == len(ids) == 7
