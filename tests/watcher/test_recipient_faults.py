"""correlate.py: what of a log line is evidence against its recipient."""

import pytest

from postroom.store.track.evidence import RecipientFault
from postroom.watcher.correlate import fault_of_recipient

AGAINST = [
    ("5.1.1", "host mx.example.net[192.0.2.1] said: 550 5.1.1 <j@x.y>: User unknown (in reply to RCPT TO command)"),
    ("5.1.1", "host mx.spamblock.example[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO command)"),
    ("5.1.1", "unknown user: jane"),
    ("5.1.1", "User unknown in virtual alias table"),
    ("5.1.1", "Recipient address rejected: User unknown in relay recipient table"),
    ("5.1.10", "host mx.example.net[192.0.2.1] said: 550 5.1.10 RESOLVER.ADR.RecipientNotFound"),
    ("5.7.1", "host mx[192.0.2.1] said: 550 5.7.1 no such user (in reply to RCPT TO command)"),
    ("5.0.0", "host mx[192.0.2.1] said: 550 unknown user (in reply to end of DATA command)"),
]
NOT_AGAINST = [
    ("5.7.1", "host mx[192.0.2.1] said: 550 5.7.1 blocked"),
    ("5.7.26", "host mx[192.0.2.1] said: 550 5.7.26 unauthenticated mail"),
    ("5.3.4", "message too big"),
    ("5.4.6", "mail for example.net loops back to myself"),
    ("5.0.0", "host mx[192.0.2.1] said: 550 no"),
    ("5.1.8", "host mx[192.0.2.1] said: 553 5.1.8 sender domain"),
    ("5.1.1", "host mx[192.0.2.1] said: 552 5.1.1 recipient rejected"),
    ("5.1.1", "host mx[192.0.2.1] said: 550 5.1.1 Rejected due to poor reputation"),
    ("5.1.1", "host mx[192.0.2.1] said: 550 5.1.1 Blocked by policy"),
    ("5.1.1", "host mx[192.0.2.1] said: 550 5.1.1 listed in DNSBL"),
    ("5.1.1", "host mx[192.0.2.1] said: 550 5.1.1 user unknown (in reply to MAIL FROM command)"),
    ("5.3.0", "Command died with status 1: /usr/bin/procmail"),
]
SUSPICIOUS = [
    ("5.2.2", "host mx[192.0.2.1] said: 552 5.2.2 over quota"),
    ("5.2.1", "host mx[192.0.2.1] said: 550 5.2.1 not now"),
    ("5.4.4", "Host or domain name not found. Name service error for name=x type=A: Host not found"),
    ("4.1.1", "host mx[192.0.2.1] said: 450 4.1.1 unknown for now"),
    ("5.1.1", "host mx[192.0.2.1] said: 550 5.1.1 mailbox is full"),
    ("4.2.2", "host mx[192.0.2.1] said: 452 4.2.2 mailbox full"),
]


@pytest.mark.parametrize(("status", "reply"), AGAINST)
def test_an_address_that_does_not_exist_is_its_recipients_fault(status: str, reply: str) -> None:
    """Whatever the server that says so is called, and whatever code it takes."""
    fault = fault_of_recipient(status, reply)
    assert fault is not None
    assert fault.proof == "now"


@pytest.mark.parametrize(("status", "reply"), NOT_AGAINST)
def test_all_other_faults_are_nobodys(status: str, reply: str) -> None:
    """Policy, reputation, content, size, routing."""
    assert fault_of_recipient(status, reply) is None


@pytest.mark.parametrize(("status", "reply"), SUSPICIOUS)
def test_what_is_not_sure_counts_only_when_it_repeats(status: str, reply: str) -> None:
    """A full mailbox, under whatever code; our own resolver's word; a code alone; a refusal for now."""
    fault = fault_of_recipient(status, reply)
    assert fault is not None
    assert fault.proof == "after"


def test_a_fault_has_its_class_and_its_rule() -> None:
    """The cause of a suppression is the name of the class; the rule is told with its version."""
    assert fault_of_recipient("5.1.1", "unknown user: jane") == RecipientFault(
        "invalid_recipient", "now", "recipient.unknown", 2
    )
    assert fault_of_recipient("5.2.1", "account disabled") == RecipientFault("inactive", "now", "inactive.words", 2)
    assert fault_of_recipient("4.2.2", "mailbox full") == RecipientFault("mailbox_full", "after", "mailbox.full", 1)
