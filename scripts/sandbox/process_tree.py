"""A process and all it has started: which they are, and how much of the processors they have used.

Source: proc_pid_stat(5), fields 14-17; the children of a task in /proc/PID/task/TID/children.
Limits: a descendant whose parent is gone is not found; nor is, once it ended, the use of one nobody waited for.
"""

import os
from collections.abc import Iterator
from pathlib import Path


def process_tree(pid: int) -> Iterator[int]:
    """The process and its descendants that live, as far as they can be seen in passing."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids = children.read_text(encoding="ascii").split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in pids:
            yield from process_tree(int(child))


def cpu_s(pid: int) -> float:
    """Processor seconds, user and system, that the tree has used, those included that ended; 0 without a process."""
    ticks = 0
    for member in process_tree(pid):
        try:
            stat = Path(f"/proc/{member}/stat").read_text(encoding="ascii", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The command's name stands in brackets and may hold anything, brackets too: count from the last one.
        ticks += sum(map(int, stat.rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")
