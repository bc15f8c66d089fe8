"""Garbled requests to the submission socket for a while: each gets an answer that tells the client, and nothing breaks.

POSTROOM_FUZZ_S sets for how many seconds (scripts/soak: 120).
"""

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.submission.conftest import MakeDaemon, make_daemon

pytestmark = pytest.mark.process
__all__ = ["make_daemon"]

SECONDS = float(os.environ.get("POSTROOM_FUZZ_S", "10"))
SEED = 12
ANSWER_S = 20.0
PATIENCE_S = 0.5
"""After so long a request without an answer counts as one whose end has not come."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
GOOD: dict[str, Any] = {
    "from": "Example <hello@example.org>",
    "to": ["jane@example.net", "Joe <joe@example.net>"],
    "reply_to": "help@example.org",
    "subject": "Paid",
    "text": "Thank you.",
    "stream": "receipts",
}
TEMPLATE: dict[str, Any] = {
    "from": "hello@example.org",
    "to": "jane@example.net",
    "template": {
        "name": "welcome",
        "locale": "de-AT",
        "data": {"first_name": "Jane", "login_url": "https://example.org"},
    },
}
VALUES: list[Any] = [
    None,
    True,
    -1,
    0.5,
    "",
    "x" * 70_000,
    "a\r\nBcc: x@example.net",
    "\x00\x1b[2J\u202e\ud800",
    "jane@" + "a." * 300 + "example.net",
    "<" * 500 + "a@example.net" + ">" * 500,
    "=?utf-8?b?" + "w4TDhA" * 500 + "?=",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    [],
    {},
    [[[[[]]]]],
    ["jane@example.net"] * 60,
    {"name": "../../etc/passwd"},
    {"name": "welcome", "data": {"first_name": {"a": ["b"] * 1_000}}},
    10**300,
]
NUMBERS = ["1" * 6_000, "-0", "1e999", "NaN", "Infinity", "0x10", "01", "1.", "1e-9999"]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PRI", "G\tT", ""]
TARGETS = [
    "/v1/messages",
    "/v1/messages/",
    "/v1/messages/../../etc/passwd",
    "/v1/messages/" + "0" * 5_000,
    "/v1/messages/01a20ba7-47f3-733b-a0a6-874b6924f54b",
    "/v1/messages/%00%ff%2e%2e",
    "/v1/stats?a=1&a=2",
    "/readyz",
    "*",
    "http://evil.example/v1/messages",
    "",
]
HEADERS = [
    "Idempotency-Key: " + "k" * 300,
    "Idempotency-Key: \x01",
    "Idempotency-Key: a\r\nIdempotency-Key: b",
    "Content-Type: text/html",
    "Content-Type: application/json; charset=utf-16",
    "Content-Encoding: gzip",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Content-Length: 10",
    "Content-Length: -1",
    "Content-Length: 99999999999999999999",
    "Expect: 100-continue",
    "Upgrade: h2c",
    "X-Long: " + "y" * 9_000,
    "Host: evil.example",
    ": empty",
    "no colon",
]


class Fuzzer:
    """Makes requests, most of them wrong somewhere; the same for a seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def request(self) -> bytes:
        """One request, or what looks like one."""
        makers: list[Callable[[], bytes]] = [
            self._document,
            self._document,
            self._document,
            self._headers,
            self._octets,
        ]
        return self._random.choice(makers)()

    def _document(self) -> bytes:
        """A message with some of its parts replaced, and its JSON perhaps garbled."""
        document = deepcopy(self._random.choice([GOOD, TEMPLATE]))
        for _ in range(self._random.randint(0, 3)):
            self._replace(document)
        octets = json.dumps(document, ensure_ascii=self._random.random() < 0.8).encode("utf-8", "surrogatepass")
        match self._random.randrange(6):
            case 0:
                octets = self._garbled(octets)
            case 1:
                octets = octets.replace(b'"text"', b'"text": ' + self._random.choice(NUMBERS).encode() + b', "text"', 1)
            case 2:
                octets = b"[" * self._random.choice([1, 50, 100_000]) + octets
            case _:
                pass
        return self._http("POST", "/v1/messages", ["Content-Type: application/json"], octets)

    def _replace(self, document: dict[str, Any]) -> None:
        at = document
        while True:
            key = self._random.choice([*at, "unknown", "\ud800", "a" * 300])
            inner = at.get(key)
            if not isinstance(inner, dict) or self._random.random() < 0.4:
                at[key] = deepcopy(self._random.choice(VALUES))
                return
            at = inner

    def _headers(self) -> bytes:
        some = self._random.sample(HEADERS, self._random.randint(1, 4))
        if self._random.random() < 0.5:
            some.append("Content-Type: application/json")
        body = self._garbled(json.dumps(GOOD).encode())
        return self._http(self._random.choice(METHODS), self._random.choice(TARGETS), some, body)

    def _octets(self) -> bytes:
        return self._garbled(self._http("POST", "/v1/messages", ["Content-Type: application/json"], b"{}"))

    def _garbled(self, octets: bytes) -> bytes:
        changed = bytearray(octets)
        for _ in range(self._random.randint(1, 8)):
            if not changed:
                break
            at = self._random.randrange(len(changed))
            match self._random.randrange(4):
                case 0:
                    changed[at] = self._random.randrange(256)
                case 1:
                    del changed[at : at + self._random.randint(1, 30)]
                case 2:
                    changed[at:at] = self._random.randbytes(self._random.randint(1, 30))
                case _:
                    changed[at:at] = changed[at : at + 40]
        return bytes(changed)

    def _http(self, method: str, target: str, headers: list[str], body: bytes) -> bytes:
        lines = [f"{method} {target} HTTP/1.{self._random.choice('0111')}", "Host: localhost", *headers]
        if not any(header.startswith(("Content-Length", "Transfer-Encoding")) for header in headers):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + body


def answer_of(path: Path, request: bytes) -> bytes:
    """The first octets of the answer; "" where there is none, for the daemon waits for more or hung up."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(ANSWER_S)
        sock.connect(str(path))
        with suppress(ConnectionError):
            sock.sendall(request)
            sock.settimeout(PATIENCE_S)
            with suppress(TimeoutError):
                return sock.recv(65_536)
    return b""


def test_garbled_requests_get_answers_and_break_nothing(bed: Path, make_daemon: MakeDaemon) -> None:
    """No fault of ours whatever comes, and a good request is taken at the end."""
    daemon, fuzzer, seen = make_daemon(), Fuzzer(SEED), Counter[str]()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        request = fuzzer.request()
        answer = answer_of(daemon.socket, request).removeprefix(CONTINUE)
        status = answer[9:12].decode("latin-1") if answer else "none"
        seen[status] += 1
        assert status == "none" or status[0] in "24", (status, request[:500], answer[:1_000])
        head, _, body = answer.partition(b"\r\n\r\n")
        if b"application/problem+json" in head and body:
            # Only the first: what follows the request may have been read as another.
            problem, _ = json.JSONDecoder().raw_decode(body.decode())
            assert {"code", "detail", "retryable", "request_id"} <= problem.keys(), problem
    print(f"\n{seen.total()} garbled requests in {SECONDS:g} s: {dict(seen.most_common())}")
    assert seen["422"] > 0
    assert seen["202"] > 0
    assert daemon.post(GOOD).status == 202
    assert "submission.fault" not in daemon.log()
