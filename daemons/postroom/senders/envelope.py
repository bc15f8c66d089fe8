"""Whose an envelope sender is, for the limits: anybody may write any. Pure.

    the null sender, or of another domain       as it is written
    of ours, and the client's by the table      as it is
    of ours, and not the client's               under the client and the sender together

So nobody uses up the limit of an address that is another's, and nobody's own limit is passed by its name. Without a
table every address is everybody's.

Flow:    policy/, milter/ -> is_anothers, counted_together
Limits:  the sender is the one that is counted (limits/subject.py): SRS, BATV, VERP and subaddresses resolved.
"""

from postroom.mail.addresses import domain_of
from postroom.senders.table import SenderIdentity, SendersTable


def is_anothers(table: SendersTable, who: SenderIdentity, sender: str, *, is_cron_mail: bool = False) -> bool:
    """Whether this sender is an address of ours that the table does not give to this client."""
    if table.is_empty or domain_of(sender) not in table.own_domains:
        return False
    return not table.may_use(who, sender, is_cron_mail=is_cron_mail)


def counted_together(identity: str, sender: str) -> str:
    """What is counted for a sender that is another's; `identity` is kind and value, such as uid:1000."""
    return f"{identity} {sender}"
