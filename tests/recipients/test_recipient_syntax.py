"""Can a recipient be an address?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.recipients.syntax import fault


@pytest.mark.parametrize(
    "address",
    [
        "jane@example.net",
        "jane+x@bücher.example",
        "jane@xn--bcher-kva.example",
        "root@localhost",
        "postmaster",
        "Postmaster",
        "jürgen@example.net",
        "用户@example.net",
    ],
)
def test_what_postfix_serves_passes(address: str) -> None:
    """Names alone and UTF-8 local parts too: it is Postfix that completes and delivers them."""
    assert fault(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "",
        "@example.net",
        "jane@",
        "jane@@example.net",
        "jane@example..net",
        "jane doe@example.net",
        '"jane doe"@example.net',
        "jane@[192.0.2.1]",
        "jane@192.0.2.1",
        "-f@example.net",
        "a..b@example.net",
        "Jane <jane@example.net>",
        "<jane@example.net>",
        "x@example.net>",
        "a\u2028b@example.net",
        "\ufffd\x00@example.net",
        "é" * 33 + "@example.net",
        "a" * 65 + "@example.net",
        "@a.example,@b.example:jane@example.net",
    ],
)
def test_what_is_no_address_has_its_fault_told(address: str) -> None:
    """In words that do not repeat it."""
    told = fault(address)
    assert told
    assert "jane" not in told


@given(st.text(max_size=120) | st.emails())
def test_any_text_has_an_answer(text: str) -> None:
    """Whatever a client sends."""
    told = fault(text)
    assert told is None or told.isprintable()
