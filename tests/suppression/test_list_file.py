"""Lists of suppressed recipients: what export writes import reads, and any line is taken or told of."""

import csv
import io
import json
import re
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postroom.mail.recipients import recipient_hash
from postroom.store.shared.values import Suppression
from postroom.suppression.list_file import COLUMNS, BadLine, exported, read_list

KEY = b"k" * 32
NOW = 1_790_000_000.0
JANE = recipient_hash(KEY, "jane@example.net")
ENTRY = Suppression(
    JANE, "example.net", "j…@example.net", "invalid_recipient", None, "", "import", NOW, NOW + 60, stream="news"
)


def read(*lines: str) -> list[Suppression | BadLine]:
    return list(read_list(lines, KEY, NOW))


def as_csv(entries: Sequence[Suppression]) -> list[str]:
    written = io.StringIO()
    rows = csv.DictWriter(written, COLUMNS)
    rows.writeheader()
    rows.writerows(map(exported, entries))
    return written.getvalue().splitlines(keepends=True)


ENTRIES = st.builds(
    Suppression,
    recipient_hash=st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
    domain=st.sampled_from(["", "example.net"]),
    hint=st.sampled_from(["", "j…@example.net"]),
    cause=st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True),
    enhanced_status=st.none(),
    evidence=st.just(""),
    source=st.just("import"),
    added_at=st.integers(0, 2**32).map(float),
    expires_at=st.none() | st.integers(0, 2**32).map(float),
    stream=st.sampled_from(["", "newsletter"]),
)


@given(st.lists(ENTRIES, max_size=5))
def test_what_export_writes_import_reads(entries: list[Suppression]) -> None:
    """As CSV and as JSON lines, to the second."""
    assert list(read_list(as_csv(entries), KEY, NOW)) == entries
    assert list(read_list([json.dumps(exported(entry)) for entry in entries], KEY, NOW)) == entries


def test_plain_lists_are_taken() -> None:
    """An address or a hash on each line; empty lines and remarks are passed over."""
    entries = read("\ufeff# from the old system", "", "Jane@Example.NET\r\n", f"#{JANE}", "  \n", JANE)
    assert [(entry.recipient_hash, entry.cause) for entry in entries if isinstance(entry, Suppression)] == [
        (JANE, "imported")
    ] * 3
    first, second, _ = entries
    assert isinstance(first, Suppression)
    assert isinstance(second, Suppression)
    assert (first.domain, first.hint, second.domain, second.hint) == ("example.net", "J…@example.net", "", "")
    assert (first.source, first.added_at, first.expires_at, first.stream) == ("import", NOW, None, "")


def test_another_programs_csv_needs_but_a_first_line() -> None:
    """Columns that are not known are passed over; fields may be quoted."""
    (entry,) = read("address,cause,score", '"jane@example.net",asked_not_to,7')
    assert isinstance(entry, Suppression)
    assert (entry.recipient_hash, entry.cause) == (JANE, "asked_not_to")


@pytest.mark.parametrize(
    ("lines", "bad"),
    [
        (["jane"], (1, "is neither a mail address nor a hash: the address has no @")),
        (["", "a@example.net", "b@"], (3, "is neither a mail address nor a hash: ")),
        (["recipient_hash,cause", f"{JANE}"], (2, "has 1 fields, the first line 2")),
        (["recipient_hash,cause", f'{JANE},"x'], (2, "is not CSV")),
        (["recipient_hash,cause", ",x"], (2, "names no recipient_hash")),
        (["recipient_hash,cause", f"{JANE},Two Words"], (2, "cause is not as ")),
        (["recipient_hash,hint", f"{JANE},jane@example.net"], (2, "hint is not as ")),
        (["recipient_hash,since", f"{JANE},2026-11-24T10:00:00"], (2, "since is not a time with its zone")),
        (["recipient_hash,until", f"{JANE},soon"], (2, "until is not a time with its zone")),
        (["recipient_hash,until", f"{JANE},9999-12-31T23:59:59-23:59"], (2, "until is not a time with its zone")),
        (['{"recipient": 7}'], (1, "names no recipient_hash")),
        (['{"recipient"'], (1, "is not a JSON object")),
        ([f'{{"recipient": "{JANE}", "stream": 7}}'], (1, "stream is not as ")),
        (["a" * 10_001], (1, "is longer than ")),
    ],
)
def test_a_bad_line_is_told_with_its_number(lines: list[str], bad: tuple[int, str]) -> None:
    """And why, without what it says."""
    (found,) = [line for line in read(*lines) if isinstance(line, BadLine)]
    assert found.number == bad[0]
    assert found.reason.startswith(bad[1])


@given(st.lists(st.text(max_size=60), max_size=4), st.sampled_from([None, "recipient,cause,until", "address"]))
@example(["{" * 5000], None)
@example(['"\r"'], "address")
def test_any_line_is_taken_or_told_of(lines: list[str], header: str | None) -> None:
    """No address comes back in a reason, and what is taken is a hash."""
    for found in read_list(lines if header is None else [header, *lines], KEY, NOW):
        if isinstance(found, Suppression):
            assert len(found.recipient_hash) == 32
        else:
            assert re.search(r"\w@\w", found.reason) is None
