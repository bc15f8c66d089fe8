"""The sender as a limit counts it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.limits.subject import counted_sender


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("anna@example.org", "anna@example.org"),
        ("anna@Bücher.Example", "anna@xn--bcher-kva.example"),
        ("anna+news@EXAMPLE.org", "anna@example.org"),
        ("anna+news+more@example.org", "anna@example.org"),
        ("list+jane=example.net@example.org", "list@example.org"),
        ("list-return-12-anna-maria=example.net@example.org", "list@example.org"),
        ("prvs=0123abcdef=anna@example.org", "anna@example.org"),
        ("prvs=0123abcdef=anna+x@example.org", "anna@example.org"),
        ("SRS0=Ht5k=7X=Example.NET=jane@forward.example.org", "jane@example.net"),
        ("srs0+Ht5k=7X=example.net=jane+x@forward.example.org", "jane@example.net"),
        ("SRS1=Qx9=other.example==Ht5k=7X=example.net=jane@forward.example.org", "jane@example.net"),
        ("SRS1-Qx9=other.example=-Ht5k=7X=example.net=jane@forward.example.org", "jane@example.net"),
    ],
)
def test_what_differs_from_message_to_message_is_left_out(address: str, counted: str) -> None:
    """Plus parts, VERP, BATV and SRS come to the one sender behind them."""
    assert counted_sender(address) == counted


@pytest.mark.parametrize("address", ["+news@example.org", "anna-maria@example.org", "a=b@example.org", "", "MAILER"])
def test_what_has_no_such_part_stays(address: str) -> None:
    """A hyphen alone marks nothing, and no sender becomes an empty one."""
    assert counted_sender(address) == address


@given(st.text(max_size=80) | st.from_regex(r"(?i)(srs[01]|prvs)[=+-][a-z=+@-]{0,40}", fullmatch=True))
def test_any_text_has_a_sender(text: str) -> None:
    """Whatever a client says: an answer, and never an empty one for a sender that is not empty."""
    assert bool(counted_sender(text)) == bool(text)
