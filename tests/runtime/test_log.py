"""The log: one line an event, whatever is in it, wherever stderr leads."""

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import postroom
from postroom.runtime.log import Field, Level, error_fields, line, open_log
from postroom.store.errors import StoreUnavailable

SOURCES = Path(postroom.__file__).parent.parent
VALUES = st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none())
FIELD = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^ "]+)(?: |$)')


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """open_log takes over the root logger; pytest wants it back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def read_back(text: str) -> dict[str, str]:
    """The fields of a line, as a reader takes them apart."""
    fields, at = {}, 0
    while at < len(text):
        found = FIELD.match(text, at)
        assert found is not None, text[at:]
        fields[found[1]] = json.loads(found[2]) if found[2].startswith('"') else found[2]
        at = found.end()
    return fields


@given(st.dictionaries(st.sampled_from(("id", "reason", "took_ms", "queue_id")), VALUES))
def test_any_values_are_one_printable_line(fields: dict[str, Field]) -> None:
    """No value breaks the line, reaches the terminal as a control, or leaves ASCII."""
    text = line("handover.queued", fields)
    assert text.isascii()
    assert text.isprintable()
    assert text.startswith("handover.queued")


@given(st.dictionaries(st.sampled_from(("id", "reason", "queue_id")), st.text()))
def test_no_value_can_pose_as_another_field(fields: dict[str, Field]) -> None:
    """What was written is read back, field by field: a value cannot add one, or end early."""
    assert read_back(line("x", fields).removeprefix("x").lstrip(" ")) == fields


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("4XyZ1k2", "4XyZ1k2"),
        ("", '""'),
        ("two words", '"two words"'),
        ('say "no"', r'"say \"no\""'),
        ("a\nb", r'"a\nb"'),
        ("\x1b[2J\x7f", r'"\u001b[2J\u007f"'),
        ("müller", r'"m\u00fcller"'),
        ("\udc80", r'"\udc80"'),
        (True, "yes"),
        (False, "no"),
        (10, "10"),
        (10.0, "10"),
        (0.0, "0"),
        (0.12345, "0.123"),
        (float("inf"), "inf"),
    ],
)
def test_values_are_written_so(value: Field, written: str) -> None:
    """Plain words bare, all else as JSON; yes and no; three decimals at most."""
    assert line("x", {"key": value}) == f"x key={written}"


def test_none_is_left_out() -> None:
    """A field without a value is no field."""
    assert line("x", {"a": None, "b": 1}) == "x b=1"


LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error", "critical")


@pytest.mark.parametrize("threshold", LEVELS)
def test_events_below_the_level_are_left_out(threshold: Level, capfd: pytest.CaptureFixture[str]) -> None:
    """The level is the least severe one written; each line has time, identifier, pid and level in front."""
    log = open_log("policy", threshold, "stderr")
    for level in LEVELS:
        getattr(log, level)("x.y", n=1)
    lines = capfd.readouterr().err.splitlines()
    assert [text.partition(" ")[2] for text in lines] == [
        f"postroom-policy[{os.getpid()}] {level}: x.y n=1" for level in LEVELS[LEVELS.index(threshold) :]
    ]
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", text) for text in lines)


def test_libraries_are_heard_without_addresses_and_tracebacks(capfd: pytest.CaptureFixture[str]) -> None:
    """A warning of a library is one line with the kind of its error; what a client sent is masked."""
    open_log("policy", "info", "stderr")
    try:
        raise ValueError("jane.doe@example.net is no mailbox")
    except ValueError as error:
        logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: %r", error, exc_info=error)
    logging.getLogger("asyncio").info("nothing to say")
    (text,) = capfd.readouterr().err.splitlines()
    assert "] error: library.warned library=asyncio message=" in text
    assert text.endswith("error=ValueError")
    assert "Task exception was never retrieved" in text
    assert "jane.doe" not in text
    assert "Traceback" not in text


def run_with_stderr(redirection: str, stderr: int = subprocess.DEVNULL) -> "subprocess.CompletedProcess[str]":
    script = (
        "from postroom.runtime.log import open_log; log = open_log('policy', 'info', 'auto');"
        "[log.warning('x.y', n=n) for n in range(1000)]; print('went on')"
    )
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-c", script],
        env={"PYTHONPATH": str(SOURCES)},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=False,
    )


@pytest.mark.process
@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_a_log_that_cannot_be_written_stops_nothing(redirection: str) -> None:
    """A full disk, or no stderr at all: the daemon goes on, and ends as if nothing were."""
    done = run_with_stderr(redirection)
    assert (done.stdout, done.returncode) == ("went on\n", 0)


@pytest.mark.process
def test_a_reader_that_went_away_stops_nothing() -> None:
    """A pipe without a reader gives an error, no signal, and no end of the daemon."""
    reading, writing = os.pipe()
    os.close(reading)
    done = run_with_stderr("", writing)
    os.close(writing)
    assert (done.stdout, done.returncode) == ("went on\n", 0)


def test_a_fault_is_logged_with_its_kind_and_place_and_without_its_words() -> None:
    """The innermost file and line; what the error says may quote an address, unless the words are the store's own."""
    try:
        int("jane@example.org")
    except ValueError as error:
        fields = error_fields(error)
        place = f"{__file__}:{error.__traceback__.tb_lineno}" if error.__traceback__ is not None else ""
    assert fields == {"error": "ValueError", "where": place, "reason": None}
    unavailable = StoreUnavailable("limits.db: locked")
    assert error_fields(unavailable, place="at") == {
        "error": "StoreUnavailable",
        "at": "unknown",
        "reason": "limits.db: locked",
    }


def line_with(text: str) -> int:
    """The number of the first line of this file that ends in it."""
    return next(n for n, line in enumerate(Path(__file__).read_text().splitlines(), 1) if line.endswith(text))


async def wait_for_good() -> None:
    await asyncio.sleep(3600)  # waits


def test_a_fault_inside_a_library_has_the_place_that_called_it() -> None:
    """Not the library's own line, which says nothing about what was asked of it."""
    try:
        json.loads("jane@example.org")  # asks
    except json.JSONDecodeError as error:
        fields = error_fields(error)
    assert fields["where"] == f"{__file__}:{line_with('# asks')}"


def test_a_timeout_has_the_place_that_took_the_time() -> None:
    """asyncio raises it where the budget was set; what was waited for is in the error before."""

    async def run() -> dict[str, Field]:
        try:
            async with asyncio.timeout(0.01):
                await wait_for_good()
        except TimeoutError as error:
            return error_fields(error)
        raise AssertionError("it ended")

    assert asyncio.run(run()) == {
        "error": "TimeoutError",
        "where": f"{__file__}:{line_with('# waits')}",
        "reason": None,
    }


def test_a_fault_known_to_libraries_alone_has_their_place() -> None:
    """Better than none."""
    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(json.loads, "jane").exception()
    assert error is not None
    assert "/json/decoder.py:" in str(error_fields(error)["where"])
