"""Lines of more than 998 octets: folded where that changes nothing, seen where it cannot be done."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.milter import canonical
from postroom.milter.long_lines import LINE_OCTETS, BodyLines, folded

WORDS = st.lists(
    st.sampled_from([b"a", b"word", b"\\", b"x" * 700, b"y" * 995, b"z" * 2000, "ü".encode()]), max_size=40
)
BLANKS = st.sampled_from([b" ", b"  ", b"\t", b"\n ", b" \n\t", b" " * 990, b""])


@given(WORDS, st.lists(BLANKS, min_size=40, max_size=40))
def test_a_folded_field_is_the_same_in_relaxed_form(words: list[bytes], blanks: list[bytes]) -> None:
    """And has no long line, no line of blanks alone that it had not before, and no quoted pair torn apart."""
    value = b"".join(word + blank for word, blank in zip(words, blanks, strict=False)).strip()
    short = folded(b"Subject", value)
    if short is None:
        assert re.search(rb"[^\n]{989,}", value)
        return
    assert canonical.field(b"Subject", short) == canonical.field(b"Subject", value)
    lines = (b"Subject: " + short).split(b"\n")
    assert max(map(len, lines)) <= LINE_OCTETS
    assert all(line[:1] in b" \t" for line in lines[1:])
    assert short.count(b"\\\n") == value.count(b"\\\n")
    assert folded(b"Subject", short) == short


def test_a_word_that_is_too_long_cannot_be_folded() -> None:
    """With its name the first line has less room."""
    assert folded(b"Subject", b"x" * 989) == b"x" * 989
    assert folded(b"Subject", b"x" * 990) is None
    assert folded(b"Subject", b"a\n " + b"x" * 997) == b"a\n " + b"x" * 997
    assert folded(b"Subject", b"a\n " + b"x" * 998) is None


def test_what_cannot_be_given_to_postfix_is_not_folded() -> None:
    """Octets that are no text, and more than Postfix takes; with short lines both stay as they are."""
    assert folded(b"Subject", b"\xfc " * 600) is None
    assert folded(b"To", b"a@b.c, " * 8000) is None
    assert folded(b"Subject", b"\xfc\n " * 600) == b"\xfc\n " * 600


@pytest.mark.parametrize("piece", [1, 7, 999, 1000, 65_535])
@pytest.mark.parametrize(
    ("body", "is_too_long"),
    [
        (b"", False),
        (b"x" * 998 + b"\r\n", False),
        (b"x" * 999 + b"\r\n", True),
        ((b"x" * 998 + b"\r\n") * 50, False),
        ((b"y\r\n" + b"x" * 998 + b"\r\n") * 50 + b"z", False),
        (b"a\r\n" * 1000 + b"x" * 999 + b"\r\n", True),
        (b"x" * 998, False),
        (b"x" * 999, True),
        (b"\r\n" * 2000 + b"x" * 5000 + b"\r\n" * 9, True),
    ],
)
def test_a_long_line_is_seen_wherever_the_body_is_cut(body: bytes, is_too_long: bool, piece: int) -> None:
    """998 octets are the most, without the line's end."""
    lines = BodyLines()
    for at in range(0, len(body), piece):
        lines.update(body[at : at + piece])
    assert lines.is_too_long is is_too_long
