"""file_source.py: each line once, whatever happens to the file."""

import bz2
import gzip
import json
import lzma
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.watcher.log_lines import STARTED, in_file

from postroom.watcher.file_source import MAX_LINE, FileSource
from postroom.watcher.source import BATCH_LINES, Batch, SourceUnavailable

PACKERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Reader:
    """Follows a file as the watcher does: what was read counts with its position."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position: str | None = None
        self.texts: list[str] = []
        self.gaps: list[str] = []
        self._source = FileSource(path, lambda: NOW)
        self._source.resume(None)

    def again(self) -> None:
        """As after a kill: another process goes on at the stored position."""
        self._source.close()
        self._source = FileSource(self.path, lambda: NOW)
        self._source.resume(self.position)

    def batch(self) -> Batch | None:
        batch = self._source.read()
        if batch is not None:
            assert batch.after == self.position
            self.position = batch.position
            self.texts += [line.text for line in batch.lines]
            self.gaps += [gap.reason for gap in batch.gaps]
        return batch

    def to_end(self) -> list[str]:
        """All there is; returns what was read so far."""
        while (batch := self.batch()) is not None and not batch.is_at_end:
            pass
        return self.texts

    def close(self) -> None:
        self._source.close()


class Writer:
    """Writes numbered lines, and rotates."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written: list[str] = []

    def write(self, count: int) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            for _ in range(count):
                text = f"line {len(self.written)}"
                file.write(in_file("qmgr", text, len(self.written) % 3600))
                self.written.append(text)

    def rename(self) -> None:
        """logrotate: the older ones first, then the file itself."""
        for number in range(8, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            if older.exists():
                older.rename(self.path.with_name(f"{self.path.name}.{number + 1}"))
        if self.path.exists():
            self.path.rename(self.path.with_name(f"{self.path.name}.1"))

    def pack(self, how: str = ".gz") -> None:
        """logrotate, compress: what was rotated last, as gzip(1) does; the older ones are renamed with it."""
        last = self.path.with_name(f"{self.path.name}.1")
        if last.exists():
            packed = last.with_name(f"{self.path.name}-{len(self.written)}{how}")
            with last.open("rb") as octets, PACKERS[how](packed, "wb") as file:
                shutil.copyfileobj(octets, file)
            shutil.copystat(last, packed)
            last.unlink()

    def copy_and_truncate(self) -> None:
        """logrotate, copytruncate."""
        for number in range(8, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            if older.exists():
                older.rename(self.path.with_name(f"{self.path.name}.{number + 1}"))
        shutil.copyfile(self.path, self.path.with_name(f"{self.path.name}.1"))
        os.truncate(self.path, 0)


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(tmp_path / "mail.log")


def test_lines_are_read_once_as_they_come(writer: Writer) -> None:
    """Before the start, after it, and after a kill; the file may not be there yet."""
    reader = Reader(writer.path)
    assert reader.batch() is None
    for _ in range(3):
        writer.write(5)
        assert reader.to_end() == writer.written
        reader.again()
        assert reader.to_end() == writer.written
    assert reader.gaps == []
    reader.close()


def test_a_line_counts_when_it_is_whole(writer: Writer) -> None:
    """Half a line is left for later, cut anywhere; a batch is not larger than it may be."""
    reader = Reader(writer.path)
    whole = in_file("qmgr", "ä line", 1).encode()
    for end in range(len(whole)):
        writer.path.write_bytes(whole[:end])
        assert reader.to_end() == []
        reader.again()
    writer.path.write_bytes(whole)
    assert reader.to_end() == ["ä line"]
    writer.write(BATCH_LINES + 1)
    batch = reader.batch()
    assert batch is not None
    assert (batch.read, batch.is_at_end) == (BATCH_LINES, False)
    assert len(reader.to_end()) == BATCH_LINES + 2
    reader.close()


def test_a_line_without_end_is_passed_over(writer: Writer) -> None:
    """It is no line of Postfix's; the next one is."""
    reader = Reader(writer.path)
    writer.path.write_bytes(b"x" * (MAX_LINE + 5))
    reader.to_end()
    with writer.path.open("ab") as file:
        file.write(b"yyy\n")
    writer.write(1)
    assert reader.to_end() == writer.written
    reader.close()


def test_a_renamed_file_is_read_to_its_end(writer: Writer) -> None:
    """Whoever writes has the old one open for a moment: it is left when the new one has a line."""
    writer.write(3)
    reader = Reader(writer.path)
    reader.to_end()
    old = writer.path.open("a", encoding="utf-8")
    writer.rename()
    writer.path.touch()
    with old:
        old.write(in_file("qmgr", "late", 9))
    writer.written.append("late")
    assert reader.to_end() == writer.written
    writer.write(2)
    assert reader.to_end() == writer.written
    assert reader.gaps == []
    reader.close()


@pytest.mark.parametrize("rotations", [1, 2, 3])
def test_after_rotations_without_us_nothing_is_missing(writer: Writer, rotations: int) -> None:
    """The rest of the file we were in, those between, and the file itself, in this order."""
    writer.write(4)
    reader = Reader(writer.path)
    reader.to_end()
    for number in range(rotations):
        writer.write(3)
        os.utime(writer.path, (1000 + number, 1000 + number))
        writer.rename()
    writer.write(2)
    reader.again()
    assert reader.to_end() == writer.written
    assert reader.gaps == []
    reader.close()


@pytest.mark.parametrize("how", PACKERS)
def test_packed_files_are_read_where_they_were_left(writer: Writer, how: str) -> None:
    """The file we were in and one we never saw, packed while we were away: from the middle of the first on."""
    writer.write(4)
    reader = Reader(writer.path)
    reader.to_end()
    writer.write(3)
    for number in range(2):
        os.utime(writer.path, (1000 + number, 1000 + number))
        writer.rename()
        writer.pack(how)
        reader.again()
        writer.write(3 + BATCH_LINES)
    assert reader.batch() is not None
    reader.again()
    assert reader.to_end() == writer.written
    assert reader.gaps == []
    reader.close()


def test_files_that_come_and_go_between_two_looks_are_all_read(writer: Writer) -> None:
    """A watcher that stood still finds its own file packed and two more since; none of them is skipped."""
    writer.write(2)
    reader = Reader(writer.path)
    reader.to_end()
    for number in range(3):
        writer.write(2)
        os.utime(writer.path, (1000 + number, 1000 + number))
        writer.rename()
        if number == 0:
            writer.pack()
    assert reader.to_end() == writer.written[:4], "the file itself is not there yet"
    writer.write(2)
    assert reader.to_end() == writer.written
    assert reader.gaps == []
    reader.close()


def test_a_file_that_is_being_packed_is_read_as_it_is(writer: Writer) -> None:
    """Half of its packed form is beside it; the older one has a copy: neither is read a second time."""
    writer.write(4)
    reader = Reader(writer.path)
    reader.to_end()
    for number in range(2):
        writer.write(3)
        os.utime(writer.path, (1000 + number, 1000 + number))
        writer.rename()
    last = writer.path.with_name("mail.log.1")
    last.with_name("mail.log.1.gz").write_bytes(gzip.compress(last.read_bytes())[:-9])
    shutil.copyfile(writer.path.with_name("mail.log.2"), writer.path.with_name("mail.log-copy"))
    writer.write(2)
    reader.again()
    assert reader.to_end() == writer.written
    assert reader.gaps == []
    reader.close()


def test_a_packed_file_that_is_broken_is_a_gap(writer: Writer) -> None:
    """What it held is lost; what came after is read."""
    writer.write(4)
    reader = Reader(writer.path)
    reader.to_end()
    writer.write(3)
    lost = writer.written[4:]
    writer.rename()
    writer.pack()
    (packed,) = writer.path.parent.glob("*.gz")
    packed.write_bytes(packed.read_bytes()[:-9])
    writer.write(2)
    reader.again()
    assert reader.to_end() == [text for text in writer.written if text not in lost]
    assert len(reader.gaps) == 1
    reader.close()


def test_where_the_file_is_gone_those_written_since_are_read(writer: Writer) -> None:
    """Rotations went past it: a gap, and no line of an older file a second time."""
    writer.write(2)
    os.utime(writer.path, (1000, 1000))
    writer.rename()
    writer.pack()
    writer.write(2)
    reader = Reader(writer.path)
    reader.to_end()
    seen = list(reader.texts)
    writer.write(2)
    lost = writer.written[-2:]
    writer.path.unlink()
    for number in range(2):
        writer.write(3)
        os.utime(writer.path, (2000 + number, 2000 + number))
        writer.rename()
        writer.pack()
    writer.write(1)
    reader.again()
    assert reader.to_end() == seen + [text for text in writer.written[4:] if text not in lost]
    assert reader.gaps == ["the log file that was read last is gone"]
    reader.close()


def test_at_the_very_first_start_the_last_hour_is_read(writer: Writer) -> None:
    """Of files that changed in it, and no older ones."""
    for minutes in (70, 50):
        writer.write(2)
        changed_at = (NOW - timedelta(minutes=minutes)).timestamp()
        os.utime(writer.path, (changed_at, changed_at))
        writer.rename()
        writer.pack()
    writer.write(2)
    reader = Reader(writer.path)
    assert reader.to_end() == writer.written[2:]
    assert reader.gaps == []
    reader.close()


def test_a_file_that_is_gone_is_a_gap(writer: Writer) -> None:
    """Deleted or compressed: what was not read of it is lost, and it is told, once."""
    writer.write(4)
    reader = Reader(writer.path)
    reader.to_end()
    writer.write(3)
    writer.path.unlink()
    lost = writer.written[4:]
    writer.write(2)
    reader.again()
    assert reader.to_end() == [text for text in writer.written if text not in lost]
    assert reader.gaps == ["the log file that was read last is gone"]
    reader.again()
    reader.to_end()
    assert len(reader.gaps) == 1
    reader.close()


@pytest.mark.parametrize("away", [True, False])
def test_a_truncated_file_is_read_on_in_its_copy_and_is_a_gap(writer: Writer, away: bool) -> None:
    """What was written between copy and truncation is nowhere: nobody can say that nothing is missing."""
    writer.write(4)
    reader = Reader(writer.path)
    reader.to_end()
    writer.write(3)
    writer.copy_and_truncate()
    writer.write(6)
    if away:
        reader.again()
    assert reader.to_end() == writer.written
    assert reader.gaps == ["the log file was copied and truncated"]
    reader.close()


def test_a_file_that_is_copied_stays_the_one_that_is_read(writer: Writer) -> None:
    """A backup beside it has the same lines, and is older."""
    writer.write(4)
    reader = Reader(writer.path)
    reader.to_end()
    shutil.copyfile(writer.path, writer.path.with_name("mail.log.backup"))
    os.utime(writer.path.with_name("mail.log.backup"), (1000, 1000))
    writer.write(2)
    reader.again()
    assert reader.to_end() == writer.written
    assert reader.gaps == []
    reader.close()


def test_the_same_lines_in_another_file_are_not_read_again(writer: Writer) -> None:
    """An editor writes a new file and moves it over the old one."""
    writer.write(4)
    reader = Reader(writer.path)
    reader.to_end()
    copy = writer.path.with_name("new")
    shutil.copyfile(writer.path, copy)
    copy.rename(writer.path)
    writer.write(2)
    assert reader.to_end() == writer.written
    reader.close()


def test_a_shorter_file_that_begins_as_the_last_one_is_a_gap_and_is_followed(writer: Writer) -> None:
    """The rotated file has the same first line and more: neither is read again and again, and no line counts twice."""
    reader = Reader(writer.path)
    writer.write(3)
    reader.to_end()
    first_line = writer.path.read_bytes().splitlines(keepends=True)[0]
    writer.rename()
    writer.path.write_bytes(first_line)
    batches = 0
    while (batch := reader.batch()) is not None and not batch.is_at_end:
        batches += 1
        assert batches < 5, "it goes round in a circle"
    writer.write(2)
    assert reader.to_end() == writer.written
    assert len(reader.gaps) == 1
    reader.close()


STEPS: dict[str, Callable[[Writer, Reader, Random], object]] = {
    "write": lambda writer, _reader, random: writer.write(random.randint(1, 5)),
    "rename": lambda writer, _reader, _random: writer.rename(),
    "pack": lambda writer, _reader, _random: writer.pack(),
    "copytruncate": lambda writer, _reader, _random: writer.copy_and_truncate() if writer.path.exists() else None,
    "read": lambda _writer, reader, _random: reader.batch(),
    "kill": lambda _writer, reader, _random: reader.again(),
}


@given(st.lists(st.sampled_from([*STEPS, "write", "read"]), max_size=40), st.randoms(use_true_random=False))
def test_whatever_happens_no_line_is_read_twice_and_none_is_missed(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], random: Random
) -> None:
    """Rotations, truncations, reads and kills in any order; each file has a time of its own, as rotations have."""
    writer = Writer(tmp_path_factory.mktemp("log") / "mail.log")
    writer.write(1)
    os.utime(writer.path, (999, 999))
    # Hypothesis may end an example early, where it draws.
    with closing(Reader(writer.path)) as reader:
        reader.to_end()
        for number, step in enumerate(steps):
            STEPS[step](writer, reader, random)
            if writer.path.exists():
                os.utime(writer.path, (1000 + number, 1000 + number))
            newest = writer.path.with_name("mail.log.1")
            if step == "copytruncate" and newest.exists():
                os.utime(newest, (1000 + number - 0.5, 1000 + number - 0.5))
        reader.again()
        assert reader.to_end() == writer.written


def test_a_position_is_plain_text(writer: Writer) -> None:
    """It is stored, and outlives the process: device, inode, first line, offset, time of the last line."""
    writer.write(1)
    reader = Reader(writer.path)
    reader.to_end()
    assert reader.position is not None
    _dev, inode, head, offset, at = json.loads(reader.position)
    assert (inode, offset) == (writer.path.stat().st_ino, writer.path.stat().st_size)
    assert len(head) == 32
    assert at == STARTED.timestamp()
    reader.close()


def test_a_file_that_may_not_be_read_says_how_to_mend(writer: Writer) -> None:
    """Which group helps, and which setting to check."""
    writer.write(1)
    with pytest.raises(SourceUnavailable, match="mend: let the watcher's user read it"):
        Reader(writer.path / "below-a-file")


def test_a_line_without_time_or_pid_is_not_followed(tmp_path: Path) -> None:
    """It could not be told whose session it is of, or when; the others count, and the position moves on."""
    path = tmp_path / "maillog"
    path.write_text("postfix/smtpd[1]: bare\nNov 24 02:10:10 mail postfix/smtpd: no pid\n" + in_file("smtpd", "whole"))
    reader = Reader(path)
    assert reader.to_end() == ["whole"]
    assert json.loads(reader.position or "")[3] == path.stat().st_size
    reader.close()
