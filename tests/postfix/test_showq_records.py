"""showq.py: records out of whatever octets, cut wherever; and the queue as real Postfix writes it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postroom.postfix.queue import QueueCount
from postroom.postfix.showq import MAX_VALUE, RecordReader, ShowqError, count, queue_ids

# As Postfix 3.7.11 answered with two mails in its queue: one to one recipient, one of the null sender to two.
REFUSED = b"connect to 127.0.0.1[127.0.0.1]:9: Connection refused"
TRANSCRIPT = (
    b"protocol\0mail_queue_list_protocol\0\0"
    b"queue_name\0deferred\0queue_id\x001783D20E2F1\0time\x001795494544\0size\x00185\0forced_expire\x000\0"
    b"sender\0prabc@bounces.example.org\0recipient\0b@example.net\0reason\0" + REFUSED + b"\0\0"
    b"queue_name\0deferred\0queue_id\x001850220E014\0time\x001795494544\0size\x00165\0forced_expire\x000\0"
    b"sender\0MAILER-DAEMON\0recipient\0c@example.net\0reason\0" + REFUSED + b"\0"
    b"recipient\0d@example.net\0reason\0" + REFUSED + b"\0\0\0"
)
EMPTY_QUEUE = b"protocol\0mail_queue_list_protocol\0\0\0"


def read(pieces: list[bytes]) -> tuple[list[list[tuple[str, str]]], bool] | str:
    """The records in these pieces and whether the last one is whole; or the word that it is none of Postfix's."""
    reader, records = RecordReader(), []
    try:
        for piece in pieces:
            records += list(reader.feed(piece))
    except ShowqError:
        return "not Postfix"
    return records, reader.at_record_end


@given(st.one_of(st.binary(max_size=300), st.text("a\0", max_size=60).map(str.encode)), st.data())
@example(TRANSCRIPT, None)
@example(b"\0\0\0", None)
def test_records_are_the_same_wherever_the_octets_are_cut(octets: bytes, data: st.DataObject | None) -> None:
    """Whole, octet by octet and cut anywhere give the same records."""
    whole = read([octets])
    assert whole == read([octets[at : at + 1] for at in range(len(octets))])
    if data is not None:
        cut = data.draw(st.integers(0, len(octets)))
        assert whole == read([octets[:cut], octets[cut:]])


def test_a_transcript_is_read() -> None:
    """A record for the protocol, one for each mail, an empty one at the end."""
    found = read([TRANSCRIPT])
    assert not isinstance(found, str)
    records, whole = found
    assert whole
    assert [dict(record).get("queue_id") for record in records] == [None, "1783D20E2F1", "1850220E014", None]
    assert [value for name, value in records[2] if name == "recipient"] == ["c@example.net", "d@example.net"]
    assert records[3] == []


def test_an_answer_that_breaks_off_inside_a_record_is_not_whole() -> None:
    """At every octet but the ends of records it is told that something is missing."""
    for end in range(1, len(TRANSCRIPT)):
        found = read([TRANSCRIPT[:end]])
        assert not isinstance(found, str)
        records, whole = found
        assert whole == (b"".join(map(_written, records)) == TRANSCRIPT[:end])


def _written(record: list[tuple[str, str]]) -> bytes:
    return "".join(f"{name}\0{value}\0" for name, value in record).encode() + b"\0"


def test_an_endless_attribute_is_not_collected() -> None:
    """A peer that never ends its value costs no more than one."""
    assert read([b"a" * 60_000] * 3) == "not Postfix"
    assert read([b"sender\0" + b"a" * (MAX_VALUE + 1) + b"\0"]) == "not Postfix"


T = TypeVar("T")


async def _served(path: Path, answer: bytes, ask: Callable[[Path], Awaitable[T]], *, silent: bool = False) -> T | str:
    """What one learns from a socket that answers so, or why nothing."""
    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        if silent:
            await reader.read()
        writer.close()
        await writer.wait_closed()
        served.set()

    async with await asyncio.start_unix_server(serve, str(path)):
        try:
            return await ask(path)
        except ShowqError as error:
            return str(error)
        finally:
            await served.wait()


async def _asked(path: Path, answer: bytes, *, silent: bool = False) -> dict[str, str] | str:
    wanted = {"prabc@bounces.example.org", "other@example.org"}
    return await _served(path, answer, lambda path: queue_ids(path, wanted.__contains__, 0.2), silent=silent)


async def _counted(path: Path, answer: bytes, *, silent: bool = False) -> QueueCount | str:
    return await _served(path, answer, lambda path: count(path, 0.2), silent=silent)


EMPTY = {"maildrop": 0, "incoming": 0, "active": 0, "deferred": 0, "hold": 0}


def test_the_queue_is_counted(bed: Path) -> None:
    """Mails by queue, whatever their recipients, and when the oldest arrived."""
    assert asyncio.run(_counted(bed / "q", TRANSCRIPT)) == QueueCount({**EMPTY, "deferred": 2}, 1795494544, True)
    assert asyncio.run(_counted(bed / "e", b"\0")) == QueueCount(EMPTY, None, True)


def test_what_was_counted_in_time_is_a_part(bed: Path) -> None:
    """A queue of a million is not told in a second: what was is worth something; nothing at all is not."""
    part = QueueCount({**EMPTY, "deferred": 2}, 1795494544, False)
    assert asyncio.run(_counted(bed / "p", TRANSCRIPT[:-1], silent=True)) == part
    assert asyncio.run(_counted(bed / "s", b"", silent=True)) == f"{bed / 's'}: no answer in time"
    assert asyncio.run(_counted(bed / "b", TRANSCRIPT[:-9])) == "the answer ended early"


def test_what_names_another_queue_is_not_postfix(bed: Path) -> None:
    """Nothing that the socket says becomes the name of a figure."""
    answer = TRANSCRIPT.replace(b"deferred", b"<script>")
    assert asyncio.run(_counted(bed / "x", answer)) == "a queue that Postfix does not have"


def test_the_senders_asked_for_are_found_over_the_socket(bed: Path) -> None:
    """Only those asked for; a queue without them gives none."""
    assert asyncio.run(_asked(bed / "q", TRANSCRIPT)) == {"prabc@bounces.example.org": "1783D20E2F1"}
    assert asyncio.run(_asked(bed / "e", EMPTY_QUEUE)) == {}


def test_a_queue_that_cannot_be_read_says_why(bed: Path) -> None:
    """Nothing is known then, which is another thing than an empty queue."""
    for number, cut in enumerate((TRANSCRIPT[:-9], TRANSCRIPT[:-1], EMPTY_QUEUE[:-1], b"")):
        # None at all is what a proxy gives that does not find Postfix.
        assert asyncio.run(_asked(bed / f"b{number}", cut)) == "the answer ended early"
    assert asyncio.run(_asked(bed / "s", TRANSCRIPT, silent=True)) == f"{bed / 's'}: no answer in time"
    with pytest.raises(ShowqError, match="No such file"):
        asyncio.run(queue_ids(bed / "nobody", {"a@example.org"}.__contains__, 1))
