"""stdin_source.py: standard input read line by line, each once, and a gap wherever something may be missing."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.store.outbox.sample_messages import rows
from tests.watcher.conftest import MakeWatcher
from tests.watcher.log_lines import STARTED, active, in_file, token

from postroom.watcher.source import BATCH_LINES, SourceUnavailable
from postroom.watcher.stdin_source import MAX_LINE, StdinSource
from sandbox.process import until

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends; a test may close the second."""
    read, write = os.pipe()
    yield read, write
    os.close(read)


def texts(source: StdinSource) -> list[str]:
    """The lines that are there."""
    found: list[str] = []
    while (batch := source.read()) is not None:
        found += [line.text for line in batch.lines]
    return found


def test_lines_are_read_as_they_come(pipe: tuple[int, int]) -> None:
    """Half a line waits for its end; those without a time are of now, those of nobody are passed over."""
    source = StdinSource(pipe[0], lambda: NOW)
    source.resume(None)
    assert source.read() is None
    os.write(pipe[1], b"postfix/qmgr[7]: first\nno line of Postfix\npostfix/qmgr[7]: sec")
    batch = source.read()
    assert batch is not None
    assert [(line.text, line.pid, line.at) for line in batch.lines] == [("first", 7, NOW.timestamp())]
    assert (batch.after, batch.position, batch.gaps, batch.read, batch.is_at_end) == (None, "2", (), 2, True)
    os.write(pipe[1], b"ond\n" + in_file("qmgr", "third", 5).encode())
    batch = source.read()
    assert batch is not None
    assert (batch.after, batch.position, [line.text for line in batch.lines]) == ("2", "4", ["second", "third"])
    assert batch.lines[1].at == STARTED.timestamp() + 5
    os.close(pipe[1])


def test_each_start_but_the_first_is_a_gap(pipe: tuple[int, int]) -> None:
    """Told with the first line that comes; what was not read yet goes on behind it."""
    source = StdinSource(pipe[0], lambda: NOW)
    source.resume("41")
    assert source.read() is None
    os.write(pipe[1], b"postfix/qmgr[7]: on\n" * (BATCH_LINES + 1))
    first, second = source.read(), source.read()
    assert first is not None
    assert second is not None
    assert [gap.reason for gap in first.gaps] == ["standard input was restarted"]
    assert (first.position, first.is_at_end, second.gaps) == (str(41 + BATCH_LINES), False, ())
    assert (second.position, second.is_at_end) == (str(42 + BATCH_LINES), True)
    os.close(pipe[1])


def test_a_line_that_is_too_long_is_passed_over(pipe: tuple[int, int]) -> None:
    """With its end, whenever that comes."""
    source = StdinSource(pipe[0], lambda: NOW)
    source.resume(None)
    for _ in range(3):
        os.write(pipe[1], b"postfix/qmgr[7]: " + b"x" * (MAX_LINE // 2))
        assert texts(source) == []
    os.write(pipe[1], b"xx\npostfix/qmgr[7]: next\n")
    assert texts(source) == ["next"]
    os.close(pipe[1])


def test_when_it_ends_what_is_there_is_read_first(pipe: tuple[int, int]) -> None:
    """Then the watcher says how to mend."""
    source = StdinSource(pipe[0], lambda: NOW)
    source.resume(None)
    os.write(pipe[1], b"postfix/qmgr[7]: last\n")
    os.close(pipe[1])
    batch = source.read()
    assert batch is not None
    assert [line.text for line in batch.lines] == ["last"]
    with pytest.raises(SourceUnavailable, match="mend: restart the watcher"):
        source.read()


@pytest.mark.process
def test_a_watcher_of_a_pipe_takes_each_line_once_and_tells_its_gaps(bed: Path, make_watcher: MakeWatcher) -> None:
    """Killed, it goes on with what the pipe still has."""
    fifo = bed / "log"
    os.mkfifo(fifo)
    # Both ways, so that the pipe outlives its readers as a supervisor's does.
    pipe = os.open(fifo, os.O_RDWR)
    watcher = make_watcher(bed, "source: stdin")
    track = watcher.state_dir / "watcher" / "track.db"

    def read_up_to(count: int) -> None:
        until(lambda: rows(track, "SELECT count(*) FROM queue") == [(count,)], 10, "read", watcher.alive)

    for number in range(2):
        os.write(pipe, f"postfix/qmgr[7]: {active(f'A{number}B2C3', f'{token(number)}@b.example.org')}\n".encode())
        watcher.start(prefix=("sh", "-c", 'exec "$@" <"$0"', str(fifo)))
        read_up_to(number + 1)
        watcher.kill()
    assert rows(track, "SELECT position FROM position WHERE source = 'stdin'") == [("2",)]
    assert watcher.log().count("standard input was restarted") == 1
    os.close(pipe)
