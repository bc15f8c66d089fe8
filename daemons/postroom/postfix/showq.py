"""Postfix's queue, asked of showq(8) itself: which envelope senders are in it, under which queue id.

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
from collections.abc import Callable, Iterator
from pathlib import Path

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
        ShowqError: Postfix does not answer, or the answer broke off.
    """
    found: dict[str, str] = {}
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                await _read_queue(reader, is_wanted, found)
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise ShowqError(f"{socket}: {getattr(error, 'strerror', None) or 'no answer in time'}") from error
    return found


async def _read_queue(reader: asyncio.StreamReader, is_wanted: Callable[[str], bool], found: dict[str, str]) -> None:
    records, count = RecordReader(), 0
    while octets := await reader.read(65_536):
        for record in records.feed(octets):
            count += 1
            if count > MAX_RECORDS:
                raise ShowqError(f"more than {MAX_RECORDS} records")
            attributes = dict(record)
            sender = attributes.get("sender", "")
            if attributes.get("queue_id") and is_wanted(sender):
                found[sender] = attributes["queue_id"]
    if not records.at_record_end:
        raise ShowqError("the answer broke off")
