"""Marked regions in a file of somebody else: inserted whole, removed whole.

    # BEGIN postroom NAME DIGEST
    #|a line that stood here before
    a line of ours
    # END postroom

A region without `#|` lines only adds. One with them replaces those lines, and removing it brings them back.
DIGEST tells whether anybody edited the region since; ` unended` after it says that the file did not end in a newline.
Pure. Text is octets read as latin-1, so that every octet is restored.

Promise: `without_regions(marked text) == text`, for any text without marks.
"""

import hashlib
import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

END = "# END postroom\n"
_BEGIN = re.compile(r"# BEGIN postroom ([a-z]+(?:[ /]\S+)?) ([0-9a-f]{12})( unended)?\n")
_MARK = re.compile(r"# (BEGIN|END) postroom\b")
_REPLACED = "#|"


class MarksBroken(ValueError):
    """A region's begin or end is missing; the text says where and how to mend."""


@dataclass(frozen=True)
class RestoredText:
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


def region(name: str, inserted: Sequence[str], replaced: Sequence[str] = (), unended: bool = False) -> list[str]:
    """The lines of a region: those it replaces, as comments, and ours.

    Args:
        unended: the file did not end in a newline before this region.
    """
    body = [f"{_REPLACED}{ended(line)}" for line in replaced] + [ended(line) for line in inserted]
    return [f"# BEGIN postroom {name} {_digest(body)}{' unended' if unended else ''}\n", *body, END]


def without_regions(text: str, without_ours: Callable[[str], str], only: Container[str] | None = None) -> RestoredText:
    """Remove regions, and restore what they replaced.

    Args:
        without_ours: removes our words from a line that replaced another one and was edited since.
        only:         names of the regions to remove; None is all.

    Raises:
        MarksBroken: a mark without its other end.
    """
    restored: list[str] = []
    edited = []
    lines = lines_of(text)
    at = 0
    while at < len(lines):
        begin = _BEGIN.fullmatch(lines[at])
        if begin is None:
            if _MARK.match(lines[at]):
                raise MarksBroken(f"line {at + 1}: a mark of Postroom without its other end; mend: delete that line")
            restored.append(lines[at])
            at += 1
            continue
        name, digest, unended = begin.groups()
        last = next((number for number in range(at + 1, len(lines)) if _MARK.match(lines[number])), len(lines))
        if last == len(lines) or ended(lines[last]) != END:
            raise MarksBroken(f"line {at + 1}: this region has no end; mend: write {END.strip()!r} after it")
        body = [ended(line) for line in lines[at + 1 : last]]
        if only is not None and name not in only:
            restored += lines[at : last + 1]
        else:
            replaced = [line.removeprefix(_REPLACED) for line in body if line.startswith(_REPLACED)]
            if digest == _digest(body):
                restored += replaced
            else:
                edited.append(name)
                # An edited line that replaced another keeps the edit; an edited addition was ours all the same.
                restored += [without_ours(line) for line in body if not line.startswith(_REPLACED)] if replaced else []
            if unended and last + 1 == len(lines) and restored:
                restored[-1] = restored[-1].removesuffix("\n")
        at = last + 1
    return RestoredText("".join(restored), tuple(edited))


def ended(line: str) -> str:
    """The line, or text, with a newline at its end."""
    return line if line.endswith("\n") else f"{line}\n"


def _digest(body: Sequence[str]) -> str:
    return hashlib.sha256("".join(body).encode("latin-1")).hexdigest()[:12]
