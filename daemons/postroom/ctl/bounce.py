"""`postroom bounce`: whose fault a refusal was, and what a bounce message says.

Neither needs configuration, store or network: replies and files in, one JSON object a line out.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click

MAX_LINE_OCTETS = 65_536
"""What lies past it in a line is not read; the rules look at far less."""


@click.group()
def bounce() -> None:
    """Judge refusals, and read bounce messages."""


@bounce.command("classify")
def classify_() -> None:
    """Judge the replies on standard input; prints a JSON object for each line.

    A line is a reply, or a JSON object with `text` and optionally `reply_code` and `status`.
    """
    from postroom.bounces.classify import classify

    for line in _lines(sys.stdin.buffer):
        text, reply_code, status = _reply(line)
        judgement = classify(text, reply_code, status)
        _print(
            {
                "class": judgement.fault.name,
                "bucket": judgement.fault.bucket,
                "suppress": judgement.suppress,
                "rule": judgement.rule,
                "version": judgement.version,
                "evidence": judgement.evidence,
            }
        )


@bounce.command("parse")
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
def parse(files: tuple[Path, ...]) -> None:
    """Say what messages to the return path are; prints a JSON object for each file.

    Exit 1 when a file cannot be read or taken apart; its object then has `error`.
    """
    from postroom.bounces.mime import MAX_OCTETS, ParseError
    from postroom.bounces.report import read_report

    is_fine = True
    for file in files:
        document: dict[str, Any] = {"file": str(file), "kind": "other", "recipients": []}
        try:
            with file.open("rb") as stream:
                found = read_report(stream.read(MAX_OCTETS))
        except (OSError, ParseError) as error:
            is_fine = False
            document["error"] = error.strerror if isinstance(error, OSError) else str(error)
        else:
            document["kind"] = found.kind
            document["recipients"] = [
                {
                    "address": each.address,
                    "action": each.action,
                    "status": each.status,
                    "class": each.fault,
                    "suppress": each.suppress,
                }
                for each in found.recipients
            ]
        _print(document)
    if not is_fine:
        sys.exit(1)


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """Each line of a stream, cut at MAX_LINE_OCTETS, however long it is."""
    while line := stream.readline(MAX_LINE_OCTETS):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_OCTETS)
        yield line.rstrip(b"\r\n").decode("utf-8", "replace")


def _reply(line: str) -> tuple[str, str, str]:
    """Text, reply code and enhanced status code of a line; whatever is not such a JSON object is a reply itself."""
    if line.lstrip().startswith("{"):
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            return line, "", ""
        if isinstance(document, dict) and "text" in document:
            text, reply_code, status = (document.get(key) for key in ("text", "reply_code", "status"))
            return (text if isinstance(text, str) else ""), _code(reply_code), _code(status)
    return line, "", ""


def _code(value: object) -> str:
    return str(value)[:20] if isinstance(value, str) or (isinstance(value, int) and abs(value) < 1000) else ""


def _print(document: dict[str, Any]) -> None:
    # ASCII, so that any terminal and any locale can take it.
    click.echo(json.dumps(document, ensure_ascii=True))
