"""Mails to reports: which are one, of whom, and what a stranger cannot bring about."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.bounces.classes import CLASSES
from postroom.mail.recipients import recipient_hash
from postroom.mail.return_addresses import DAY_S, ReturnAddresses
from postroom.mail.tokens import mint
from postroom.store.track.bounce_report import BounceReport
from postroom.store.track.evidence import RecipientFault
from postroom.watcher.lmtp import ReceivedMail
from postroom.watcher.reports import MAX_HOPS, MAX_RECIPIENTS, MailReader, as_signed
from sandbox.bounce_mails import VACATION, complaint, dsn

KEY, HASH_KEY = b"k" * 32, b"h" * 32
NOW = 1_800_000_000.0
TOKEN, OTHER = mint(KEY, b"8 octets", NOW), mint(KEY, b"8 others", NOW)
OURS, COMPLAINTS = f"{TOKEN}@bounces.example.org", "complaints@bounces.example.org"
RETURNS = ReturnAddresses(KEY, ["bounces.example.org"], 30 * DAY_S)
READER = MailReader(RETURNS, HASH_KEY)
SAMPLES = sorted((Path(__file__).parents[1] / "data" / "bounces" / "messages").glob("*.eml"))


def reports(octets: bytes, *recipients: str, sender: str = "") -> tuple[str, tuple[BounceReport, ...]]:
    read = READER.read(ReceivedMail(sender, recipients or (OURS,), octets), NOW)
    return read.kind, read.reports


def hashes(*addresses: str) -> tuple[str, ...]:
    return tuple(recipient_hash(HASH_KEY, address) for address in addresses)


def test_a_bounce_is_a_report_on_the_mail_whose_address_it_came_to() -> None:
    """With the words that decided, never an address, and the fault where it is the recipient's."""
    kind, (report,) = reports(dsn("ghost@world.test", original="alias@world.test"))
    assert kind == "bounce"
    assert (report.kind, report.token, report.enhanced_status) == ("bounce", TOKEN, "5.1.1")
    assert report.recipients == hashes("ghost@world.test", "alias@world.test")
    assert report.fault is not None
    assert (report.fault.cause, report.fault.proof) == ("invalid_recipient", "now")
    assert report.fault.rule
    assert report.reason.startswith("reported after it was taken: 550 5.1.1 ")
    assert "user unknown" in report.reason
    assert "ghost" not in report.reason


def test_a_bounce_for_another_reason_speaks_against_nobody() -> None:
    """It is a bounce all the same."""
    _, (report,) = reports(dsn("jane@world.test", status="5.7.1", said="550 5.7.1 Message looks like spam"))
    assert (report.enhanced_status, report.fault) == ("5.7.1", None)


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        (dsn("jane@world.test", "delayed", "4.4.1", said="connection timed out"), "delay"),
        (dsn("jane@world.test", "delivered", "2.0.0", said="250 Ok"), "success"),
        (dsn("jane@world.test", "relayed", "2.0.0", said="250 Ok"), "success"),
        (VACATION, "autoreply"),
        (b"From: joe@world.test\r\nSubject: hello\r\n\r\nWhere are you?\r\n", "other"),
        (complaint("jane@world.test", kind="auth-failure"), "complaint"),
        (complaint("jane@world.test", kind="not-spam"), "complaint"),
        (b"", "unreadable"),
        (b"\r\n", "unreadable"),
    ],
)
def test_what_is_neither_bounce_nor_complaint_changes_nothing(octets: bytes, kind: str) -> None:
    """Delays, successes, automatic replies, letters, reports of authentication, and what cannot be read."""
    assert reports(octets) == (kind, ())


def test_a_complaint_suppresses_whoever_got_that_mail() -> None:
    """Named or not: the token tells."""
    for named in ("jane@world.test", None):
        kind, (report,) = reports(complaint(named))
        assert (kind, report.kind, report.token) == ("complaint", "complaint", TOKEN)
        assert report.recipients == (() if named is None else hashes(named))
        # Without either it might be a report on other mail, sent once more.
        assert report.fault == RecipientFault("complaint", "review" if named is None else "now", "", 0)
    _, (report,) = reports(complaint(None, OURS))
    assert report.fault == RecipientFault("complaint", "now", "", 0)


def test_a_complaint_that_nobody_believed_has_signed_is_for_review() -> None:
    """Its words say who reported it."""
    read = READER.read(ReceivedMail("", (OURS,), complaint("jane@world.test")), NOW)
    (signed,), (unsigned,) = (as_signed(read, signer).reports for signer in ("fbl.example.net", None))
    assert signed.fault == RecipientFault("complaint", "now", "", 0)
    assert signed.reason == "the recipient complained, reported by fbl.example.net"
    assert unsigned.fault == RecipientFault("complaint", "review", "", 0)
    assert unsigned.reason == "the recipient complained, signed by no reporter that is believed"


def test_a_complaint_to_the_address_for_complaints_names_its_mail_itself() -> None:
    """By a token of ours, which only that mail bore; without one, or with another's, it is of no mail."""
    _, (report,) = reports(complaint("jane@world.test", OURS.upper()), COMPLAINTS)
    assert report.token == TOKEN
    for sender in ("", "hello@example.org", f"{TOKEN}@example.net", f"{mint(b'x' * 32, b'8 octets', NOW)}@b.test"):
        assert reports(complaint("jane@world.test", sender), COMPLAINTS) == ("complaint", ())
    returned = complaint(None).replace(b"From: hello@example.org", f"Return-Path: <{OURS}>".encode())
    assert [report.token for report in reports(returned, COMPLAINTS)[1]] == [TOKEN]


def test_a_bounce_names_its_mail_by_its_address_alone() -> None:
    """What stands in it anybody may have written, and at the address for complaints it names none."""
    said = dsn("ghost@world.test") + OURS.encode()
    assert reports(said, COMPLAINTS) == ("bounce", ())
    _, (report,) = reports(complaint("jane@world.test", f"{OTHER}@bounces.example.org"))
    assert report.token == TOKEN


def test_mail_to_an_address_that_is_not_ours_is_not_read() -> None:
    """A foreign token, an old one, a mailbox."""
    old = mint(KEY, b"8 octets", NOW - 32 * DAY_S)
    for local in (mint(b"x" * 32, b"8 octets", NOW), old, "postmaster"):
        assert reports(dsn("jane@world.test"), f"{local}@bounces.example.org") == ("foreign", ())
    _, (report,) = reports(dsn("ghost@world.test"), f"{old}@bounces.example.org", OURS)
    assert report.token == TOKEN


def test_mail_of_ours_that_came_back_to_us_is_a_loop() -> None:
    """From a return address, or round and round; it is dropped."""
    assert reports(dsn("ghost@world.test"), sender=f"{OTHER}@bounces.example.org") == ("loop", ())
    assert reports(b"Received: by mx\r\n" * (MAX_HOPS + 1) + dsn("ghost@world.test")) == ("loop", ())
    assert reports(b"Received: by mx\r\n" * MAX_HOPS + dsn("ghost@world.test"))[0] == "bounce"


def test_the_same_mail_has_the_same_reports() -> None:
    """Delivered again it counts once; another mail, or the same to another address, is another."""
    (first,) = reports(dsn("ghost@world.test"))[1]
    (again,) = reports(dsn("ghost@world.test"))[1]
    assert first.id == again.id
    both = reports(dsn("ghost@world.test"), OURS, f"{OTHER}@bounces.example.org", OURS)[1]
    assert len({report.id for report in both}) == 2
    assert reports(dsn("ghost@world.test") + b"\r\n")[1][0].id != first.id


def test_a_mail_of_many_recipients_makes_few_reports() -> None:
    """Its mail had one."""
    groups = "".join(f"\r\n\r\nFinal-Recipient: rfc822; r{number}@world.test\r\nAction: failed" for number in range(99))
    octets = dsn("ghost@world.test").replace(b"\r\nDiagnostic-Code", f"{groups}\r\nDiagnostic-Code".encode())
    assert len(reports(octets)[1]) == MAX_RECIPIENTS


def test_every_sample_is_read() -> None:
    """Letters of many servers: whatever they are, no reason quotes an address, and every fault is a class."""
    assert len(SAMPLES) > 30
    seen = set()
    for sample in SAMPLES:
        kind, made = reports(sample.read_bytes())
        seen.add(kind)
        for report in made:
            assert re.search(r"\w@\w", report.reason) is None, sample.name
            assert report.fault is None or report.fault.cause in {*CLASSES, "complaint"}
    assert {"bounce", "complaint", "delay", "autoreply"} <= seen


@given(st.binary(max_size=300), st.text(max_size=40))
def test_any_octets_to_any_address_give_an_answer(octets: bytes, text: str) -> None:
    """And no report but on a mail of ours."""
    _, made = reports(dsn("ghost@world.test") + octets, text, f"{text}@bounces.example.org")
    assert made == ()
    for report in reports(octets)[1]:
        assert report.token == TOKEN
