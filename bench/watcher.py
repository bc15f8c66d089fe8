"""bench/watcher: how fast Postfix's log is read, beside pflogsumm on the same log.

    .venv/bin/python bench/watcher.py [--lines N] [--rounds N] [--stamps rfc3164|rfc3339] [--journal] [--profile]

The log is made (bench/history.py): mail of ours, with attempt tokens, and of others. In each round each of these has
its turn on one core, so that a slow minute of the machine meets all:

    parse      lines of the file -> records, as `log replay` and the watcher read them
    store      the file as the watcher follows it: source, correlate, track.apply in its batches, into a new track.db
    journal    the same lines from a journal (as root, with --journal; needs the package systemd-journal-remote)
    pflogsumm  Debian's, which counts; needs the package pflogsumm

Prints lines for each second of processor time (and of the clock), the median and the spread. --profile prints instead
where the time of `store` goes.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "daemons"), str(ROOT)]

from bench.prerequisites import need, need_environment  # noqa: E402 - the checkout's own packages

need_environment()

from bench.history import BEGAN, KEY, history  # noqa: E402

from postroom.store.track.track_store import TrackStore  # noqa: E402
from postroom.watcher.correlate import Correlator  # noqa: E402
from postroom.watcher.file_source import FileSource  # noqa: E402
from postroom.watcher.journal_source import JournalSource  # noqa: E402
from postroom.watcher.lines import Line, LineReader  # noqa: E402
from postroom.watcher.records.parse import parse_record  # noqa: E402
from postroom.watcher.source import LogSource  # noqa: E402

JOURNAL_REMOTE = "/lib/systemd/systemd-journal-remote"
JOURNALS, FOLDER = Path("/run/log/journal"), Path("/usr/lib/postfix/sbin")
IS_ALONE = "POSTROOM_BENCH_IS_ALONE"
ALONE = """
mkdir -p /run/log /var/log/journal
mount -t tmpfs tmpfs /run/log
mount -t tmpfs tmpfs /var/log/journal
exec "$@"
"""
ENTRY = """\
__REALTIME_TIMESTAMP={at}
__MONOTONIC_TIMESTAMP={number}
_BOOT_ID=fedcba9876543210fedcba9876543210
_MACHINE_ID={machine}
_HOSTNAME=mail
_TRANSPORT=syslog
PRIORITY=6
SYSLOG_FACILITY=2
SYSLOG_IDENTIFIER={identifier}
SYSLOG_PID={pid}
_PID={pid}
_UID=0
_GID=0
_COMM={program}
_EXE={folder}/{program}
_CMDLINE={program} -t unix -u
_CAP_EFFECTIVE=1ffffffffff
_SYSTEMD_CGROUP=/system.slice/system-postfix.slice/postfix@-.service
_SYSTEMD_UNIT=postfix@-.service
_SYSTEMD_SLICE=system-postfix.slice
_SYSTEMD_INVOCATION_ID=fedcba9876543210fedcba9876543210
SYSLOG_TIMESTAMP=Nov 24 02:00:00
MESSAGE={text}

"""
PFLOGSUMM = "/usr/sbin/pflogsumm"


class Rate(NamedTuple):
    """Lines for each second of processor time, and of the clock."""

    processor: float
    clock: float


def write_log(path: Path, lines: int, stamps: str) -> int:
    """Make the log; how many lines it has."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for second, text in history(lines):
            at = BEGAN + timedelta(seconds=second)
            stamp = f"{at:%b %e %H:%M:%S}" if stamps == "rfc3164" else at.isoformat(timespec="microseconds")
            file.write(f"{stamp} mail {text}\n")
            count += 1
    return count


def parse(path: Path) -> None:
    """Read every line to its record."""
    line_of = LineReader(datetime.now(UTC)).line
    with path.open("rb") as file:
        for octets in file:
            line = line_of(octets.decode("utf-8", "replace").rstrip("\n"))
            if isinstance(line, Line):
                parse_record(line)


def make_journal(lines: int, place: Path) -> None:
    """Make the journal of this host, with the fields that journald gives the lines of a unit."""
    machine, export = Path("/etc/machine-id").read_text(encoding="ascii").strip(), place / "export"
    with export.open("w", encoding="utf-8") as file:
        for number, (second, line) in enumerate(history(lines), 1):
            tag, _, text = line.partition("]: ")
            identifier, _, pid = tag.partition("[")
            at = int((BEGAN.timestamp() + second) * 1e6)
            program = identifier.rpartition("/")[2]
            file.write(
                ENTRY.format(
                    at=at,
                    number=number,
                    machine=machine,
                    identifier=identifier,
                    pid=pid,
                    folder=FOLDER,
                    program=program,
                    text=text,
                )
            )
    (JOURNALS / machine).mkdir(parents=True)
    made = [JOURNAL_REMOTE, "-o", str(JOURNALS / machine / "system.journal"), str(export)]
    subprocess.run(made, check=True, capture_output=True)
    export.unlink()


def store(path: Path) -> None:
    """Follow the file into a new track.db until its end."""
    asyncio.run(_store(FileSource(path, lambda: datetime.now(UTC)), path.parent))


def journal(path: Path) -> None:
    """The same from the journal."""
    asyncio.run(_store(JournalSource([0], [], [FOLDER], BEGAN.timestamp()), path.parent))


async def _store(source: LogSource, place: Path) -> None:
    with tempfile.TemporaryDirectory(dir=place) as name:
        db = Path(name) / "watcher" / "track.db"
        TrackStore.init(db)
        track = TrackStore.open(db)
        correlator = Correlator(KEY, is_relayhosted=False)
        source.resume(None)
        while (batch := source.read()) is not None and batch.read:
            facts = [fact for line in batch.lines for fact in correlator.facts(line)]
            await track.log.apply(source.name, batch.after, batch.position, facts, time.time(), proven=source.proves)
        source.close()
        await track.close()


def count_by_pflogsumm(path: Path) -> None:
    """Let pflogsumm count it."""
    subprocess.run([PFLOGSUMM, "--syslog-name=postfix", str(path)], stdout=subprocess.DEVNULL, check=True)


def timed(work: Callable[[Path], None], path: Path, lines: int) -> Rate:
    """Run it in this process and its children, on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    began, used = time.perf_counter(), _processor_s()
    work(path)
    return Rate(lines / (_processor_s() - used), lines / (time.perf_counter() - began))


def _processor_s() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def profile(path: Path) -> None:
    """Print where the time of `store` goes, the store's own thread apart."""
    profiler = cProfile.Profile()
    profiler.runcall(store, path)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def main() -> None:
    """Make the log, take the rounds, print the rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stamps", choices=("rfc3164", "rfc3339"), default="rfc3164")
    parser.add_argument("--journal", action="store_true")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    need(("pflogsumm", "systemd-journal-remote") if arguments.journal else ("pflogsumm",), root=arguments.journal)
    if arguments.journal and not os.environ.get(IS_ALONE):
        # In a namespace of its own: the journal of this host is hidden, and nothing is written there.
        os.environ[IS_ALONE] = "yes"
        os.execvp("unshare", ["unshare", "--mount", "sh", "-euc", ALONE, "sh", sys.executable, *sys.argv])
    works = {"parse": parse, "store": store, "pflogsumm": count_by_pflogsumm}
    if arguments.journal:
        works["journal"] = journal
    with tempfile.TemporaryDirectory(prefix="postroom-bench-", dir="/var/tmp") as name:
        path = Path(name) / "mail.log"
        lines = write_log(path, arguments.lines, arguments.stamps)
        if arguments.profile:
            profile(path)
            return
        if arguments.journal:
            make_journal(arguments.lines, path.parent)
        rates: dict[str, list[Rate]] = {work: [] for work in works}
        for _ in range(arguments.rounds):
            for work, run in works.items():
                # Each in a process of its own, as pflogsumm is.
                with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                    rates[work].append(pool.submit(timed, run, path, lines).result())
    print(f"{lines} lines, {arguments.stamps}, {arguments.rounds} rounds, one core; lines/s")
    for work, taken in rates.items():
        processor, clock = zip(*taken, strict=True)
        print(
            f"{work:<10} {median(processor):9.0f} of processor time (from {min(processor):.0f} to {max(processor):.0f})"
            f"   {median(clock):9.0f} by the clock (from {min(clock):.0f} to {max(clock):.0f})"
        )
    ours, theirs = (median(rate.processor for rate in rates[work]) for work in ("parse", "pflogsumm"))
    print(f"parse beside pflogsumm: {ours / theirs:.2f} times")


if __name__ == "__main__":
    main()
