"""The steps of set-up and uninstallation: each can be shown, says whether it is needed, and is safe to repeat."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from postroom.setup.host import SetupFailed, run
from postroom.setup.record import SetupRecord, octets_of, write


class Step(Protocol):
    """One thing that is done."""

    def is_needed(self) -> bool:
        """Whether it would change anything."""

    def shown(self) -> str:
        """What it would do, as a diff or a command."""

    def do(self) -> None:
        """Do it; raises SetupFailed."""


@dataclass
class WriteFile:
    """A file is to have these octets.

    Attributes:
        before: what uninstallation gives back; None: the file as it is now, or nothing.
    """

    path: Path
    octets: bytes
    record: SetupRecord
    before: bytes | None = None
    mode: int = 0o644

    def is_needed(self) -> bool:
        return octets_of(self.path) != self.octets

    def shown(self) -> str:
        return diff(self.path, octets_of(self.path), self.octets)

    def do(self) -> None:
        try:
            # A file of which we know is ours since an earlier run: what was before it is what was before that.
            known = self.path in self.record.changes and self.before is None
            before = self.record.before(self.path) if known else self.before or octets_of(self.path)
            self.record.note(self.path, before, self.octets)
            write(self.path, self.octets, self.mode)
        except OSError as error:
            raise SetupFailed(f"{self.path}: {error.strerror}; mend: check its folder and free space") from None


@dataclass
class RunCommand:
    """A command; `unless` tells that what it brings about is there."""

    command: Sequence[str | Path]
    unless: Callable[[], bool] = field(default=lambda: False)
    say: bool = False

    def is_needed(self) -> bool:
        return not self.unless()

    def shown(self) -> str:
        return f"$ {' '.join(map(str, self.command))}"

    def do(self) -> None:
        printed = run(*self.command)
        if self.say:
            print(printed, end="")  # noqa: T201 - for the operator


def diff(path: Path, before: bytes | None, after: bytes | None) -> str:
    """A unified diff, as `patch` takes it."""

    def lines(octets: bytes | None) -> list[str]:
        return (octets or b"").decode("utf-8", "replace").splitlines()

    names = ("/dev/null" if before is None else str(path), "/dev/null" if after is None else str(path))
    return "\n".join(difflib.unified_diff(lines(before), lines(after), *names, lineterm="", n=2))


def perform(steps: Iterable[Step], dry_run: bool, back: str) -> None:
    """Do what is needed, in order, or only show it.

    Args:
        back: how to go back after a failure.

    Raises:
        SetupFailed: a step failed; with what was done before it.
    """
    done = 0
    for step in steps:
        if not step.is_needed():
            continue
        text = step.shown()
        # A dry run shows a file's change whole, else the file is named.
        named = [line for line in text.splitlines() if line.startswith(("+++ ", "$ "))]
        print(text if dry_run else "\n".join(named), flush=True)  # noqa: T201 - for the operator
        if dry_run:
            continue
        try:
            step.do()
        except SetupFailed as failed:
            raise SetupFailed(
                f"{failed}\n{done} steps were done before it. To go on, mend it and run the same again: what is done "
                f"is not done twice. To go back: {back}"
            ) from None
        done += 1
