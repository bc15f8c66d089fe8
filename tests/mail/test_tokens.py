"""Attempt tokens: ours, dated, in one spelling; all else is not ours."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.mail.tokens import DAY_S, KEY_OCTETS, NAME_OCTETS, mint, verify

KEY = bytes(range(KEY_OCTETS))
NOW = 1_800_000_000.0
NAME = b"\x00\x01\x02\x03\xfc\xfd\xfe\xff"
TOKEN = mint(KEY, NAME, NOW)

KEYS = st.binary(min_size=KEY_OCTETS, max_size=KEY_OCTETS)
NAMES = st.binary(min_size=NAME_OCTETS, max_size=NAME_OCTETS)
TIMES = st.floats(0, 1e10)


def test_the_form_never_changes() -> None:
    """Mail in flight bears it through upgrades; this one was made with openssl(1) and base32(1)."""
    assert TOKEN == "praaaqea747x7p6ulb2at2jy4mgu"


@given(KEYS, NAMES, TIMES)
def test_a_token_is_a_plain_local_part_that_verifies(key: bytes, name: bytes, now: float) -> None:
    """28 octets of letters and digits that no mail system quotes or changes (RFC 5321 §4.5.3.1.1: at most 64)."""
    token = mint(key, name, now)
    assert re.fullmatch(r"pr[a-z2-7]{26}", token)
    assert verify(key, token, now, max_age_days=0)


@given(NAMES, NAMES)
def test_each_name_has_its_own_token(one: bytes, other: bytes) -> None:
    """A token proves something of exactly one attempt."""
    assert (mint(KEY, one, NOW) == mint(KEY, other, NOW)) == (one == other)


@given(st.lists(st.booleans(), min_size=len(TOKEN), max_size=len(TOKEN)))
def test_any_mixture_of_cases_verifies(upper: list[bool]) -> None:
    """Mail systems may change the case of a local part."""
    token = "".join(char.upper() if up else char for char, up in zip(TOKEN, upper, strict=True))
    assert verify(KEY, token, NOW, max_age_days=0)


@given(KEYS)
def test_a_token_of_another_key_is_not_ours(key: bytes) -> None:
    """Another host's, or a forger's."""
    assert verify(key, TOKEN, NOW, max_age_days=30) == (key == KEY)


@pytest.mark.parametrize("place", range(len(TOKEN)))
def test_any_other_character_in_any_place_is_not_ours(place: int) -> None:
    """There is one spelling of a token: base32 has spare bits at its end, and lower() folds more than ASCII."""
    others = set("abcdefghijklmnopqrstuvwxyz0123456789=+-_. \u212a\u0131\u0000") - {TOKEN[place]}
    for other in others:
        assert not verify(KEY, TOKEN[:place] + other + TOKEN[place + 1 :], NOW, max_age_days=30)


def test_the_kelvin_sign_is_no_k() -> None:
    """U+212A in lower case is k: a second spelling, were it let through."""
    token = next(token for number in range(100) if "k" in (token := mint(KEY, number.to_bytes(NAME_OCTETS), NOW)))
    assert verify(KEY, token, NOW, max_age_days=0)
    assert not verify(KEY, token.replace("k", "\u212a"), NOW, max_age_days=0)


@pytest.mark.parametrize(
    "text",
    ["", "pr", TOKEN[:-1], TOKEN + "a", TOKEN + "\n", " " + TOKEN, TOKEN[2:], "xx" + TOKEN[2:], TOKEN[:-6] + "======"],
)
def test_what_has_not_the_form_is_not_ours(text: str) -> None:
    """Cut, lengthened, without its prefix."""
    assert not verify(KEY, text, NOW, max_age_days=30)


@given(st.one_of(st.text(), st.from_regex(r"pr[a-z2-7=]{26}", fullmatch=True)))
def test_any_text_is_answered(text: str) -> None:
    """Never an exception; and no guess is right."""
    assert not verify(KEY, text, NOW, max_age_days=30) or text.lower() == TOKEN


@pytest.mark.parametrize(
    ("days", "ours"), [(-3, False), (-2, False), (-1, True), (0, True), (1, True), (7, True), (8, False), (100, False)]
)
def test_a_token_is_good_for_so_many_days(days: int, ours: bool) -> None:
    """And one day before its own, for hosts whose clocks differ."""
    assert verify(KEY, TOKEN, NOW + days * DAY_S, max_age_days=7) is ours


@pytest.mark.parametrize("now", [0.0, (0x10000 * DAY_S) - 1.0, float(0x10000 * DAY_S)])
def test_days_are_counted_round(now: float) -> None:
    """Two octets hold 179 years of days; at the turn a token of yesterday is a day old, not 65535."""
    token = mint(KEY, NAME, now)
    assert verify(KEY, token, now + DAY_S, max_age_days=1)
    assert not verify(KEY, token, now + 2 * DAY_S, max_age_days=1)


@pytest.mark.parametrize("length", [0, NAME_OCTETS - 1, NAME_OCTETS + 1])
def test_a_name_of_another_length_is_refused(length: int) -> None:
    """A caller's mistake, told at once."""
    with pytest.raises(ValueError, match=f"has {NAME_OCTETS} octets, not {length}"):
        mint(KEY, bytes(length), NOW)
