"""Whose fault a refusal was, and that nobody is suppressed for another's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.bounces.classes import CLASSES
from postroom.bounces.classify import classify
from postroom.bounces.reply import MAX_CHARS, reply_text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("550 5.7.1 No such user", "invalid_recipient"),
        ("550 5.1.1 mailbox is full", "mailbox_full"),
        ("552 5.1.1 recipient overquota", "mailbox_full"),
        ("550 5.2.1 <jane@example.net>... Addressee unknown", "invalid_recipient"),
        ("550 5.1.1 Rejected due to poor reputation", "blocklist"),
        ("550 5.0.0 DMARC check failed", "auth"),
        ("554 5.7.1 <jane@example.net>: Relay access denied", "relay_denied"),
        ("550 5.1.1 refused: too many unknown recipients", "rate_limit"),
    ],
)
def test_words_win_over_codes(text: str, fault: str) -> None:
    """Many servers send one code for everything."""
    assert classify(text).fault.name == fault


@pytest.mark.parametrize(
    ("text", "reply_code", "status", "suppress"),
    [
        ("550 5.1.1 User unknown", "", "", "now"),
        ("450 4.1.1 User unknown", "", "", "after"),
        ("User unknown in virtual alias table", "", "5.1.1", "now"),
        ("User unknown", "", "", "after"),
        ("550 User unknown", "", "4.0.0", "now"),
        ("User unknown", "450", "5.1.1", "after"),
        ("550 5.2.1 Account disabled", "", "", "now"),
        ("550 5.2.1", "", "", "after"),
        ("552 5.2.2 Mailbox full", "", "", "after"),
        ("550 5.7.1 Spam", "", "", "never"),
        ("550 5.1.10 Domain example.net does not accept mail (nullMX)", "", "", "now"),
    ],
)
def test_only_a_permanent_refusal_suppresses_at_once(text: str, reply_code: str, status: str, suppress: str) -> None:
    """The reply code says whether it is; without one the enhanced status code."""
    assert classify(text, reply_code, status).suppress == suppress


@pytest.mark.parametrize(
    "text",
    [
        "550 5.1.1 No such user, or your address has been blacklisted",
        "550 5.1.1 User unknown; SPF check failed",
        "host mx.example.net[192.0.2.1] said: 550 5.1.1 user unknown (in reply to MAIL FROM command)",
        "host mx.example.net[192.0.2.1] refused to talk to me: 550 5.1.1 user unknown",
        "550 Sender verify failed: no such user",
        "553 5.1.8 <a@example.org>: Sender address rejected: Domain not found",
        "550 5.1.7 Invalid address in MAIL FROM",
        "<jane@example.net>: Connection closed by remote host",
        "550 5.1.1 <us@example.org> sender unknown",
        "550 5.1.1 the sending user does not exist",
        "550 5.7.1 Your IP address is not in our list",
        "550 5.2.1 your account has been disabled",
        "550 5.1.1 <jane@example.net>: host name of your client is unknown",
    ],
)
def test_a_sign_of_another_fault_keeps_the_recipient(text: str) -> None:
    """Where a reply speaks of the sender too, or was given before a recipient was named."""
    assert classify(text, "550", "5.1.1").suppress != "now"


@pytest.mark.parametrize("host", ["mx.spamblock.example", "nosuchuser.example", "user-unknown.example", "550.example"])
def test_the_name_of_a_server_says_nothing(host: str) -> None:
    """A stranger chose it."""
    own = classify(f"host {host}[192.0.2.1] said: 550 5.7.1 go away (in reply to RCPT TO command)")
    assert own == classify("550 5.7.1 go away (in reply to RCPT TO command)")


def test_an_address_says_nothing() -> None:
    """Nor does its local part."""
    assert classify("550 <user-unknown@example.net> go away").fault.name == "unknown"
    assert classify("550 <mailbox.full@example.net> no such user").fault.name == "invalid_recipient"


def test_nothing_past_the_bound_counts() -> None:
    """A reply is cut before it is looked at."""
    assert classify("550 " + "x " * MAX_CHARS + "user unknown").fault.name == "unknown"


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("550 5.1.1 <jane@example.net> user jane doe unknown", "550 5.1.1 @ user … unknown"),
        ("550 5.1.1 unknown user", "550 5.1.1 unknown user"),
        ("550 5.1.1", "550 5.1.1"),
    ],
)
def test_evidence_shows_the_words_of_the_rule_alone(text: str, evidence: str) -> None:
    """Names and addresses of people stand in replies; evidence is kept and shown."""
    assert classify(text).evidence == evidence


@pytest.mark.parametrize("status", ["abc", "5.1", "9.1.1", "5.1.1\n", "5.1.1 jane@example.net", "\ud800"])
def test_a_code_that_is_none_is_passed_over(status: str) -> None:
    """A caller hands on what a stranger wrote."""
    assert classify("go away", status, status).evidence == ""


def test_the_lines_of_a_reply_are_read_as_one() -> None:
    """Each line repeats its codes (RFC 2034 §4)."""
    found = reply_text("550-5.1.1 The user\n550-5.1.1 is\n550 5.1.1 unknown here")
    assert (found.code, found.status, found.plain) == ("550", "5.1.1", "550-5.1.1 the user is unknown here")


@given(st.text(max_size=300), st.sampled_from(["", "550", "450"]), st.sampled_from(["", "5.1.1", "4.2.2"]))
def test_any_text_is_judged(text: str, reply_code: str, status: str) -> None:
    """And only what is permanent suppresses at once; evidence stays short and printable."""
    judgement = classify(text, reply_code, status)
    assert judgement.fault.name in CLASSES
    if judgement.suppress == "now":
        assert judgement.fault.bucket == "recipient"
        assert reply_text(text, reply_code, status).is_permanent
    assert judgement.evidence.isprintable()
    assert len(judgement.evidence) <= 200


def test_only_faults_of_the_address_are_proof_at_once() -> None:
    """A full mailbox counts when it repeats; all else is no fault of the recipient."""
    assert {each.name for each in CLASSES.values() if each.suppress == "now"} == {
        each.name for each in CLASSES.values() if each.bucket == "recipient"
    }
    assert [each.name for each in CLASSES.values() if each.suppress == "after"] == ["mailbox_full"]
