"""`postroom suppress`: who gets no mail, and why.

Works on the shared store itself, so it needs its files and the key the recipients are hashed with.
"""

import json
import re
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from postroom.ctl.shared import hash_key, with_store

if TYPE_CHECKING:
    from postroom.ctl.main import Place
    from postroom.store.shared.interface import Suppression
    from postroom.store.shared.sqlite import SqliteSharedStore

PAGE = 500
_HASH = re.compile(r"#?([0-9a-f]{32})")
_CAUSE = re.compile(r"[a-z][a-z0-9_]{0,39}")


@click.group()
def suppress() -> None:
    """Recipients that get no mail."""


@suppress.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object for each, in a list.")
@click.pass_obj
def list_(place: "Place", as_json: bool) -> None:
    """List them, the latest first: masked address, cause, since when, until when."""
    found = sorted(with_store(place, _all), key=lambda each: -each.added_at)
    if as_json:
        click.echo(json.dumps([_document(each) for each in found], indent=2, ensure_ascii=False))
        return
    for each in found:
        until = "for ever" if each.expires_at is None else f"until {_date(each.expires_at)}"
        status = f" {each.enhanced_status}" if each.enhanced_status else ""
        click.echo(
            f"#{each.recipient_hash}  {each.hint or '(by its hash)'}  {each.cause}{status}"
            f"  since {_date(each.added_at)} {until}  by {each.source}"
        )


@suppress.command()
@click.argument("recipient", metavar="ADDRESS|HASH")
@click.option("--cause", default="manual", help="A word for why; it is told to whoever sends there.")
@click.option("--expires", metavar="DURATION", help="For how long, such as 30d; without it, for ever.")
@click.pass_obj
def add(place: "Place", recipient: str, cause: str, expires: str | None) -> None:
    """Let no mail go to a recipient any more; exit 1 when it is suppressed already (then it is as given now)."""
    from postroom.config.units import NotInUnits, duration
    from postroom.mail.addresses import domain_of, masked
    from postroom.store.shared.interface import Suppression

    if _CAUSE.fullmatch(cause) is None:
        raise click.UsageError(f"--cause {cause!r}: write a word of a-z, 0-9 and _, such as asked_not_to")
    try:
        lasts_s = None if expires is None else duration(expires)
    except NotInUnits as error:
        raise click.UsageError(f"--expires: {error}") from error
    now, is_hash = time.time(), _HASH.fullmatch(recipient) is not None
    suppression = Suppression(
        recipient_hash=_hash_of(place, recipient),
        domain="" if is_hash else domain_of(recipient),
        hint="" if is_hash else masked(recipient),
        cause=cause,
        enhanced_status=None,
        evidence="",
        source="operator",
        added_at=now,
        expires_at=None if lasts_s is None else now + lasts_s,
    )
    _tell(with_store(place, lambda store: store.suppress(suppression)), "suppressed", "was suppressed already")


@suppress.command()
@click.argument("recipient", metavar="ADDRESS|HASH")
@click.pass_obj
def remove(place: "Place", recipient: str) -> None:
    """Let mail go to a recipient again; exit 1 when it was not suppressed."""
    recipient_hash = _hash_of(place, recipient)
    _tell(with_store(place, lambda store: store.lift(recipient_hash)), "gets mail again", "was not suppressed")


def _tell(changed: bool, done: str, nothing: str) -> None:
    click.echo(done if changed else nothing, err=not changed)
    sys.exit(0 if changed else 1)


async def _all(store: "SqliteSharedStore") -> "list[Suppression]":
    after, found = "", list["Suppression"]()
    while page := await store.suppressions(after, PAGE):
        found += page
        after = page[-1].recipient_hash
    return found


def _document(each: "Suppression") -> dict[str, object]:
    document = asdict(each)
    for name in ("added_at", "expires_at"):
        if document[name] is not None:
            document[name] = datetime.fromtimestamp(document[name], UTC).isoformat(timespec="seconds")
    return document


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _hash_of(place: "Place", recipient: str) -> str:
    from postroom.mail.addresses import AddressInvalid, parse_mailbox
    from postroom.mail.hashes import recipient_hash

    if (known := _HASH.fullmatch(recipient)) is not None:
        return known[1]
    try:
        return recipient_hash(hash_key(place), parse_mailbox(recipient).address)
    except AddressInvalid as invalid:
        raise click.UsageError(f"neither a mail address nor a hash: {invalid.reason}") from invalid
