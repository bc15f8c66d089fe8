"""Ids of messages: UUIDv7, sorted by time."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.mail.ids import RANDOM_OCTETS, is_id, message_id, new_id

OCTETS = st.binary(min_size=RANDOM_OCTETS, max_size=RANDOM_OCTETS)
TIMES = st.floats(0, 2**48 / 1000 - 1)


def test_the_example_of_the_rfc_comes_out() -> None:
    """RFC 9562, appendix A.6: 2022-02-22 14:22:22 -05:00, rand_a CC3, rand_b 18C4DC0C0C07398F."""
    random = (0xCC3 << 62 | 0x18C4DC0C0C07398F).to_bytes(RANDOM_OCTETS, "big")
    assert new_id(1645557742.000, random) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(TIMES, OCTETS)
def test_an_id_is_a_version_7_uuid_of_its_millisecond(now: float, random: bytes) -> None:
    """Version and variant as RFC 9562 §5.7 has them, the first 48 bits the time, and is_id knows its own."""
    text = new_id(now, random)
    parsed = uuid.UUID(text)
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == int(now * 1000)
    assert is_id(text)


@given(TIMES, TIMES, OCTETS, OCTETS)
def test_ids_sort_by_time(one: float, other: float, first: bytes, second: bytes) -> None:
    """As text too, so an index on them is one on the time of acceptance."""
    if int(one * 1000) < int(other * 1000):
        assert new_id(one, first) < new_id(other, second)


@given(OCTETS, st.integers(0, 73))
def test_each_bit_of_the_randomness_counts(random: bytes, bit: int) -> None:
    """74 bits of it are in the id, so two messages of one millisecond do not meet."""
    other = (int.from_bytes(random, "big") ^ 1 << bit).to_bytes(RANDOM_OCTETS, "big")
    assert new_id(1.0, random) != new_id(1.0, other)


@pytest.mark.parametrize("length", [0, RANDOM_OCTETS - 1, RANDOM_OCTETS + 1])
def test_too_little_randomness_is_refused(length: int) -> None:
    """A caller's mistake, told at once."""
    with pytest.raises(ValueError, match=f"need {RANDOM_OCTETS} octets of randomness, got {length}"):
        new_id(1.0, bytes(length))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398f\n",
        " 017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
        "017f22e279b07cc398c4dc0c0c07398f",
        "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}",
        "017f22e2-79b0-4cc3-98c4-dc0c0c07398f",
        "017f22e2-79b0-7cc3-c8c4-dc0c0c07398f",
        "\u066117f22e2-79b0-7cc3-98c4-dc0c0c07398f",
    ],
)
def test_what_is_no_id_of_ours_is_none(text: str) -> None:
    """Another length, spelling, version or variant: one message has one name."""
    assert not is_id(text)


@given(st.text())
def test_any_text_is_answered(text: str) -> None:
    """Yes or no, and yes only for what uuid reads as version 7."""
    assert not is_id(text) or uuid.UUID(text).version == 7


def test_the_message_id_is_the_id_at_the_senders_domain() -> None:
    """RFC 5322 §3.6.4: id-left and id-right, unique by our id."""
    assert message_id("017f22e2", "example.org") == "017f22e2@example.org"
