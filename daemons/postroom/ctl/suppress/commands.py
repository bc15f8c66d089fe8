"""`postroom suppress`: who gets no mail, and why.

Works on the shared store itself, so it needs its files and the key the recipients are hashed with.
"""

import json
import sys
import time
from typing import TYPE_CHECKING

import click

from postroom.ctl.shared_store import all_suppressions, recipient_of, with_store
from postroom.ctl.suppress.display import document, entry_text, history_json, history_text, time_text
from postroom.ctl.suppress.replay import replay
from postroom.ctl.suppress.transfer import export, import_
from postroom.suppression.list_file import CAUSE, STREAM

if TYPE_CHECKING:
    from postroom.ctl.context import CommandContext

_OF_STREAM = "Only mail of this stream, such as newsletter; mail from other doors than the API has none."


@click.group()
def suppress() -> None:
    """Recipients that get no mail."""


@suppress.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object for each, in a list.")
@click.pass_obj
def list_(context: "CommandContext", as_json: bool) -> None:
    """List them, the latest first: masked address, cause, since when, until when."""
    found = sorted(with_store(context, all_suppressions), key=lambda each: -each.added_at)
    if as_json:
        click.echo(json.dumps([document(each) for each in found], indent=2, ensure_ascii=False))
        return
    for each in found:
        click.echo(f"#{each.recipient_hash}  {entry_text(each)}")


@suppress.command()
@click.argument("recipient", metavar="ADDRESS|HASH")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def why(context: "CommandContext", recipient: str, as_json: bool) -> None:
    """Tell all that is kept about a recipient; exit 1 when it is not suppressed."""
    recipient_hash = recipient_of(context, recipient).hash
    history = with_store(context, lambda store: store.evidence.history(recipient_hash))
    click.echo(history_json(recipient_hash, history) if as_json else history_text(recipient_hash, history))
    sys.exit(0 if history.is_suppressed else 1)


@suppress.command()
@click.argument("recipient", metavar="ADDRESS|HASH")
@click.option("--cause", help="The cause in one word, shown to whoever sends to it; default: manual or complaint.")
@click.option("--expires", metavar="DURATION", help="For how long, such as 30d; default: for ever.")
@click.option("--complaint", is_flag=True, help="The recipient complained; default: the operator decided so.")
@click.option("--stream", help=_OF_STREAM)
@click.pass_obj
def add(
    context: "CommandContext",
    recipient: str,
    cause: str | None,
    expires: str | None,
    complaint: bool,
    stream: str | None,
) -> None:
    """Let no mail go to a recipient any more; exit 1 when it is suppressed already (then it is as given now)."""
    from postroom.config.units import NotInUnits, duration
    from postroom.store.shared.values import Suppression

    word = cause or ("complaint" if complaint else "manual")
    if CAUSE.fullmatch(word) is None:
        raise click.UsageError(f"--cause {word!r}: write a word of a-z, 0-9 and _, such as asked_not_to")
    _check_stream(stream)
    try:
        lasts_s = None if expires is None else duration(expires)
    except NotInUnits as error:
        raise click.UsageError(f"--expires: {error}") from error
    now, whom = time.time(), recipient_of(context, recipient)
    suppression = Suppression(
        recipient_hash=whom.hash,
        domain=whom.domain,
        hint=whom.hint,
        cause=word,
        enhanced_status=None,
        evidence="",
        source="complaint" if complaint else "manual",
        added_at=now,
        expires_at=None if lasts_s is None else now + lasts_s,
        stream=stream or "",
    )
    (is_new,) = with_store(context, lambda store: store.suppressions.suppress([suppression]))
    _exit_with(is_new, "suppressed", "was suppressed already")


@suppress.command()
@click.argument("recipient", metavar="ADDRESS|HASH")
@click.option("--stream", help=_OF_STREAM)
@click.pass_obj
def remove(context: "CommandContext", recipient: str, stream: str | None) -> None:
    """Let mail go to a recipient again; exit 1 when it was not suppressed."""
    _check_stream(stream)
    recipient_hash = recipient_of(context, recipient).hash
    lifted = with_store(context, lambda store: store.suppressions.lift(recipient_hash, stream))
    _exit_with(lifted, "gets mail again", "was not suppressed")


def _check_stream(stream: str | None) -> None:
    if stream is not None and STREAM.fullmatch(stream) is None:
        raise click.UsageError(f"--stream {stream!r}: write a word of a-z, 0-9, - and _, such as newsletter")


@suppress.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object for each, in a list.")
@click.pass_obj
def waves(context: "CommandContext", as_json: bool) -> None:
    """List bursts of suppressions, the latest first; exit 1 when one waits for review."""
    found = with_store(context, lambda store: store.waves.latest())
    if as_json:
        click.echo(json.dumps([document(each) for each in found], indent=2, ensure_ascii=False))
    else:
        for each in found:
            click.echo(
                f"{each.number}  {each.subject}  {each.state}  {each.held} held, {each.in_effect} in effect"
                f"  {time_text(each.began_at)} to {time_text(each.last_at)}"
            )
    sys.exit(1 if any(each.state == "open" and each.held for each in found) else 0)


@suppress.group()
def wave() -> None:
    """Accept or undo a burst of suppressions."""


@wave.command()
@click.argument("number", type=int)
@click.pass_obj
def accept(context: "CommandContext", number: int) -> None:
    """Put what a burst holds into effect, and what still comes of it; exit 1 when it is not open."""
    _exit_with_count(with_store(context, lambda store: store.waves.accept(number)), "now in effect", "is not open")


@wave.command()
@click.argument("number", type=int)
@click.pass_obj
def undo(context: "CommandContext", number: int) -> None:
    """Lift all suppressions of a burst, in one step, also those in effect; exit 1 when that was done before."""
    _exit_with_count(
        with_store(context, lambda store: store.waves.undo(number)), "lifted", "was undone before, or never existed"
    )


# Said on standard output where something was changed, on standard error with exit 1 where nothing was.


def _exit_with_count(count: int | None, done: str, nothing: str) -> None:
    click.echo(f"this wave {nothing}" if count is None else f"{count} {done}", err=count is None)
    sys.exit(1 if count is None else 0)


def _exit_with(changed: bool, done: str, nothing: str) -> None:
    click.echo(done if changed else nothing, err=not changed)
    sys.exit(0 if changed else 1)


for command in (export, import_, replay):
    suppress.add_command(command)
