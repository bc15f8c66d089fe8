"""What is wrong with a folder of templates, said so that it can be mended.

Loading never stops at the first fault: every file is read and the faults of all
of them are reported together.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class TemplateProblem:
    """One fault: the file, the line in it (0: the file as a whole), what is wrong, how to mend it."""

    file: str
    line: int
    what: str
    mend: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.what}\n  Mend: {self.mend}"


class TemplatesBroken(Exception):
    """The templates cannot be used; `problems` names every fault found, in the order of files and lines.

    A daemon that is starting refuses to start; one that is reloading keeps the catalogue it has.
    """

    def __init__(self, problems: Sequence[TemplateProblem]) -> None:
        # A fault in the layout shows once for each template that uses it: say it once.
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))
