"""Postfix's queue, asked of showq(8) itself: which envelope senders are in it, how much of it, and how old.

This is what `postqueue -j` asks; we speak to the socket ourselves because
postqueue(1) is set-gid and is refused under NoNewPrivileges.

Presence proves that the attempt with that envelope sender was queued;
absence alone proves nothing: it may be delivered already, and a mail that moves
from one queue to the next while the answer is made is missed.

Source:  Postfix src/showq/showq.c, src/postqueue/showq_json.c, src/util/attr_scan0.c
         (null-terminated name/value pairs; an empty name ends a record).
Limits:  a name or value over MAX_VALUE octets, or a queue over MAX_RECORDS messages, raises ShowqError.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from postroom.postfix.queue import QUEUES, QueueCount

MAX_VALUE = 65_536
MAX_RECORDS = 2_000_000


class ShowqError(Exception):
    """The queue could not be read; the text says why. Nothing is known then."""


class RecordReader:
    """Attributes out of octets: pure. A record ends at an empty name."""

    def __init__(self) -> None:
        self._buffer = b""
        self._name: bytes | None = None
        self._record: list[tuple[str, str]] = []

    def feed(self, octets: bytes) -> Iterator[list[tuple[str, str]]]:
        """The records completed by these octets, as lists of (name, value)."""
        *values, self._buffer = (self._buffer + octets).split(b"\0")
        if len(self._buffer) > MAX_VALUE or any(len(value) > MAX_VALUE for value in values):
            raise ShowqError("an attribute longer than any Postfix sends")
        for value in values:
            if self._name is not None:
                self._record.append((self._name.decode("utf-8", "replace"), value.decode("utf-8", "replace")))
                self._name = None
            elif value:
                self._name = value
            else:
                yield self._record
                self._record = []

    @property
    def at_record_end(self) -> bool:
        """Whether nothing is left over."""
        return not self._buffer and self._name is None and not self._record


async def queue_ids(socket: Path, is_wanted: Callable[[str], bool], timeout_s: float) -> dict[str, str]:
    """Envelope sender → queue id, for those of the wanted senders that are in any queue of Postfix.

    Raises:
        ShowqError: Postfix does not answer, or the answer ended early.
    """
    found: dict[str, str] = {}
    try:
        async with asyncio.timeout(timeout_s), _asked(socket) as mails:
            async for mail in mails:
                sender = mail.get("sender", "")
                if is_wanted(sender):
                    found[sender] = mail["queue_id"]
    except (OSError, TimeoutError) as error:
        raise _unanswered(socket, error) from error
    return found


async def count(socket: Path, timeout_s: float) -> QueueCount:
    """Count the queue, as much of it as Postfix names within `timeout_s` seconds.

    Raises:
        ShowqError: Postfix does not answer, or the answer ended early.
    """
    mails: Counter[str] = Counter(dict.fromkeys(QUEUES, 0))
    oldest_at, is_whole = None, False
    try:
        async with asyncio.timeout(timeout_s), _asked(socket) as named:
            async for mail in named:
                queue = mail.get("queue_name", "")
                if queue not in QUEUES:
                    raise ShowqError("a queue that Postfix does not have")
                mails[queue] += 1
                arrived_at = mail.get("time", "")
                if arrived_at.isdecimal():
                    oldest_at = min(int(arrived_at), oldest_at or int(arrived_at))
            is_whole = True
    except TimeoutError as error:
        if not mails.total():
            raise _unanswered(socket, error) from error
    except OSError as error:
        raise _unanswered(socket, error) from error
    return QueueCount(dict(mails), oldest_at, is_whole)


@asynccontextmanager
async def _asked(socket: Path) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
    """Connect, and give the mails of the answer as it comes."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        async with aclosing(_mails(reader)) as mails:
            yield mails
    finally:
        writer.close()


async def _mails(reader: asyncio.StreamReader) -> AsyncGenerator[dict[str, str]]:
    records, number, is_ended = RecordReader(), 0, False
    while octets := await reader.read(65_536):
        for record in records.feed(octets):
            number += 1
            if number > MAX_RECORDS:
                raise ShowqError(f"more than {MAX_RECORDS} records")
            # An empty record ends the queue; without it nothing is known, also where a proxy found nobody to ask.
            is_ended = not record
            attributes = dict(record)
            if attributes.get("queue_id"):
                yield attributes
    if not (is_ended and records.at_record_end):
        raise ShowqError("the answer ended early")


def _unanswered(socket: Path, error: Exception) -> ShowqError:
    return ShowqError(f"{socket}: {getattr(error, 'strerror', None) or 'no answer in time'}")
