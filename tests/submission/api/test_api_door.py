"""The API as its clients meet it: the daemon's real socket, without a Postfix, so that what is accepted waits."""

import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from tests.submission.api.http_bed import (
    LIVEZ,
    PLAIN,
    WELCOME,
    connected,
    post_head,
    resident_octets,
    rest,
    said,
    statuses,
)
from tests.submission.conftest import assert_private

from sandbox.api import Answer
from sandbox.daemon import SubmissionDaemon
from sandbox.process import until

pytestmark = pytest.mark.process

REQUEST_TIMEOUT_S = 1
MAX_REQUEST = 10_000_000
GROWTH = 60_000_000
"""Octets the daemon may have more after a flood than before: the largest request and what it becomes."""


@pytest.fixture(scope="module")
def door() -> Iterator[SubmissionDaemon]:
    """A daemon for all tests of this file: one that is hurt by one of them fails in the next."""
    with tempfile.TemporaryDirectory(prefix="bed-") as folder:
        daemon = SubmissionDaemon(Path(folder) / "d", Path(folder), submission=f"request_timeout: {REQUEST_TIMEOUT_S}s")
        with daemon:
            yield daemon
        assert_private(daemon.log())
        assert "submission.fault" not in daemon.log()


def assert_problem(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """The answer is this refusal, in the form of every refusal."""
    assert (answer.status, answer.document["code"]) == (status, code)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    document: dict[str, Any] = answer.document
    assert document["type"] == f"urn:postroom:problem:{code}"
    assert document["status"] == status
    assert document["request_id"] == answer.headers["X-Request-Id"]
    assert document["retryable"] == ("Retry-After" in answer.headers)
    assert document["title"]
    assert document["detail"]
    return document


def assert_serving(door: SubmissionDaemon) -> None:
    """The daemon is alive and answers."""
    assert door.request("GET", "/livez").status == 200
    assert door.alive()


# Accepting


def test_an_accepted_message_can_be_asked_for(door: SubmissionDaemon) -> None:
    """202 with its place; recipients are masked; a message that waits says why, and until when."""
    answer = door.post(WELCOME)
    assert answer.status == 202
    assert answer.document["deliveries"] == [{"recipient": "z…@example.net", "state": "accepted", "attempts": 0}]
    assert answer.headers["Location"] == f"/v1/messages/{answer.document['id']}"
    until(lambda: "reason" in door.message(answer.document["id"])["deliveries"][0], 5, "the reason")
    shown = door.request("GET", answer.headers["Location"])
    assert shown.status == 200
    (delivery,) = shown.document["deliveries"]
    assert "no such socket; mend: start Postfix" in delivery["reason"]
    assert delivery["next_try"] >= answer.document["accepted_at"]
    assert shown.document["template"]["name"] == "welcome"
    assert (shown.document["id"], shown.document["message_id"]) == (
        answer.document["id"],
        answer.document["message_id"],
    )


def test_all_faults_come_in_one_answer(door: SubmissionDaemon) -> None:
    """422 with a pointer for each, and not retryable: the same request will never fit."""
    answer = door.post({"from": "x", "to": ["a@example.net", "bad"], "tepmlate": {}, "subject": "a\nb"})
    document = assert_problem(answer, 422, "invalid")
    assert {(error["pointer"], error["code"]) for error in document["errors"]} == {
        ("/from", "address_invalid"),
        ("/to/1", "address_invalid"),
        ("/tepmlate", "unknown"),
        ("/subject", "control_character"),
        ("/text", "missing"),
    }
    assert not document["retryable"]


# Once


def test_a_hundred_posts_with_one_key_at_once_make_one_message(door: SubmissionDaemon) -> None:
    """All are told the same: one message, 202."""
    before = door.deliveries()["accepted"]
    with ThreadPoolExecutor(100) as threads:
        answers = list(threads.map(lambda _: door.post(WELCOME, "the-same"), range(100)))
    assert {answer.status for answer in answers} == {202}
    assert len({json.dumps(answer.document, sort_keys=True) for answer in answers}) == 1
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 99
    assert door.deliveries()["accepted"] == before + 1


def test_a_key_with_another_body_is_refused(door: SubmissionDaemon) -> None:
    """422, and nothing is made; the same octets are asked for, not the same meaning."""
    first = door.post(PLAIN, "mine")
    assert_problem(door.post({**PLAIN, "subject": "Other"}, "mine"), 422, "idempotency_mismatch")
    assert_problem(door.post(b" " + json.dumps(PLAIN).encode(), "mine"), 422, "idempotency_mismatch")
    again = door.post(PLAIN, "mine")
    assert (again.document, again.headers["Idempotency-Replayed"]) == (first.document, "true")


def test_a_refused_request_does_not_use_up_its_key(door: SubmissionDaemon) -> None:
    """Mended, it may come with the same key."""
    assert_problem(door.post({**PLAIN, "from": "bad"}, "mended"), 422, "invalid")
    assert door.post(PLAIN, "mended").status == 202


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "clé"])
def test_a_key_of_another_form_is_malformed(door: SubmissionDaemon, key: str) -> None:
    """1 to 255 printable ASCII characters."""
    assert_problem(door.post(PLAIN, key), 400, "malformed")


def test_two_keys_are_malformed(door: SubmissionDaemon) -> None:
    """Which one counts would be a guess."""
    head = post_head(2, "Idempotency-Key: a", "Idempotency-Key: b", "Connection: close")
    assert statuses(said(door.socket, head + b"{}")) == [400]


# What is not a request of the API


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v2/messages", 404, "not_found"),
        ("GET", "/v1/messages/../../etc/passwd", 404, "not_found"),
        ("GET", "/v1/messages/%2e%2e%2f", 404, "not_found"),
        ("GET", "/v1/messages/zaphod%40example.net", 404, "not_found"),
        ("GET", "/v1/messages/0192f000-0000-7000-8000-000000000000", 404, "not_found"),
        ("GET", "/v1/messages", 405, "method_not_allowed"),
        ("DELETE", "/v1/messages", 405, "method_not_allowed"),
        ("PATCH", "/v1/stats", 405, "method_not_allowed"),
        ("POST", "/livez", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_there_is_not_found(door: SubmissionDaemon, method: str, path: str, status: int, code: str) -> None:
    """Paths and methods that the API does not have, and ids of no message."""
    assert_problem(door.request(method, path), status, code)


def test_a_method_that_is_not_possible_names_those_that_are(door: SubmissionDaemon) -> None:
    """As RFC 9110 §15.5.6 asks, in Allow and in words."""
    answer = door.request("PUT", "/v1/messages")
    assert "allowed: POST" in answer.document["detail"]
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": ""},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_a_body_that_is_not_plain_json_is_not_read(door: SubmissionDaemon, headers: dict[str, str]) -> None:
    """415: also what is compressed, because its size says nothing of what it becomes."""
    answer = door.request("POST", "/v1/messages", b"\x1f\x8b" + b"0" * 100_000, headers)
    assert_problem(answer, 415, "malformed")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b'{"a":1,"a":2}', b"NaN", b"\0" * 1000])
def test_a_body_that_is_no_json_object_is_malformed(door: SubmissionDaemon, body: bytes) -> None:
    """400, not retryable."""
    assert_problem(door.request("POST", "/v1/messages", body), 400, "malformed")


# Size and time


def test_the_largest_body_is_taken_and_one_octet_more_is_not(door: SubmissionDaemon) -> None:
    """submission.max_request is in octets, and meant exactly."""
    room = MAX_REQUEST - len(json.dumps({**PLAIN, "text": ""}))
    words = ("The Quokka is well.\\n" * (room // 21)).ljust(room, "x")
    largest = json.dumps({**PLAIN, "text": ""}).replace('"text": ""', f'"text": "{words}"').encode()
    assert len(largest) == MAX_REQUEST
    answer = door.request("POST", "/v1/messages", largest)
    assert answer.status == 202, answer.document
    assert_problem(door.request("POST", "/v1/messages", largest + b" "), 413, "too_large")


def test_a_body_announced_too_large_is_refused_and_the_connection_closed(door: SubmissionDaemon) -> None:
    """Before it is sent: what would follow must not be taken for the next request."""
    answer = said(door.socket, post_head(MAX_REQUEST * 1000))
    assert statuses(answer) == [413]
    assert b'"code":"too_large"' in answer


def test_a_chunked_body_too_large_is_refused_and_the_connection_closed(door: SubmissionDaemon) -> None:
    """Its size is known only when it is there; no more than the limit is kept."""
    before = resident_octets(door.pid)
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    answer = said(door.socket, post_head(None) + chunk * 40 + b"0\r\n\r\n" + LIVEZ)
    assert statuses(answer) in ([413], []), "an answer may be lost when the rest is thrown away unread"
    assert resident_octets(door.pid) - before < GROWTH
    assert_serving(door)


def test_a_request_within_the_size_limit_costs_no_more_than_reading_it(door: SubmissionDaemon) -> None:
    """A million mailboxes, keys or faults: the daemon answers others again within seconds."""
    before = resident_octets(door.pid)
    for body in (
        b'{"to":[' + b",".join([b'"x"'] * 2_400_000) + b"]}",
        b'{"template":{"data":{' + b",".join(b'"%d":1' % number for number in range(900_000)) + b"}}}",
        b'{"' + b"k" * 9_000_000 + b'":["\\u0000","\\u0000"]}',
    ):
        answer = door.request("POST", "/v1/messages", body, timeout_s=30)
        assert_problem(answer, 422, "invalid")
    assert resident_octets(door.pid) - before < 6 * GROWTH


def test_a_body_that_does_not_arrive_is_timed_out(door: SubmissionDaemon) -> None:
    """408, retryable, and the connection is closed: its rest would be read as a request."""
    answer = said(door.socket, post_head(100) + b'{"from":')
    assert statuses(answer) == [408]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert json.loads(body)["retryable"] is True
    assert b"connection: close" in head.lower()


def test_a_client_that_goes_away_inside_its_body_is_no_fault_of_ours(door: SubmissionDaemon) -> None:
    """Nothing is accepted, and the log does not cry."""
    before, logged = door.deliveries()["accepted"], len(door.log())
    for _ in range(10):
        with connected(door.socket) as connection:
            connection.sendall(post_head(1000) + b'{"from":')

    def lines() -> list[str]:
        return [line for line in door.log()[logged:].splitlines() if "route=/v1/messages " in line]

    until(lambda: len(lines()) == 10, 5, "ten lines")
    assert all(" info: " in line and "status=400 code=malformed" in line for line in lines())
    assert door.deliveries()["accepted"] == before


# Floods


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"\0\xff\xfe" * 40_000, [400]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2, [400]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", [400]),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n", [400]),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"X-Many: zaphod@example.net\r\n" * 10_000 + b"\r\n", [400]),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", [400]),
        (b"EHLO zaphod@example.net\r\nMAIL FROM:<zaphod@example.net>\r\n", [400]),
        (b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", [400]),
        (post_head(5, "Transfer-Encoding: chunked") + b"0\r\n\r\n", [400]),
        (post_head(None) + b"zz\r\n", [400]),
        (b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n", [400]),
        (LIVEZ[:-2] + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + b"\x81\x80" * 1000, [200, 400]),
    ],
    ids=[
        "octets", "TLS", "HTTP/2", "long header", "many headers", "long path", "SMTP", "negative length",
        "two lengths", "no chunk", "no URL", "upgrade",
    ],
)  # fmt: skip
def test_what_is_no_http_ends_its_connection_only(door: SubmissionDaemon, octets: bytes, expected: list[int]) -> None:
    """No answer but 4xx, no harm to others, and nothing of it in the log."""
    before = resident_octets(door.pid)
    answer = statuses(said(door.socket, octets))
    assert answer == expected
    assert_serving(door)
    assert resident_octets(door.pid) - before < GROWTH


def test_thousands_of_pipelined_requests_are_all_answered(door: SubmissionDaemon) -> None:
    """In order, on one connection; none is kept while the client does not read."""
    many = 5_000
    before = resident_octets(door.pid)
    with ThreadPoolExecutor(1) as thread, connected(door.socket) as connection:
        sending = thread.submit(connection.sendall, LIVEZ * many)
        answer = b""
        while answer.count(b'{"alive":true}') < many and (octets := connection.recv(1_000_000)):
            answer += octets
        sending.result(10)
    assert statuses(answer) == [200] * many
    assert resident_octets(door.pid) - before < GROWTH


def test_five_hundred_half_open_connections_keep_nobody_out(door: SubmissionDaemon) -> None:
    """Whoever comes behind them is answered; they are hung up on after the time a request may take to arrive."""
    before = resident_octets(door.pid)
    with ExitStack() as at_end:
        connections = [at_end.enter_context(connected(door.socket)) for _ in range(500)]
        for connection, octets in zip(connections, cycle([b"", b"GET /livez HT", LIVEZ[:-2], post_head(10)[:40]])):
            connection.sendall(octets)
        assert_serving(door)
        assert door.post(PLAIN).status == 202
        assert resident_octets(door.pid) - before < GROWTH
        assert [rest(connection) for connection in connections] == [b""] * 500
    assert_serving(door)
