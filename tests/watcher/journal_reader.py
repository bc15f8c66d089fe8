"""Run beside a journald of its own: several speak, and the watcher's source says whose lines count.

argv: a folder, and "suppressed" where journald is to drop lines. Prints one JSON document.
"""

import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from systemd import journal

from postroom.watcher.journal_source import JournalSource

WITHIN_S = 10.0
FLOOD = 300
NOBODY = 65_534


def until(happened: Callable[[], bool]) -> None:
    """Wait for it, not for ever."""
    end = time.monotonic() + WITHIN_S
    while not happened():
        if time.monotonic() > end:
            sys.exit("it did not happen in time")
        time.sleep(0.01)


def is_in_the_journal(text: str) -> bool:
    """Whether journald has stored a line."""
    reader = journal.Reader()
    reader.add_match(MESSAGE=text)
    found = bool(reader.get_next())
    reader.close()
    return found


def say(program: Path, uid: int, text: str) -> None:
    """Log a line as Postfix's queue manager would; the program lives until journald has looked it up."""
    command = [str(program), "-t", "postfix/qmgr", "-p", "mail.info"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, user=uid) as speaker:
        assert speaker.stdin is not None
        speaker.stdin.write(f"{text}\n")
        speaker.stdin.flush()
        until(lambda: is_in_the_journal(text))


@contextmanager
def in_unit(unit: str) -> Iterator[None]:
    """Be in a control group of that name, which is how journald knows a unit."""
    hierarchy = Path("/run/cgroup")
    if not hierarchy.exists():
        hierarchy.mkdir()
        subprocess.run(["mount", "-t", "cgroup2", "none", str(hierarchy)], check=True)
    group, home = hierarchy / unit, hierarchy / "cgroup.procs"
    group.mkdir(exist_ok=True)
    try:
        (group / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        home.write_text(str(os.getpid()), encoding="ascii")
        group.rmdir()


def opened(folder: Path, position: str | None, units: tuple[str, ...] = ()) -> JournalSource:
    uids = {0, pwd.getpwnam("postfix").pw_uid}
    source = JournalSource(uids, units, () if units else {folder}, time.time())
    source.resume(position)
    return source


def read_to_end(source: JournalSource) -> tuple[list[str], list[str], str | None]:
    """The lines and gaps up to the end, and the position there."""
    texts, gaps, position = list[str](), list[str](), None
    while (batch := source.read()) is not None:
        texts += [line.text for line in batch.lines]
        gaps += [gap.reason for gap in batch.gaps]
        position = batch.position
        if batch.is_at_end:
            break
    source.close()
    return texts, gaps, position


def main(folder: Path) -> None:
    theirs = folder / "logger"
    logger = shutil.which("logger")
    assert logger is not None
    shutil.copy(logger, theirs)
    say(theirs, 0, "root in Postfix's folder")
    say(theirs, pwd.getpwnam("postfix").pw_uid, "postfix in Postfix's folder")
    say(theirs, NOBODY, "a stranger who runs Postfix's program")
    say(Path(logger), 0, "another program of root")
    first, first_gaps, position = read_to_end(opened(folder, None))
    say(theirs, 0, "later")
    later, later_gaps, _ = read_to_end(opened(folder, position))
    with in_unit("postfix@-.service"):
        say(Path(logger), 0, "any program in the unit")
    of_unit, _, _ = read_to_end(opened(folder, None, ("postfix@-.service",)))
    subprocess.run(["journalctl", "-q", "--rotate"], check=True)
    say(theirs, 0, "after the cut")
    subprocess.run(["journalctl", "-q", "--vacuum-files=1"], check=True, capture_output=True)
    until(lambda: not is_in_the_journal("later"))
    cut, cut_gaps, position = read_to_end(opened(folder, position))
    subprocess.run(["journalctl", "-q", "--rotate"], check=True)
    subprocess.run(["journalctl", "-q", "--vacuum-size=1"], check=True, capture_output=True)
    until(lambda: not is_in_the_journal("after the cut"))
    emptied, emptied_gaps, emptied_position = read_to_end(opened(folder, position))
    assert emptied_position == position, "nothing was written that could move it"
    print(
        json.dumps(
            {
                "first": [first, first_gaps],
                "later": [later, later_gaps],
                "of_unit": of_unit,
                "cut": [cut, cut_gaps],
                "emptied": [emptied, emptied_gaps],
            }
        )
    )


def suppressed(folder: Path) -> None:
    """Say more than journald takes: as another unit, which is no matter of ours, and as Postfix's."""
    units = ("postfix@-.service",)
    logger = Path(shutil.which("logger") or "")
    shown = dict[str, object]()
    position = None
    for unit in ("other.service", "postfix@-.service"):
        with in_unit(unit):
            say(logger, 0, f"first of {unit}")
            # It lives until journald has read all of it: whose unit would a process that is gone be of?
            flood = subprocess.Popen([logger, "-t", "postfix/qmgr"], stdin=subprocess.PIPE, text=True)
            assert flood.stdin is not None
            flood.stdin.write("".join(f"{unit} {number}\n" for number in range(FLOOD)))
            flood.stdin.flush()
            time.sleep(1.5)  # the interval, of one second
            say(logger, 0, f"last of {unit}")
            flood.communicate(timeout=WITHIN_S)
        source = opened(folder, position, units)
        batch = source.read()
        assert batch is not None
        source.close()
        position = batch.position
        said = sum(line.text.startswith(f"{unit} ") for line in batch.lines)
        lines = sum(gap.lines for gap in batch.gaps)
        shown[unit] = {"gaps": len(batch.gaps), "stored or missing": said + lines, "missing": lines > 0}
    print(json.dumps(shown))


(suppressed if sys.argv[2:] else main)(Path(sys.argv[1]))
