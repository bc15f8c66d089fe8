"""Return addresses: ours are known, whatever else a stranger writes is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.mail.return_addresses import DAY_S, ReturnAddresses
from postroom.mail.tokens import NAME_OCTETS, mint

KEY = b"k" * 32
NOW = 1_800_000_000.0
TOKEN = mint(KEY, b"8 octets", NOW)
OURS = ReturnAddresses(KEY, ["bounces.example.org", "returns.example.com"], 30 * DAY_S)


def test_a_token_at_a_domain_of_ours_is_ours() -> None:
    """In either case, for as many days as it counts; at each domain alike."""
    for address in (f"{TOKEN}@bounces.example.org", f"{TOKEN.upper()}@Returns.EXAMPLE.com"):
        assert OURS.serve(address)
        for days in (-1, 0, 30):
            assert OURS.token(address, NOW + days * DAY_S) == TOKEN
        assert OURS.token(address, NOW + 31 * DAY_S) is None, "it is too old"
        assert OURS.exists(address, NOW)


@pytest.mark.parametrize(
    "local",
    ["", "postmaster", "jane", TOKEN[:-1], f"{TOKEN}a", f"x+{TOKEN}", f" {TOKEN}", mint(b"x" * 32, b"8 octets", NOW)],
)
def test_any_other_address_at_a_domain_of_ours_is_nobodys(local: str) -> None:
    """Nor with another key's signature, or behind a mailbox."""
    assert OURS.serve(f"{local}@bounces.example.org")
    assert not OURS.exists(f"{local}@bounces.example.org", NOW)


def test_an_address_elsewhere_is_not_served() -> None:
    """Neither below nor above our domains, nor without one."""
    for domain in ("example.org", "x.bounces.example.org", "bounces.example.org.", "", "bounces.example.organic"):
        address = f"{TOKEN}@{domain}"
        assert OURS.serve(address) == (domain == "bounces.example.org."), "a final dot is DNS's own spelling"
    assert OURS.token(TOKEN, NOW) is None
    assert OURS.token(f"{TOKEN}@example.org", NOW) is None


def test_the_address_for_complaints_is_taken_and_has_no_token() -> None:
    """It is registered with providers, so it is one word for all."""
    address = "Complaints@bounces.example.org"
    assert OURS.takes_complaints(address)
    assert OURS.exists(address, NOW)
    assert OURS.token(address, NOW) is None
    assert not OURS.exists("complaints@example.org", NOW)


def test_part_of_a_day_counts_as_a_day() -> None:
    """Tokens are dated by the day."""
    hour = ReturnAddresses(KEY, ["bounces.example.org"], 3_600.0)
    assert hour.token(f"{TOKEN}@bounces.example.org", NOW + DAY_S) == TOKEN
    assert hour.token(f"{TOKEN}@bounces.example.org", NOW + 2 * DAY_S) is None


@given(st.text(max_size=80), st.binary(min_size=NAME_OCTETS, max_size=NAME_OCTETS))
def test_nobody_makes_one_up(text: str, name: bytes) -> None:
    """Any text gives an answer, and no text but a token of our key a token."""
    for address in (text, f"{text}@bounces.example.org", f"{mint(b'x' * 32, name, NOW)}@bounces.example.org"):
        assert OURS.token(address, NOW) is None
    assert OURS.token(f"{mint(KEY, name, NOW)}@bounces.example.org", NOW) is not None
