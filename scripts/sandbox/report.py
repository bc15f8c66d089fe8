"""What the quickstart shows: an aligned table, a verdict, and how to go on. Pure: text out."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from sandbox.trial import DOMAIN, Row

TITLES = ("mail", "recipient", "API", "queue id", "log", "arrived", "")


def table(rows: Sequence[Row], colour: bool) -> str:
    """The rows under their titles, each with ok or WRONG; below a wrong one, why."""
    cells = [
        (row.title, row.recipient, row.api, row.queue_id, row.log, row.arrived, "WRONG" if row.faults else "ok")
        for row in rows
    ]
    widths = [max(map(_width, column)) for column in zip(TITLES, *cells, strict=True)]
    lines = [_painted("2", _line(TITLES, widths).rstrip(), colour)]
    for row, cell in zip(rows, cells, strict=True):
        verdict = _painted("1;31" if row.faults else "32", cell[-1], colour)
        lines.append(f"{_line(cell[:-1], widths)}  {verdict}")
        lines += [f"      {fault}" for fault in row.faults]
    return "\n".join(lines)


def verdict(rows: Sequence[Row], colour: bool) -> str:
    """The last word."""
    wrong = sum(bool(row.faults) for row in rows)
    if wrong:
        return _painted("1;31", f"  {wrong} of {len(rows)} are WRONG.", colour)
    return _painted("32", f"  All {len(rows)} as they should be.", colour)


def send_lines(socket: Path, config: Path) -> tuple[str, str]:
    """Two command lines that send a mail, to be run at the checkout's root: by curl, and by the postroom command."""
    mail = f'{{"from": "me@{DOMAIN}", "to": ["you@example.net"], "subject": "Hello", "text": "Hello"}}'
    curl = (
        f"curl --unix-socket {socket} http://localhost/v1/messages \\\n"
        f"    --header 'Content-Type: application/json' --data '{mail}'"
    )
    send = (
        f"scripts/postroom --config {config} send \\\n"
        f"    --from me@{DOMAIN} --to you@example.net --subject Hello --text Hello"
    )
    return curl, send


def how_to_go_on(socket: Path, config: Path, world: Path, logs: Sequence[Path], colour: bool) -> str:
    """What to type now."""
    curl, send = (line.replace("\n", "\n  ") for line in send_lines(socket, config))
    blocks = (
        ("Send your own:", f"  {curl}\n\n  {send}"),
        ("What became of it:", f"  scripts/postroom --config {config} status [ID]"),
        ("What arrived:", f"  {world}/mail.*"),
        ("Logs:", "\n".join(f"  {log}" for log in logs)),
    )
    shown = "\n\n".join(f"{_painted('1', title, colour)}\n{text}" for title, text in blocks)
    return f"{shown}\n\nEverything runs until you press Ctrl-C."


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=False))
    return "  " + "  ".join(padded)


def _width(text: str) -> int:
    """Columns on a terminal: wide East Asian characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def _painted(code: str, text: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
