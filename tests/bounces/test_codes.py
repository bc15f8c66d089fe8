"""Codes alone: what is left when a reply has no words."""

import pytest

from postroom.bounces.classify import classify


@pytest.mark.parametrize(
    ("status", "fault", "suppress"),
    [
        ("5.1.0", "invalid_recipient", "after"),
        ("5.1.1", "invalid_recipient", "now"),
        ("5.1.2", "invalid_domain", "now"),
        ("5.1.3", "invalid_recipient", "now"),
        ("5.1.6", "invalid_recipient", "now"),
        ("5.1.7", "policy", "never"),
        ("5.1.8", "policy", "never"),
        ("5.1.10", "invalid_domain", "now"),
        ("5.2.1", "inactive", "after"),
        ("5.2.2", "mailbox_full", "after"),
        ("5.2.3", "too_large", "never"),
        ("5.3.0", "system", "never"),
        ("5.3.4", "too_large", "never"),
        ("5.4.1", "connection", "never"),
        ("5.4.4", "invalid_domain", "after"),
        ("5.4.6", "routing", "never"),
        ("5.4.7", "expired", "never"),
        ("5.4.310", "connection", "never"),
        ("5.5.2", "protocol", "never"),
        ("5.5.3", "rate_limit", "never"),
        ("5.6.1", "content", "never"),
        ("5.7.1", "policy", "never"),
        ("5.7.10", "tls", "never"),
        ("5.7.13", "inactive", "now"),
        ("5.7.26", "auth", "never"),
        ("5.7.28", "rate_limit", "never"),
        ("4.1.1", "invalid_recipient", "after"),
        ("4.2.2", "mailbox_full", "after"),
        ("5.0.0", "unknown", "never"),
    ],
)
def test_a_status_alone_says_what_the_registry_says(status: str, fault: str, suppress: str) -> None:
    """RFC 3463 and its registry."""
    judgement = classify("", status=status)
    assert (judgement.fault.name, judgement.suppress) == (fault, suppress)


@pytest.mark.parametrize(
    ("reply_code", "fault"),
    [
        ("421", "connection"),
        ("451", "system"),
        ("500", "protocol"),
        ("550", "unknown"),
        ("552", "mailbox_full"),
        ("571", "policy"),
    ],
)
def test_a_reply_code_alone_says_little(reply_code: str, fault: str) -> None:
    """RFC 5321 §4.2.3; 550 is used for everything."""
    judgement = classify("", reply_code)
    assert (judgement.fault.name, judgement.suppress == "now") == (fault, False)
