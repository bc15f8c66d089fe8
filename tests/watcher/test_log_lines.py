"""lines.py: whose program speaks, and when, in whatever form a log has been written."""

import json
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postroom.watcher.lines import MAX_TEXT, Line, LineReader, NoLine, line_of_entry

ZONE = timezone(timedelta(hours=1))
NOW = datetime(2026, 11, 24, 12, tzinfo=ZONE)
AT = datetime(2026, 11, 24, 2, 10, 10, tzinfo=ZONE).timestamp()
SAID = "913AA2144D6: removed"


def read(text: str) -> Line | NoLine:
    return LineReader(NOW).line(text)


@pytest.mark.parametrize(
    ("text", "pid", "at", "host", "stamp"),
    [
        (f"Nov 24 02:10:10 mail postfix/qmgr[446]: {SAID}", 446, AT, "mail", "Nov 24 02:10:10"),
        (f"<22>Nov 24 02:10:10 mail postfix/qmgr[446]: {SAID}", 446, AT, "mail", "Nov 24 02:10:10"),
        (f"Nov 24 02:10:10.250 mail postfix/qmgr[446]: {SAID}", 446, AT + 0.25, "mail", "Nov 24 02:10:10.250"),
        (f"Nov 24 02:10:10 2026 mail postfix/qmgr: {SAID}", 0, AT, "mail", "Nov 24 02:10:10 2026"),
        (f"Nov 24 02:10:10 mail postfix/qmgr: {SAID}", 0, AT, "mail", "Nov 24 02:10:10"),
        (f"Nov 24 02:10:10 postfix/qmgr[446]: {SAID}", 446, AT, "", "Nov 24 02:10:10"),
        (
            f"2026-11-24T02:10:10.5+01:00 mail postfix/qmgr[446]: {SAID}",
            446,
            AT + 0.5,
            "mail",
            "2026-11-24T02:10:10.5+01:00",
        ),
        (f"2026-11-24T01:10:10Z mail postfix/qmgr[446]: {SAID}", 446, AT, "mail", "2026-11-24T01:10:10Z"),
        (f"2026-11-24T02:10:10+0100 mail postfix/qmgr[446]: {SAID}", 446, AT, "mail", "2026-11-24T02:10:10+0100"),
        (f"<22>1 2026-11-24T01:10:10Z mail postfix/qmgr 446 - - {SAID}", 446, AT, "mail", "2026-11-24T01:10:10Z"),
        (
            f'<22>1 2026-11-24T01:10:10Z mail postfix/qmgr 446 ID [a@1 b="]\\" x"][c] \ufeff{SAID}',
            446,
            AT,
            "mail",
            "2026-11-24T01:10:10Z",
        ),
        (f"Nov 24 02:10:10 mail postfix/qmgr[446]: [ID 197553 mail.info] {SAID}", 446, AT, "mail", "Nov 24 02:10:10"),
        (f"postfix/qmgr[446]: {SAID}", 446, 0.0, "", ""),
        (f"postfix/qmgr: {SAID}", 0, 0.0, "", ""),
        (f"mail-1  | Nov 24 02:10:10 mail postfix/qmgr[446]: {SAID}", 446, AT, "mail", "Nov 24 02:10:10"),
        (f"mail-1  | postfix/qmgr[446]: {SAID}", 446, 0.0, "", ""),
        (
            f"2026-11-24T09:09:09.123456789Z stdout F Nov 24 02:10:10 mail postfix/qmgr[446]: {SAID}",
            446,
            AT,
            "mail",
            "Nov 24 02:10:10",
        ),
        (
            f"2026-11-24T09:09:09.123456789Z Nov 24 02:10:10 mail postfix/qmgr[446]: {SAID}",
            446,
            AT,
            "mail",
            "Nov 24 02:10:10",
        ),
        (
            json.dumps({"log": f"Nov 24 02:10:10 mail postfix/qmgr[446]: {SAID}\n", "stream": "stdout", "time": "x"}),
            446,
            AT,
            "mail",
            "Nov 24 02:10:10",
        ),
        (json.dumps({"syslog_identifier": "postfix/qmgr", "message": SAID}), 0, 0.0, "", ""),
        (
            json.dumps(
                {
                    "SYSLOG_IDENTIFIER": "postfix/qmgr",
                    "MESSAGE": list(SAID.encode()),
                    "_PID": "446",
                    "__REALTIME_TIMESTAMP": str(int(AT * 1e6)),
                }
            ),
            446,
            AT,
            "",
            "",
        ),
    ],
)
def test_every_form_of_a_log_is_read(text: str, pid: int, at: float, host: str, stamp: str) -> None:
    """syslog old and new, the journal, and what containers put before a line; a second time the same."""
    reader = LineReader(NOW)
    for _ in range(2):
        assert reader.line(text) == Line("postfix", "qmgr", pid, at, SAID, host, stamp)


@pytest.mark.parametrize(
    ("tag", "syslog_name", "daemon"),
    [
        ("postfix/submission/smtpd", "postfix/submission", "smtpd"),
        ("postfix-out/smtp", "postfix-out", "smtp"),
        ("mta-3/trivial-rewrite", "mta-3", "trivial-rewrite"),
        ("postfix/unknown", "postfix", "unknown"),
    ],
)
def test_any_instance_and_service_is_postfix(tag: str, syslog_name: str, daemon: str) -> None:
    """A site chooses its syslog_name; the programs are Postfix's."""
    line = read(f"Nov 24 02:10:10 mail {tag}[1]: x")
    assert isinstance(line, Line)
    assert (line.syslog_name, line.daemon) == (syslog_name, daemon)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Nov 24 02:10:10 mail dovecot: lmtp(a@b.c): postfix/smtp[1]: x", NoLine.NOT_POSTFIX),
        ("Nov 24 02:10:10 mail sshd[1]: Invalid user postfix/smtp[1]: 913AA2144D6: removed", NoLine.NOT_POSTFIX),
        ("Nov 24 02:10:10 mail last message repeated 2 times", NoLine.NOT_POSTFIX),
        ("Nov 24 02:10:10 mail some/thing[1]: x", NoLine.NOT_POSTFIX),
        ("Nov 24 02:10:10 sshd[1]: postfix/qmgr[446]: 913AA2144D6: removed", NoLine.NOT_POSTFIX),
        ("Nov 24 02:10:10 sudo: postfix/qmgr[446]: 913AA2144D6: removed", NoLine.NOT_POSTFIX),
        ("2026-11-24T01:10:10Z Mail sshd[1]: x", NoLine.NOT_POSTFIX),
        ('{"syslog_identifier": "sudo", "message": "postfix/smtp[1]: x"}', NoLine.NOT_POSTFIX),
        ("Nov 24 02:10:10 mail postfix/qmgr", NoLine.MALFORMED),
        ("Nov 24 02:10:10 mail postfix/qmgr[x]: y", NoLine.MALFORMED),
        ("Nov: 24 02:10:10 mail postfix/qmgr[1]: y", NoLine.MALFORMED),
        ("Feb 30 02:10:10 mail postfix/qmgr[1]: y", NoLine.MALFORMED),
        ("Foo 24 02:10:10 mail postfix/qmgr[1]: y", NoLine.MALFORMED),
        ("2026-13-45T99:99:99+00:00 mail postfix/qmgr[1]: y", NoLine.MALFORMED),
        ("Nov 24 02:10:10", NoLine.MALFORMED),
        ("some: text", NoLine.MALFORMED),
        ("", NoLine.MALFORMED),
        ("{", NoLine.MALFORMED),
        ("[" * 100_000, NoLine.MALFORMED),
        ('{"a":' * 13_000, NoLine.MALFORMED),
        ('{"log": "{}"}', NoLine.MALFORMED),
        ('{"message": "x"}', NoLine.MALFORMED),
        ('{"syslog_identifier": "postfix/smtp", "message": null}', NoLine.MALFORMED),
    ],
)
def test_what_is_no_line_of_postfix_says_why(text: str, why: NoLine) -> None:
    """Another program's, whatever it quotes, or nothing a log would hold."""
    assert read(text) is why


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        ("Nov 24 02:10:10", datetime(2026, 11, 24, 2, 10, 10, tzinfo=ZONE)),
        ("Nov  4 02:10:10", datetime(2026, 11, 4, 2, 10, 10, tzinfo=ZONE)),
        ("Nov 4 02:10:10", datetime(2026, 11, 4, 2, 10, 10, tzinfo=ZONE)),
        ("Nov 25 11:59:59", datetime(2026, 11, 25, 11, 59, 59, tzinfo=ZONE)),
        ("Dec 31 23:59:60", datetime(2025, 12, 31, 23, 59, 59, tzinfo=ZONE)),
        ("Feb 29 00:00:00", datetime(2024, 2, 29, 0, 0, 0, tzinfo=ZONE)),
        ("2026-11-24T02:10:10.123456+00:00", datetime(2026, 11, 24, 2, 10, 10, 123456, tzinfo=UTC)),
    ],
)
def test_times_are_read(stamp: str, at: datetime) -> None:
    """RFC 3164 has no year and no zone: it is of the last twelve months, in the zone given; twice the same."""
    reader = LineReader(NOW)
    for _ in range(2):
        line = reader.line(f"{stamp} mail postfix/postroom-in/smtpd[543]: connect from x[1.2.3.4]")
        assert line == Line(
            "postfix/postroom-in", "smtpd", 543, at.timestamp(), "connect from x[1.2.3.4]", "mail", stamp
        )


@given(st.binary(max_size=200))
@example(b"Nov 24 02:10:10 mail postfix/smtp[1]: \xff\xfe")
@example(b"\xef\xbb\xbfNov 24 02:10:10 mail postfix/smtp[99999999999]: x")
def test_any_octets_are_a_line_or_none(octets: bytes) -> None:
    """Nothing raises; what is a line has a program."""
    for text in (octets, b"Nov 24 02:10:10 " + octets, b"<22>1 2026-11-24T02:10:10Z " + octets, b'{"log": "' + octets):
        line = read(text.decode("utf-8", "replace"))
        assert isinstance(line, NoLine) or (line.daemon and line.syslog_name and isinstance(line.at, float))


@given(
    st.dictionaries(
        st.sampled_from(["syslog_identifier", "MESSAGE", "log", "_PID", "__REALTIME_TIMESTAMP"]),
        st.one_of(st.text(max_size=20), st.integers(), st.none(), st.lists(st.integers(-1, 300), max_size=3)),
    )
)
def test_any_object_is_a_line_or_none(entry: dict[str, object]) -> None:
    """A journal may hold anything under any name."""
    read(json.dumps(entry))


@pytest.mark.parametrize(
    "begin",
    ["Nov 24 02:10:10 mail postfix/smtp[1]: ", "<22>1 2026-11-24T02:10:10Z a b c d [", "a | ", "Nov 24 02:10:10 ", ""],
)
@pytest.mark.parametrize("part", ['"\\', "[", "x", " ", "a=", "/"])
def test_a_line_without_end_costs_no_more_than_its_limit(begin: str, part: str) -> None:
    """A megabyte is cut, and so is read in no time."""
    began = time.process_time()
    line = read(begin + part * 500_000)
    assert time.process_time() - began < 0.5
    assert isinstance(line, NoLine) or len(line.text) <= MAX_TEXT


@pytest.mark.parametrize("identifier", ["postfix", "", "/smtp", "postfix/", "sudo", "postfix/a b"])
def test_other_programs_have_no_line(identifier: str) -> None:
    """Postfix's programs name themselves instance/program."""
    assert line_of_entry(identifier, 1, 0.0, "removed") is None
