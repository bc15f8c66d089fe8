"""`postroom limits`: how the counters of one key stand, and forgetting them."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, get_args

import click

from postroom.ctl.shared import hash_key, with_store

if TYPE_CHECKING:
    from postroom.ctl.main import Place


@click.group()
def limits() -> None:
    """What is counted under one KEY, such as sender:anna@example.org, or sender:#… as a log line has it."""


@limits.command()
@click.argument("key")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object for each limit, in a list.")
@click.pass_obj
def show(place: "Place", key: str, as_json: bool) -> None:
    """Show what is used of each limit with this kind of key; exit 1 when one has no room."""
    from postroom.limits.configured import rules

    kind, value = _parts(place, key)
    asked = [rule.demand(value, 1) for rule in rules(place.config.limits) if rule.key == kind]
    usages = with_store(place, lambda store: store.peek(asked)) if asked else ()
    if as_json:
        click.echo(json.dumps([asdict(usage) for usage in usages], indent=2))
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
def reset(place: "Place", key: str) -> None:
    """Forget what was counted under this key, by all limits; exit 1 when nothing was."""
    kind, value = _parts(place, key)
    forgotten = with_store(place, lambda store: store.reset(f"{kind}:{value}"))
    click.echo(f"{forgotten} counters forgotten", err=not forgotten)
    sys.exit(0 if forgotten else 1)


def _parts(place: "Place", key: str) -> tuple[str, str]:
    """Kind and value as they are counted."""
    from postroom.limits.subject import Key, client_network
    from postroom.mail.hashes import private
    from postroom.mail.senders import counted_sender

    kind, colon, value = key.partition(":")
    if kind not in get_args(Key) or not colon or not value:
        raise click.UsageError(f"write KIND:VALUE, KIND one of {', '.join(get_args(Key))}")
    if value.startswith("#"):
        return kind, value
    match kind:
        case "sender":
            return kind, private(hash_key(place), counted_sender(value))
        case "recipient" | "login":
            return kind, private(hash_key(place), value)
        case "client_address":
            return kind, client_network(value.removesuffix("/64")) or value
        case _:
            return kind, value
