"""Marked regions in a file of somebody else: put in whole, taken out whole.

    # BEGIN postroom NAME DIGEST
    #|a line that stood here before
    a line of ours
    # END postroom

A region without `#|` lines only adds. One with them stands in the place of those lines, and gives them back.
DIGEST tells whether anybody edited the region since; ` unended` behind it that the file had no newline at its end.
Pure. Text is what latin-1 makes of octets, so that every octet comes back.

Promise: `unmarked(marked(text)) == text`, for any text without marks.
"""

import hashlib
import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

END = "# END postroom\n"
_BEGIN = re.compile(r"# BEGIN postroom ([a-z]+(?:[ /]\S+)?) ([0-9a-f]{12})( unended)?\n")
_MARK = re.compile(r"# (BEGIN|END) postroom\b")
_KEPT = "#|"


class MarksBroken(ValueError):
    """A region's begin or end is missing; the text says where and how to mend."""


@dataclass(frozen=True)
class Unmarked:
    """A file without regions of ours.

    Attributes:
        text:   what is left.
        edited: names of regions that somebody edited since they were written.
    """

    text: str
    edited: tuple[str, ...]


def lines_of(text: str) -> list[str]:
    """Physical lines, each with its newline; only the last may lack one."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def region(name: str, live: Sequence[str], kept: Sequence[str] = (), unended: bool = False) -> list[str]:
    """The lines of a region: ours, and before them those they stand for."""
    body = [f"{_KEPT}{_ended(line)}" for line in kept] + [_ended(line) for line in live]
    return [f"# BEGIN postroom {name} {_digest(body)}{' unended' if unended else ''}\n", *body, END]


def unmarked(text: str, mend: Callable[[str], str], only: Container[str] | None = None) -> Unmarked:
    """Take regions out again.

    Args:
        mend: takes what is ours out of a line that stood for another one and was edited since.
        only: names of the regions to take out; None is all.

    Raises:
        MarksBroken: a mark without its other end.
    """
    out: list[str] = []
    edited = []
    lines = lines_of(text)
    at = 0
    while at < len(lines):
        found = _BEGIN.fullmatch(lines[at])
        if found is None:
            if _MARK.match(lines[at]):
                raise MarksBroken(f"line {at + 1}: a mark of Postroom without its other end; mend: delete that line")
            out.append(lines[at])
            at += 1
            continue
        name, digest, unended = found.groups()
        last = next((to for to in range(at + 1, len(lines)) if _MARK.match(lines[to])), len(lines))
        if last == len(lines) or _ended(lines[last]) != END:
            raise MarksBroken(f"line {at + 1}: this region has no end; mend: write {END.strip()!r} after it")
        body = [_ended(line) for line in lines[at + 1 : last]]
        if only is not None and name not in only:
            out += lines[at : last + 1]
        else:
            kept = [line.removeprefix(_KEPT) for line in body if line.startswith(_KEPT)]
            if digest == _digest(body):
                out += kept
            else:
                edited.append(name)
                # An edited line that stood for another keeps what was edited; an edited addition was ours all the same.
                out += [mend(line) for line in body if not line.startswith(_KEPT)] if kept else []
            if unended and last + 1 == len(lines) and out:
                out[-1] = out[-1].removesuffix("\n")
        at = last + 1
    return Unmarked("".join(out), tuple(edited))


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n"


def _digest(body: Sequence[str]) -> str:
    return hashlib.sha256("".join(body).encode("latin-1")).hexdigest()[:12]
