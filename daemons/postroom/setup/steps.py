"""The steps of set-up and uninstallation: each can be shown, says whether it is needed, and is safe to repeat."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from postroom.postfix.commands import PostfixCommandFailed
from postroom.setup.host import SetupFailed, run
from postroom.setup.record import SetupRecord, read_octets, write_whole


class Step(Protocol):
    """One thing that set-up does."""

    def is_needed(self) -> bool:
        """Whether it would change anything."""

    def preview(self) -> str:
        """What it would do: a diff or a command line."""

    def do(self) -> None:
        """Do it.

        Raises:
            SetupFailed, PostfixCommandFailed: it could not be done.
        """


@dataclass
class WriteFile:
    """A file is to have these octets.

    Attributes:
        original: what uninstallation restores; None: the file as it is now, or nothing.
    """

    path: Path
    octets: bytes
    record: SetupRecord
    original: bytes | None = None
    mode: int = 0o644

    def is_needed(self) -> bool:
        return read_octets(self.path) != self.octets

    def preview(self) -> str:
        return diff(self.path, read_octets(self.path), self.octets)

    def do(self) -> None:
        try:
            # A file in the record was written by an earlier run: what was before that run is the original.
            is_ours = self.path in self.record.changes and self.original is None
            before = self.record.before(self.path) if is_ours else self.original or read_octets(self.path)
            self.record.note(self.path, before, self.octets)
            write_whole(self.path, self.octets, self.mode)
        except OSError as error:
            raise SetupFailed(f"{self.path}: {error.strerror}; mend: check its folder and free space") from None


@dataclass
class RunCommand:
    """A command is to be run.

    Attributes:
        unless:       says whether what it brings about is there already.
        shows_output: whether the operator sees what it prints.
    """

    command: Sequence[str | Path]
    unless: Callable[[], bool] = field(default=lambda: False)
    shows_output: bool = False

    def is_needed(self) -> bool:
        return not self.unless()

    def preview(self) -> str:
        return f"$ {' '.join(map(str, self.command))}"

    def do(self) -> None:
        printed = run(*self.command)
        if self.shows_output:
            print(printed, end="")  # noqa: T201 - for the operator


def diff(path: Path, before: bytes | None, after: bytes | None) -> str:
    """A unified diff, as `patch` takes it."""

    def lines(octets: bytes | None) -> list[str]:
        return (octets or b"").decode("utf-8", "replace").splitlines()

    names = ("/dev/null" if before is None else str(path), "/dev/null" if after is None else str(path))
    return "\n".join(difflib.unified_diff(lines(before), lines(after), *names, lineterm="", n=2))


def perform(steps: Iterable[Step], *, dry_run: bool, undo: str) -> None:
    """Do what is needed, in order, or only show it.

    Args:
        undo: the command that goes back after a failure.

    Raises:
        SetupFailed: a step failed; with what was done before it.
    """
    done = 0
    for step in steps:
        if not step.is_needed():
            continue
        text = step.preview()
        # A dry run shows a file's change whole, else the file is named.
        named = [line for line in text.splitlines() if line.startswith(("+++ ", "$ "))]
        print(text if dry_run else "\n".join(named), flush=True)  # noqa: T201 - for the operator
        if dry_run:
            continue
        try:
            step.do()
        except (SetupFailed, PostfixCommandFailed) as failed:
            raise SetupFailed(
                f"{failed}\n{done} steps were done before it. To go on, mend it and run the same again: what is done "
                f"is not done twice. To go back: {undo}"
            ) from None
        done += 1
