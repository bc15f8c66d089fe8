"""`postroom log`: Postfix's log taken apart, and what became of the mail in it."""

import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from postroom.watcher.replay import LogReplay, ReplayedMail


@click.group()
def log() -> None:
    """Postfix's log, of any syslog, journal or container, taken apart."""


@log.command()
def parse() -> None:
    """Read lines on stdin and print one JSON object for each.

    A line is one of a log, or a JSON object with syslog_identifier and message.
    """
    from postroom.watcher.record_json import line_to_json

    reader = _reader()
    for text in _texts(sys.stdin.buffer):
        click.echo(json.dumps(line_to_json(reader.line(text)), ensure_ascii=False))


@log.command()
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--relayhost", is_flag=True, help="Postfix hands its mail to a relayhost: what it sent is relayed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object for each queue id, each on a line.")
def replay(files: tuple[Path, ...], relayhost: bool, as_json: bool) -> None:
    """Show what became of every mail in an old log; FILEs in the order of their time, also .gz, - is stdin."""
    from postroom.watcher.replay import LogReplay, states

    log_replay = LogReplay(is_relayhosted=relayhost)
    unread = _take(log_replay, files)
    mails = log_replay.mails()
    for mail in mails:
        if as_json:
            click.echo(json.dumps(_object(mail), ensure_ascii=False))
        else:
            _show(mail)
    if not as_json:
        counts = ", ".join(f"{count} {state}" for state, count in sorted(states(mails).items())) or "no recipients"
        click.echo(f"{len(mails)} mails: {counts}")
        click.echo(f"passed over: {unread['not_postfix']} lines of other programs, {unread['malformed']} malformed")


def _take(log_replay: "LogReplay", files: Iterable[Path]) -> Counter[str]:
    """Take the files; how many lines were none of Postfix's, and why."""
    from postroom.watcher.lines import Line

    reader, unread = _reader(), Counter[str]()
    for path in files:
        try:
            for text in _lines(path):
                line = reader.line(text)
                if isinstance(line, Line):
                    log_replay.take(line)
                else:
                    unread[line] += 1
        except (OSError, EOFError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            click.echo(
                f"{path}: cannot be read ({why}); mend: check its name and mode, and that it is complete", err=True
            )
            sys.exit(1)
    return unread


def _reader() -> Any:
    from datetime import datetime

    from postroom.watcher.lines import LineReader

    return LineReader(datetime.now().astimezone())


def _lines(path: Path) -> Iterator[str]:
    if path == Path("-"):
        yield from _texts(sys.stdin.buffer)
    elif path.suffix == ".gz":
        with gzip.open(path) as packed:
            yield from _texts(packed)
    else:
        with path.open("rb") as file:
            yield from _texts(file)


def _texts(lines: Iterable[bytes]) -> Iterator[str]:
    for line in lines:
        yield line.decode("utf-8", "replace").rstrip("\r\n")


def _object(mail: "ReplayedMail") -> dict[str, Any]:
    return {
        "queue_id": mail.queue_id,
        "message_id": mail.message_id,
        "sender": mail.sender,
        "recipients": [
            {"address": address, "state": mail.state(tried), "dsn": tried.dsn, "attempts": tried.attempts}
            for address, tried in mail.recipients.items()
        ],
        "removed": mail.is_removed,
    }


def _show(mail: "ReplayedMail") -> None:
    sender = "?" if mail.sender is None else f"<{mail.sender}>"
    click.echo(f"{mail.queue_id}  from {sender}  {mail.message_id or 'no Message-ID'}  {mail.end or 'in the queue'}")
    for address, tried in mail.recipients.items():
        click.echo(f"    {mail.state(tried):<10} {tried.dsn:<8} attempts: {tried.attempts}  {address}")
    for later, how in mail.next.items():
        click.echo(f"    {how} {later.queue_id}")
