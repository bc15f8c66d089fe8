"""What the table of senders says of a client at the SMTP door; users are looked up in the host's accounts for that.

Accounts are asked for beside the event loop, for they may lie across a network (nsswitch.conf(5)), only where the
answer matters, and are kept for KEPT_S.

Flow:    decisions.py -> SenderRights -> senders/envelope.py, senders/table.py
Limits:  a group that a user joins or leaves holds here after KEPT_S, or at once after a reload.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from postroom.limits.subject import counted_sender
from postroom.mail.addresses import AddressInvalid
from postroom.mail.spellings import AddressRewriting, resolved
from postroom.policy.clients import SmtpClient
from postroom.runtime.accounts import groups_of, name_of
from postroom.senders.envelope import counted_together, is_anothers
from postroom.senders.table import SenderIdentity, SendersTable

KEPT_S = 60.0
MAX_KEPT = 1_000
"""Users whose accounts are kept."""


@dataclass(frozen=True, slots=True)
class EnvelopeSender:
    """The sender of a message.

    Args:
        counted:     value of the key `sender`, not hashed yet; "" is the null sender.
        is_anothers: it is an address of ours that the table does not give to this client.
    """

    counted: str
    is_anothers: bool = False


class SenderRights:
    """The table of one configuration.

    Args:
        rewriting: how Postfix reads a sender that is not written plainly; None where it does not tell.
        name_of, groups_of: of a uid.
    """

    def __init__(
        self,
        table: SendersTable,
        rewriting: AddressRewriting | None,
        name_of: Callable[[int], str] = name_of,
        groups_of: Callable[[int], frozenset[int]] = groups_of,
    ) -> None:
        self._table = table
        self._rewriting = rewriting
        self._name_of = name_of
        self._groups_of = groups_of
        self._kept: dict[int, tuple[float, SenderIdentity]] = {}

    @property
    def are_limited(self) -> bool:
        """Whether there is a table, so that it matters who a client is."""
        return not self._table.is_empty

    @property
    def refuses_others(self) -> bool:
        """Whether a sender that is another's is refused."""
        return self._table.refuses_others

    async def sender(self, address: str, client: SmtpClient) -> EnvelopeSender:
        """Whose an envelope sender is that this client names."""
        counted = counted_sender(self._resolved(address))
        if self._table.is_empty or not counted:
            return EnvelopeSender(counted)
        # Asked before the accounts are: most senders are of other domains, or named by their network or login.
        if not is_anothers(self._table, _known(client), counted):
            return EnvelopeSender(counted)
        if not is_anothers(self._table, await self._identity(client), counted):
            return EnvelopeSender(counted)
        return EnvelopeSender(counted_together(client.identity, counted), is_anothers=True)

    def _resolved(self, address: str) -> str:
        """As Postfix will write it; what cannot be resolved stays as it is, a sender of its own."""
        if not address:
            return address
        try:
            return resolved(address, self._rewriting)
        except AddressInvalid:
            return address

    async def may_sign(self, client: SmtpClient | None) -> bool:
        """Whether this client may write more than a user's own address; one that is not known (None) may not."""
        if self._table.is_empty:
            return True
        return client is not None and self._table.names(await self._identity(client))

    async def _identity(self, client: SmtpClient) -> SenderIdentity:
        uid = client.uid
        if uid is None:
            return _known(client)
        until, kept = self._kept.get(uid, (0.0, None))
        if kept is None or time.monotonic() >= until:
            kept = await asyncio.to_thread(self._look_up, uid, client)
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[uid] = time.monotonic() + KEPT_S, kept
        return kept

    def _look_up(self, uid: int, client: SmtpClient) -> SenderIdentity:
        groups = self._groups_of(uid) if self._table.names_groups else frozenset[int]()
        return SenderIdentity(uid=uid, gids=groups, user=self._name_of(uid), address=client.address)


def _known(client: SmtpClient) -> SenderIdentity:
    """Who a client is, as far as its connection tells."""
    return SenderIdentity(uid=client.uid, login=client.login, address=client.address)
