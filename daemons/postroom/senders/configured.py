"""The senders of the configuration as a table, with the uids and gids of this host."""

from collections.abc import Iterable

from postroom.config.model import Config
from postroom.runtime.accounts import AccountUnknown, accounts_of
from postroom.runtime.lifecycle import StartRefused
from postroom.senders.table import Allowance, SendersTable


def senders_table(config: Config, my_origin: str | None = None) -> SendersTable:
    """The table.

    Args:
        my_origin: what Postfix appends to an address without a domain, a name of the host as its hostname is; None for
                   a door that knows no users of the host.

    Raises:
        StartRefused: it names users or groups that this host does not have.
    """
    senders = config.senders
    allowances, unknown = [], []
    for index, entry in enumerate(senders.allow):
        try:
            accounts = accounts_of(entry.users, (), entry.groups)
        except AccountUnknown as error:
            unknown.append(f"senders.allow[{index}]: {error}")
            continue
        allowances.append(
            Allowance(
                domains=frozenset(entry.domains),
                addresses=frozenset(entry.addresses),
                uids=(*entry.uids, *_ranges(accounts.uids)),
                gids=accounts.gids,
                logins=frozenset(entry.logins),
                clients=frozenset(entry.clients),
                networks=entry.networks,
            )
        )
    if unknown:
        raise StartRefused(*unknown)
    return SendersTable(
        allowances,
        frozenset({config.hostname, (my_origin or config.hostname).lower().removesuffix(".")}),
        frozenset(config.domains),
        senders.logins,
        senders.others == "refuse",
    )


def _ranges(uids: Iterable[int]) -> Iterable[range]:
    return (range(uid, uid + 1) for uid in sorted(uids))
