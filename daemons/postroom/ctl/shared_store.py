"""What the command's families do with the shared store: open it, name a recipient in it, list who is suppressed."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from postroom.ctl.context import CommandContext
    from postroom.mail.recipients import MaskedRecipient
    from postroom.store.shared.values import Suppression
    from postroom.store.shared_store import SharedStore

T = TypeVar("T")

PAGE = 500
"""Suppressions read or written in one step, so that nobody waits long for the store."""


def with_store(context: "CommandContext", use: "Callable[[SharedStore], Awaitable[T]]") -> T:
    """Open the store, use it, close it. Ends the command when it cannot be used."""
    from postroom.store.configured import open_shared_store
    from postroom.store.errors import StoreUnavailable

    async def run() -> T:
        store = open_shared_store(context.config)
        try:
            return await use(store)
        finally:
            await store.close()

    try:
        return asyncio.run(run())
    except StoreUnavailable as error:
        click.echo(str(error), err=True)
        sys.exit(1)


async def all_suppressions(store: "SharedStore") -> "list[Suppression]":
    """All suppressions that have not expired."""
    after, found = ("", ""), list["Suppression"]()
    while page := await store.suppressions.page(after, PAGE):
        found += page
        after = page[-1].recipient_hash, page[-1].stream
    return found


def recipient_of(context: "CommandContext", text: str) -> "MaskedRecipient":
    """Whom ADDRESS|HASH names; of a hash nothing else is known. Ends the command when it is neither."""
    from postroom.mail.addresses import AddressInvalid, parse_mailbox
    from postroom.mail.recipients import MaskedRecipient, masked_recipient
    from postroom.suppression.list_file import HASH

    if (known := HASH.fullmatch(text)) is not None:
        return MaskedRecipient(known[1], "", "")
    try:
        return masked_recipient(hash_key(context), parse_mailbox(text).address)
    except AddressInvalid as invalid:
        raise click.UsageError(f"neither a mail address nor a hash: {invalid.reason}") from invalid


def hash_key(context: "CommandContext") -> bytes:
    """The key addresses are hashed with. Ends the command when it cannot be read."""
    from postroom.config import paths
    from postroom.runtime.keys import read_key
    from postroom.runtime.lifecycle import StartRefused

    try:
        return read_key(paths.recipient_hash_key(context.config))
    except StartRefused as refused:
        click.echo(str(refused), err=True)
        sys.exit(1)
