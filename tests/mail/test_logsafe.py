"""Log-safe text: hostile words stay one printable line, addresses stay private."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.mail.logsafe import redacted, safe

repeatable = settings(derandomize=True, deadline=None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("550 5.1.1 User unknown", "550 5.1.1 User unknown"),
        ("Grüße aus Köln, 東京 🎉", "Grüße aus Köln, 東京 🎉"),
        ("a\r\nb\0c\td\x1b[31m\x7f", r"a\x0d\x0ab\x00c\x09d\x1b[31m\x7f"),
        ("a\x85b\u2028c\u2029d", r"a\x85b\u2028c\u2029d"),
        ("pay\u202egpj.exe\u2066\u200f", r"pay\u202egpj.exe\u2066\u200f"),
        ("no\xa0break, zero\u200bwidth", r"no\xa0break, zero\u200bwidth"),
        ("lone \ud800 surrogate", r"lone \ud800 surrogate"),
        ("tag \U000e0041", r"tag \U000e0041"),
        (r"posing \x0a", r"posing \\x0a"),
    ],
)
def test_what_does_not_print_is_escaped(text: str, expected: str) -> None:
    """Controls, line separators, bidi and invisible characters show as escapes; a backslash is doubled."""
    assert safe(text) == expected


def test_a_long_text_is_cut_with_an_ellipsis() -> None:
    """The limit counts what is shown, escapes and the ellipsis included."""
    assert safe("a" * 10, limit=10) == "a" * 10
    assert safe("a" * 11, limit=10) == "a" * 9 + "…"
    assert safe("\0" * 3, limit=10) == r"\x00\x00\…"
    assert safe("ab", limit=1) == "…"


@repeatable
@given(st.text(), st.integers(min_value=1, max_value=50))
def test_any_text_gives_one_short_printable_line(text: str, limit: int) -> None:
    """Whatever comes in: printable, no line break for any reader, never over the limit."""
    shown = safe(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
    assert len(shown.splitlines()) <= 1


@repeatable
@given(st.text(max_size=20))
def test_an_escape_can_be_read_back(text: str) -> None:
    """Nothing can pose as an escape: Python's own reader of escapes gets the text back."""
    shown = safe(text, limit=1000)
    assert shown.encode("ascii", "backslashreplace").decode("unicode_escape") == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no address here", "no address here"),
        ("jane@example.org", "j…@example.org"),
        (
            "to=<Jane@Example.org>, relay=mx.example.org[192.0.2.1]:25",
            "to=<J…@example.org>, relay=mx.example.org[192.0.2.1]:25",
        ),
        ("550 <a.b+c@example.org>: unknown; also x@y.example", "550 <a…@example.org>: unknown; also x…@y.example"),
        ("mailto:jane@example.org,joe@example.net", "mailto:j…@example.org,j…@example.net"),
        ("unsubscribe?u=jane%40example.org", "u…@example.org"),
        ('"jane doe"@example.org said', "…@example.org said"),
        (r'"ja\"ne"@example.org said', "…@example.org said"),
        ("jane@doe@example.org", "j…@example.org"),
        ("jane@[192.0.2.1]", "j…[192.0.2.1]"),
        ("zoë@bücher.example", "z…@xn--bcher-kva.example"),
        ("bounce+jane=example.net@lists.example", "b…@lists.example"),
        ("meet @ noon, @handle", "meet @ noon, @handle"),
    ],
)
def test_addresses_are_masked(text: str, expected: str) -> None:
    """In log lines, remote replies and links; the words around stay."""
    assert redacted(text) == expected


@repeatable
@given(
    st.lists(st.sampled_from(["<", ">", " ", "(", "to=", ",", '"', "a", "\n", "é"]), max_size=10).map("".join),
    st.text(alphabet="abcdefgh.+-_é", min_size=2, max_size=30).filter(lambda local: local.strip(".+-_")),
    st.sampled_from(["", " ", ">", ",x", ";", ")"]),
)
def test_a_local_part_does_not_survive(before: str, local: str, after: str) -> None:
    """Whatever stands around it, no more than the first character of a local part is left."""
    assert f"{local[1:]}@" not in redacted(f"{before}{local}@example.org{after}")


@pytest.mark.parametrize("hostile", ["@", "a@", '"', '"\\', "a", '"a@', "%40", "@é", '"@', "a@b "])
def test_the_work_is_linear(hostile: str) -> None:
    """A megabyte of the worst is masked at once; quadratic work would take hours and fail the suite's patience."""
    assert redacted(hostile * (1_000_000 // len(hostile)) + " jane@example.org").endswith(" j…@example.org")
    assert len(safe(hostile * 1_000_000)) <= 200
