"""Whose an envelope sender is, by the table."""

import pytest

from postroom.senders.envelope import is_anothers
from postroom.senders.table import Allowance, SenderIdentity, SendersTable

TABLE = SendersTable(
    (Allowance(domains=frozenset({"example.org"}), uids=(range(34),)),),
    frozenset({"mail.example.org"}),
    frozenset({"example.org", "example.net"}),
)
EVE, WWW_DATA = SenderIdentity(uid=1000, user="eve"), SenderIdentity(uid=33, user="www-data")


@pytest.mark.parametrize(
    ("who", "sender", "anothers"),
    [
        (EVE, "boss@example.org", True),
        (EVE, "boss@EXAMPLE.ORG", True),
        (EVE, "x@example.net", True),
        (EVE, "root@mail.example.org", True),
        (EVE, "eve@mail.example.org", False),
        (EVE, "eve+x@mail.example.org", False),
        (EVE, "boss@example.com", False),
        (EVE, "boss@sub.example.org", False),
        (EVE, "", False),
        (EVE, "boss", False),
        (WWW_DATA, "boss@example.org", False),
        (WWW_DATA, "x@example.net", True),
        (SenderIdentity(), "boss@example.org", True),
    ],
)
def test_an_address_of_ours_is_its_senders_alone(who: SenderIdentity, sender: str, anothers: bool) -> None:
    """The null sender and other domains are nobody's that the table knows."""
    assert is_anothers(TABLE, who, sender) is anothers
    assert not is_anothers(SendersTable(), who, sender)


def test_cron_may_be_told_to_send_as_root() -> None:
    """For a refusal alone; counted, it is the user's."""
    assert not is_anothers(TABLE, EVE, "root@mail.example.org", is_cron_mail=True)
