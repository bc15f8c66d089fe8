"""Fields of delivery status notifications, as the standard has them and as programs write them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.bounces.dsn import MAX_GROUPS, RecipientStatus, address_in, read_embedded_statuses, read_statuses

REPORT = b"""Reporting-MTA: dns; mx.example.org
Arrival-Date: Thu, 29 Apr 2026 23:34:45 +0900

Original-Recipient: rfc822;jane@example.net
Final-Recipient: rfc822; jdoe@backend.example.net
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 User
    unknown

Final-Recipient: rfc822;john@example.net
Action: delayed
Status: 4.4.1
"""


def test_each_recipient_has_its_fields() -> None:
    """RFC 3464 §2.3; the original recipient is the one the sender wrote."""
    assert read_statuses(REPORT) == [
        RecipientStatus("jdoe@backend.example.net", "jane@example.net", "failed", "5.1.1", "550 5.1.1 User unknown"),
        RecipientStatus("john@example.net", "", "delayed", "4.4.1", ""),
    ]


def test_line_ends_change_nothing() -> None:
    """CRLF on the wire, LF in files."""
    assert read_statuses(REPORT.replace(b"\n", b"\r\n")) == read_statuses(REPORT)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("rfc822; jane@example.net", "jane@example.net"),
        ("RFC822;<jane@example.net>", "jane@example.net"),
        ("jane@example.net", "jane@example.net"),
        ("<jane@example.net>", "jane@example.net"),
        ("rfc822; rfc822;jane@example.net", "jane@example.net"),
        ("rfc822; jane@example.net (Jane Doe)", "jane@example.net"),
        ("utf-8; j\\x{E4}ne@example.net", "jäne@example.net"),
        ("utf-8; jäne@exämple.net", "jäne@exämple.net"),
        ('rfc822; "jane.doe"@example.net', '"jane.doe"@example.net'),
        ("rfc822; postmaster@[192.0.2.1]", "postmaster@[192.0.2.1]"),
        ("LOCAL; jane", ""),
        ("x400; /c=de/a= /p=x/s=jane", ""),
        ("utf-8; \\x{D800}@example.net", ""),
        ("", ""),
    ],
)
def test_an_address_is_read_with_or_without_its_type(value: str, address: str) -> None:
    """RFC 3464 §2.3.2, RFC 6533 §3, and what is written instead."""
    assert address_in(value) == address


@pytest.mark.parametrize(
    "group",
    [
        b"Final-Recipient: rfc822;a@example.net\nAction: Failed (no such user)\nStatus: 5.1.1 (bad address)",
        b"\n\nFinal-Recipient: rfc822;a@example.net\nAction:failed\nStatus:5.1.1\n\n",
        b"Reporting-MTA: dns;x\nFinal-Recipient: rfc822;a@example.net\nAction: failed\nStatus: 5.1.1",
        b"Final-Recipient: rfc822;a@example.net\n\nAction: failed\nStatus: 5.1.1",
        b"Final-Recipient: rfc822;a@example.net\nsome words\nAction: failed\nStatus: 5.1.1",
    ],
)
def test_what_programs_write_instead_is_read_too(group: bytes) -> None:
    """Words behind the action, fields of the message and of the recipient in one group, lines where none belong."""
    assert [(each.address, each.action, each.status) for each in read_statuses(group)] == [
        ("a@example.net", "failed", "5.1.1")
    ]


def test_a_group_that_names_nobody_is_left_out() -> None:
    """Nor is one that says nothing."""
    assert read_statuses(b"Reporting-MTA: dns; x\n\nAction: failed\n\nFinal-Recipient: rfc822;a@example.net\n") == []


def test_a_report_in_plain_text_is_found() -> None:
    """Its MIME was lost on the way, or it is quoted by indenting."""
    text = "Hello\n\n   Final-Recipient: rfc822; a@example.net\n   Action: failed\n   Status: 5.1.1\n"
    assert read_embedded_statuses(text) == [RecipientStatus("a@example.net", "", "failed", "5.1.1", "")]
    assert read_embedded_statuses("no report") == []


def test_the_number_of_recipients_is_bounded() -> None:
    """A report of a hundred thousand recipients is cut."""
    group = b"Final-Recipient: rfc822;a%d@example.net\nAction: failed\n\n"
    assert len(read_statuses(b"".join(group % number for number in range(5_000)))) == MAX_GROUPS


@pytest.mark.parametrize("text", [b"x: y\n\n", b"x\n", b"Final-Recipient: a@b\n\n", b" \n", b"a:\n b\n"])
def test_a_report_made_to_be_slow_is_not(text: bytes) -> None:
    """A megabyte that names nobody; here under a second."""
    began = time.process_time()
    assert read_statuses(text * (1_000_000 // len(text))) == []
    assert time.process_time() - began < 8


LINES = st.sampled_from(
    [
        b"Final-Recipient: rfc822;a@example.net",
        b"Original-Recipient: utf-8;\\x{FFFFFF}@b",
        b"Action: failed",
        b"Status: 5.1.1",
        b"Diagnostic-Code: smtp;",
        b" folded",
        b"",
        b"words",
        b":",
        b"\xff: \xff",
    ]
)


@given(st.lists(LINES, max_size=30))
def test_any_lines_are_statuses(lines: list[bytes]) -> None:
    """Never an exception; who is named has an address."""
    assert all(each.address or each.original for each in read_statuses(b"\n".join(lines)))
