"""bounces.py: only an address that does not exist speaks against its recipient."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.watcher.bounces import RULES, fault_of_recipient

AGAINST = [
    ("5.1.1", "host mx.example.net[192.0.2.1] said: 550 5.1.1 <j@x.y>: User unknown (in reply to RCPT TO command)"),
    ("5.1.1", "host mx.spamblock.example[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO command)"),
    ("5.1.1", "unknown user: jane"),
    ("5.1.1", "User unknown in virtual alias table"),
    ("5.1.1", "Recipient address rejected: User unknown in relay recipient table"),
    ("5.1.10", "host mx.example.net[192.0.2.1] said: 550 5.1.10 RESOLVER.ADR.RecipientNotFound"),
]
NOT_AGAINST = [
    ("5.7.1", "host mx[192.0.2.1] said: 550 5.7.1 blocked"),
    ("5.7.26", "host mx[192.0.2.1] said: 550 5.7.26 unauthenticated mail"),
    ("5.2.2", "host mx[192.0.2.1] said: 552 5.2.2 over quota"),
    ("5.2.1", "host mx[192.0.2.1] said: 550 5.2.1 disabled"),
    ("5.3.4", "message too big"),
    ("5.4.4", "Host or domain name not found. Name service error for name=x type=A: Host not found"),
    ("5.0.0", "host mx[192.0.2.1] said: 550 no"),
    ("5.1.8", "host mx[192.0.2.1] said: 553 5.1.8 sender domain"),
    ("4.1.1", "host mx[192.0.2.1] said: 450 4.1.1 unknown for now"),
    ("5.1.1", "host mx[192.0.2.1] said: 552 5.1.1 recipient rejected"),
    ("5.1.1", "host mx[192.0.2.1] said: 550 5.1.1 mailbox is full"),
    ("5.1.1", "host mx[192.0.2.1] said: 550 5.1.1 Rejected due to poor reputation"),
    ("5.1.1", "host mx[192.0.2.1] said: 550 5.1.1 Blocked by policy"),
    ("5.1.1", "host mx[192.0.2.1] said: 550 5.1.1 listed in DNSBL"),
]


@pytest.mark.parametrize(("status", "reply"), AGAINST)
def test_an_address_that_does_not_exist_is_its_recipients_fault(status: str, reply: str) -> None:
    """Whatever the server that says so is called."""
    assert fault_of_recipient(status, reply) is not None


@pytest.mark.parametrize(("status", "reply"), NOT_AGAINST)
def test_all_other_faults_are_nobodys(status: str, reply: str) -> None:
    """Policy, reputation, content, size, routing, and a full mailbox under the wrong code."""
    assert fault_of_recipient(status, reply) is None


@given(st.from_regex(r"\A[245]\.[0-9]{1,3}\.[0-9]{1,3}\Z"), st.text(max_size=80))
def test_only_the_codes_of_the_rules_ever_count(status: str, reply: str) -> None:
    """5.7.x never does, whatever the text says."""
    if fault_of_recipient(status, reply) is not None:
        assert any(status in rule.codes for rule in RULES)
        assert not status.startswith("5.7.")


def test_each_cause_ends() -> None:
    """An address may come into being: no class of bounces is for ever."""
    assert {rule.cause: rule.kept_s / 86_400 for rule in RULES} == {"invalid_recipient": 180, "invalid_domain": 30}
