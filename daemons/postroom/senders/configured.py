"""The senders of the configuration as a table, with the uids and gids of this host."""

from postroom.config.sections.senders import SendersSection
from postroom.runtime.accounts import AccountUnknown, accounts_of
from postroom.runtime.lifecycle import StartRefused
from postroom.senders.table import Allowance, SendersTable


def senders_table(senders: SendersSection, hostname: str) -> SendersTable:
    """The table.

    Raises:
        StartRefused: it names users or groups that this host does not have.
    """
    allowances, unknown = [], []
    for index, entry in enumerate(senders.allow):
        try:
            accounts = accounts_of(entry.users, entry.uids, entry.groups)
        except AccountUnknown as error:
            unknown.append(f"senders.allow[{index}]: {error}")
            continue
        allowances.append(
            Allowance(
                frozenset(entry.domains),
                accounts.uids,
                accounts.gids,
                frozenset(entry.logins),
                frozenset(entry.clients),
                entry.networks,
            )
        )
    if unknown:
        raise StartRefused(*unknown)
    return SendersTable(allowances, hostname, senders.others == "refuse")
