"""`postroom limits`: how the counters of one key stand, forgetting them; who waits, and letting go what is held."""

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, NoReturn, get_args

import click

from postroom.ctl.shared_store import hash_key, with_store

if TYPE_CHECKING:
    from postroom.ctl.context import CommandContext

SETTLED_S = 60.0
"""A held mail as old as that is in Postfix's hold queue, or never will be."""


@click.group()
def limits() -> None:
    """What is counted under one KEY, such as uid:www-data, sender:anna@example.org, or sender:#… as in a log line."""


@limits.command()
@click.argument("key", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object for each line, in a list.")
@click.pass_obj
def show(context: "CommandContext", key: str | None, as_json: bool) -> None:
    """Show what is used of each limit with this kind of key; exit 1 when one has no room.

    Without KEY: whose mail of sendmail(1) waits for room, and how much of it is held; exit 1 when there is any.
    """
    from postroom.limits.configured import rules

    if key is None:
        _show_waiting(context, as_json)
    kind, value = _parts(context, key)
    asked = [rule.demand(value, 1) for rule in rules(context.config.limits) if rule.key == kind]
    usages = with_store(context, lambda store: store.takes.peek(asked)) if asked else ()
    if as_json:
        click.echo(json.dumps([usage._asdict() for usage in usages], indent=2))
    elif not usages:
        click.echo(f"no limit counts by {kind}")
    else:
        for usage in usages:
            click.echo(
                f"{usage.rule}: {usage.used} of {usage.limit} in {usage.window_s} s,"
                f" room for {usage.remaining}, empty in {usage.reset_s:.0f} s"
            )
    sys.exit(1 if any(usage.remaining == 0 for usage in usages) else 0)


@limits.command()
@click.argument("key")
@click.pass_obj
def reset(context: "CommandContext", key: str) -> None:
    """Forget what was counted under this key, by all limits; exit 1 when nothing was."""
    kind, value = _parts(context, key)
    forgotten = with_store(context, lambda store: store.takes.reset(f"{kind}:{value}"))
    click.echo(f"{forgotten} counters forgotten", err=not forgotten)
    sys.exit(0 if forgotten else 1)


def _show_waiting(context: "CommandContext", as_json: bool) -> NoReturn:
    from datetime import UTC, datetime

    counts = with_store(context, lambda store: store.waiting.counts())
    if as_json:
        click.echo(json.dumps([asdict(count) for count in counts], indent=2))
    for count in () if as_json else counts:
        since = f"{datetime.fromtimestamp(count.since, UTC):%Y-%m-%d %H:%M} UTC"
        click.echo(f"{count.key}: {count.waiting} wait, {count.held} are held, for {count.rule}, since {since}")
    if not (counts or as_json):
        click.echo("nobody waits")
    sys.exit(1 if counts else 0)


@limits.command()
@click.argument("key", required=False)
@click.option("--all", "all_keys", is_flag=True, help="All mail that is held for a limit, under any key.")
@click.pass_obj
def release(context: "CommandContext", key: str | None, all_keys: bool) -> None:
    """Let mail go that is held because of a limit, as root; exit 1 when nothing was held.

    It goes out at Postfix's next look into its queue, and is not counted: your word stands above the limit.
    """
    if (key is None) != all_keys:
        raise click.UsageError("give a KEY or --all")
    from postroom.postfix.commands import PostfixCommandFailed
    from postroom.postfix.queue_commands import release_held

    counted = None if key is None else ":".join(_parts(context, key))
    held = with_store(context, lambda store: store.waiting.held(counted))
    try:
        released = release_held([mail.queue_id for mail in held]) if held else []
    except PostfixCommandFailed as failed:
        click.echo(str(failed), err=True)
        sys.exit(1)
    # One that Postfix does not hold was released or deleted before, or is on its way into the queue just now.
    gone = {mail.queue_id for mail in held if mail.at < time.time() - SETTLED_S} | set(released)
    with_store(context, lambda store: store.waiting.released(sorted(gone)))
    click.echo(f"{len(released)} released", err=not released)
    sys.exit(0 if released else 1)


def _parts(context: "CommandContext", key: str) -> tuple[str, str]:
    """Kind and value as they are counted."""
    from postroom.limits.subject import Key, counted_sender
    from postroom.mail.recipients import private

    kind, colon, value = key.partition(":")
    if kind not in get_args(Key) or not colon or not value:
        raise click.UsageError(f"write KIND:VALUE, KIND one of {', '.join(get_args(Key))}")
    if value.startswith("#"):
        return kind, value
    match kind:
        case "sender":
            return kind, private(hash_key(context), counted_sender(value))
        case "recipient" | "login":
            return kind, _recipient(context, value) if kind == "recipient" else private(hash_key(context), value)
        case "uid":
            return kind, _uid(value)
        case "client_address":
            return kind, _address(value)
        case _:
            return kind, value


def _recipient(context: "CommandContext", value: str) -> str:
    """Under what the daemons count an address."""
    from postroom.postfix.commands import PostfixCommandFailed
    from postroom.postfix.rewriting import address_rewriting
    from postroom.recipients.resolver import RecipientResolver

    try:
        rewriting = address_rewriting()
    except PostfixCommandFailed:
        rewriting = None
    plus_addresses = context.config.recipients.plus_addresses
    return RecipientResolver(hash_key(context), rewriting, plus_addresses).resolve_or_keep(value).counted


def _address(value: str) -> str:
    """The address a client is counted under; what is none stays what it is."""
    from ipaddress import ip_address

    from postroom.identity.local_client import THIS_HOST, is_of_this_host
    from postroom.limits.subject import client_network

    try:
        address = ip_address(value.removesuffix("/64"))
    except ValueError:
        return value
    return client_network(THIS_HOST if is_of_this_host(address) else address)


def _uid(value: str) -> str:
    """The number of a user; numbers, and `unknown`, stay what they are."""
    import pwd

    try:
        return str(pwd.getpwnam(value).pw_uid)
    except KeyError:
        if value.isdecimal() or value == "unknown":
            return value
        raise click.UsageError(f"this host has no user {value!r}; write its number") from None
