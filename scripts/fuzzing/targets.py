"""What is fuzzed: each target takes any octets to a value or to the error it promises, in bounded time.

A target has its seeds, from tests/data, and says with `bound_s` how long one input of up to 100 KB may take at most,
with the cost of the fuzzer's own counting in it.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from postroom.bounces.classify import classify
from postroom.bounces.report import ParseError, read_report
from postroom.policy.protocol import PolicyProtocolError, RequestReader
from postroom.postfix.showq import RecordReader, ShowqError
from postroom.watcher.correlate import Correlator
from postroom.watcher.lines import Line, LineReader
from postroom.watcher.lmtp import LmtpSession, ReceivedMail
from postroom.watcher.record_json import line_to_json

DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
NOW = datetime(2026, 11, 24, tzinfo=UTC)


@dataclass(frozen=True)
class Target:
    """One of them.

    Attributes:
        run:     takes the octets; whatever it raises is a finding.
        seeds:   where the fuzzer begins.
        bound_s: seconds that one input may take.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    bound_s: float


def records(octets: bytes) -> None:
    """A line of a log, to its record and its facts."""
    text = octets.decode("utf-8", "replace")
    line = LineReader(NOW).line(text)
    line_to_json(line)
    if isinstance(line, Line):
        list(Correlator(b"k" * 32, is_relayhosted=False).facts(line))


def reports(octets: bytes) -> None:
    """A mail to the return path: DSN, complaint, letter."""
    try:
        read_report(octets)
    except ParseError:
        return


def replies(octets: bytes) -> None:
    """A refusal."""
    text, _, status = octets.decode("utf-8", "replace").partition("\n")
    classify(text, status=status)


def lmtp(octets: bytes) -> None:
    """A session, in one piece and in two: the same answers."""
    whole = _said(octets)
    assert _said(octets[: len(octets) // 2], octets[len(octets) // 2 :]) == whole


def _said(*pieces: bytes) -> list[bytes | ReceivedMail]:
    session, said = LmtpSession("mail.example.org", lambda address: None if "@" in address else "550 5.1.1 No"), []
    for octets in pieces:
        session.feed(octets)
        while (event := session.next_event()) is not None:
            said.append(event)
    return said


def policy(octets: bytes) -> None:
    """Questions of Postfix."""
    reader = RequestReader()
    try:
        reader.feed(octets)
        while reader.next_request() is not None:
            pass
    except PolicyProtocolError:
        return


def showq(octets: bytes) -> None:
    """What Postfix says of its queue."""
    try:
        list(RecordReader().feed(octets))
    except ShowqError:
        return


def _lines() -> Iterator[bytes]:
    yield from (DATA / "postfix-log" / "lab-r3.txt").read_bytes().splitlines()[:2000:7]
    for text in (DATA / "postfix-log" / "lines.jsonl").read_text(encoding="utf-8").splitlines():
        yield str(json.loads(text).get("line", text)).encode()


def _mails() -> Iterator[bytes]:
    for path in sorted((DATA / "bounces" / "messages").rglob("*")):
        if path.is_file():
            yield path.read_bytes()


def _refusals() -> Iterator[bytes]:
    for text in (DATA / "bounces" / "replies.jsonl").read_text(encoding="utf-8").splitlines():
        said = json.loads(text)
        yield f"{said.get('text', '')}\n{said.get('status') or ''}".encode()


def _sessions() -> Iterator[bytes]:
    yield (
        b"LHLO mx\r\nMAIL FROM:<>\r\nRCPT TO:<pr@b.example.org>\r\nRCPT TO:<none>\r\nDATA\r\n"
        b"Subject: x\r\n\r\n..\r\n.\r\nNOOP\r\nRSET\r\nVRFY x\r\nQUIT\r\n"
    )


def _questions() -> Iterator[bytes]:
    yield (
        b"request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=127.0.0.1\n"
        b"instance=1.2.3\nsender=a@b.c\nrecipient=d@e.f\nrecipient_count=0\nqueue_id=\nsasl_username=\nsize=0\n"
        b"policy_context=smtp\nclient_port=1\nserver_port=25\nserver_address=127.0.0.1\n\n"
    )


def _queue() -> Iterator[bytes]:
    mail = ("queue_name", "active", "queue_id", "4XyZ", "time", "1", "size", "2", "sender", "a@b.c")
    yield "\0".join((*mail, "recipient", "d@e.f", "reason", "no", "", "", "")).encode()


TARGETS = {
    "records": Target(records, _lines, 0.5),
    "reports": Target(reports, _mails, 3.0),
    "replies": Target(replies, _refusals, 1.0),
    "lmtp": Target(lmtp, _sessions, 0.5),
    "policy": Target(policy, _questions, 0.5),
    "showq": Target(showq, _queue, 0.5),
}
