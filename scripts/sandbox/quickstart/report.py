"""What the quickstart shows: an aligned table, a verdict, and how to go on. Pure: text out."""

import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from sandbox.quickstart.judgement import Row
from sandbox.quickstart.mails import DOMAIN, LIMIT, OVER_LIMIT_SENDER

TITLES = ("", "mail", "door", "recipient", "signed", "limit", "state", "reason")
COLUMNS = 100
"""Of the terminal; a reason that is longer than what the others leave goes on below itself."""
LEAST_REASON = 20

LEGEND = (
    ("ok", "all that was seen of it is what must become of such a mail, a refusal too"),
    ("mail", "same key: posted twice, one mail; again: once more, with gone@example.net suppressed;"),
    ("", "returned: taken by its server, which sent a bounce mail later"),
    ("door", "socket: the API; smtp: a submission service; sendmail: sendmail(1), run by you"),
    ("signed", "yes: dkimpy and OpenDKIM verified the mail that arrived, with the key from DNS"),
    ("limit", "messages counted for its sender in an hour at all doors, by `postroom limits show`"),
    ("state", "by the API, of other mail by Postfix's log, which must agree with the API too;"),
    ("", "waiting: at its limit; where SMTP refuses, mail of sendmail(1) stays in the queue"),
)


def table(rows: Sequence[Row], colour: bool) -> str:
    """The rows under their titles, each with ok or WRONG; below a wrong one, why."""
    cells = [
        (_judged(row), row.title, row.door, row.recipient, row.signed, row.used, row.state, row.reason) for row in rows
    ]
    widths = [max(map(_width, column)) for column in zip(TITLES[:-1], *(cell[:-1] for cell in cells), strict=True)]
    indent = len(_line(("",) * len(widths), widths))
    lines = [_painted("2", _line(TITLES, widths), colour)]
    for row, cell in zip(rows, cells, strict=True):
        first, *more = textwrap.wrap(cell[-1], max(LEAST_REASON, COLUMNS - indent)) or [""]
        verdict = _painted("1;31" if row.faults else "32", cell[0], colour)
        lines.append(verdict + _line((*cell[:-1], first), widths)[len(cell[0]) :])
        lines += [" " * indent + line for line in more]
        lines += [f"      {fault}" for fault in row.faults]
    lines += ["", *(_painted("2", f"  {title:<7} {text}", colour) for title, text in LEGEND)]
    return "\n".join(lines)


def verdict(rows: Sequence[Row], colour: bool) -> str:
    """The last word."""
    wrong = sum(bool(row.faults) for row in rows)
    if wrong:
        return _painted("1;31", f"  {wrong} of {len(rows)} are WRONG.", colour)
    return _painted("32", f"  All {len(rows)} as they should be.", colour)


def send_lines(socket: Path, smtp_port: int, config: Path, postfix: Path, as_root: str) -> tuple[str, str, str, str]:
    """Command lines that send a mail, for a shell at the checkout's root: by curl, postroom, SMTP and sendmail(1).

    Args:
        postfix: folder of main.cf. Only root may name one to sendmail(1).
        as_root: what runs a command as root, or nothing.
    """
    mail = f'{{"from": "me@{DOMAIN}", "to": "you@example.net",\n            "subject": "Hello", "text": "Hello"}}'
    api = (
        f"curl --unix-socket {socket} http://localhost/v1/messages \\\n"
        f"    --header 'Content-Type: application/json' \\\n"
        f"    --data '{mail}'"
    )
    command = (
        f"scripts/postroom --config {config} send \\\n"
        f"    --from me@{DOMAIN} --to you@example.net --subject Hello --text Hello"
    )
    letter = f"From: me@{DOMAIN}\\nTo: you@example.net\\nSubject: Hello\\n\\nHello\\n"
    smtp = (
        f"printf '{letter}' |\n"
        f"    curl --crlf smtp://127.0.0.1:{smtp_port} \\\n"
        f"    --mail-from me@{DOMAIN} --mail-rcpt you@example.net --upload-file -"
    )
    sendmail = (
        f"printf '{letter}' |\n"
        f"    {as_root}/usr/sbin/sendmail -C {_absolute(postfix)} \\\n"
        f"    -i -f me@{DOMAIN} you@example.net"
    )
    return api, command, smtp, sendmail


def release_lines(config: Path, postfix: Path, as_root: str) -> tuple[str, str, str]:
    """Command lines about what waits at its limit: who does, give its sender room, and let Postfix try it now."""
    postroom = f"scripts/postroom --config {config} limits"
    return (
        f"{postroom} show",
        f"{postroom} reset sender:{OVER_LIMIT_SENDER}",
        f"{as_root}/usr/sbin/postqueue -c {_absolute(postfix)} -f",
    )


def how_to_go_on(
    run: Path,
    smtp_port: int,
    config: Path,
    postfix: Path,
    arrived: Path,
    logs: Iterable[Path],
    as_root: str,
    colour: bool,
) -> str:
    """What to type now; `run` is the folder of the sockets, the rest as for `send_lines`."""
    postroom = f"scripts/postroom --config {config}"
    sends = send_lines(run / "submission.sock", smtp_port, config, postfix, as_root)
    api, command, smtp, sendmail = (f"  {line}".replace("\n", "\n  ") for line in sends)
    who, room, retry = release_lines(config, postfix, as_root)
    blocks = (
        ("Send your own, by the socket:", f"{api}\n\n{command}"),
        ("By SMTP:", smtp),
        ("By sendmail(1); as root, for that of others takes the Postfix of this host:", sendmail),
        (f"me@{DOMAIN} too may send {LIMIT} an hour, by all of these together.", ""),
        ("busy@, gone@ and shut@ of any domain are deferred, unknown and blocked; all others are taken.", ""),
        ("What became of it:", f"  {postroom} status [ID]\n  {postroom} limits show sender:me@{DOMAIN}"),
        (
            "Whose mail waits at a limit; give it room; then it goes, at Postfix's next try or now:",
            f"  {who}\n  {room}\n  {retry}",
        ),
        ("Who gets no mail any more:", f"  {postroom} suppress list"),
        ("Whether all is well:", f"  curl --unix-socket {run}/monitor.sock http://localhost/healthz"),
        ("What arrived:", f"  {arrived}/mail.*"),
        ("Logs:", "\n".join(f"  {log}" for log in logs)),
    )
    shown = "\n\n".join(f"{_painted('1', title, colour)}\n{text}".rstrip() for title, text in blocks)
    return f"{shown}\n\nEverything runs until you press Ctrl-C."


def _absolute(path: Path) -> str:
    """For a shell at the checkout's root: Postfix wants whole paths."""
    return str(path) if path.is_absolute() else f'"$PWD/{path}"'


def _judged(row: Row) -> str:
    return "WRONG" if row.faults else "ok"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """The cells side by side; those beyond `widths` stand last, as they are."""
    padded = [cell + " " * (width - _width(cell)) + "  " for cell, width in zip(cells, widths, strict=False)]
    return "".join([*padded, *cells[len(widths) :]])


def _width(text: str) -> int:
    """Columns on a terminal: wide East Asian characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def _painted(code: str, text: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
