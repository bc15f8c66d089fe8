"""Units as an operator writes them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.config import units
from postroom.config.units import NotInUnits, Rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/1h", Rate(100, 3_600)),
        ("1/1s", Rate(1, 1)),
        ("5/10m", Rate(5, 600)),
        ("1000/31d", Rate(1_000, 2_678_400)),
    ],
)
def test_rate_is_a_count_in_a_window(text: str, rate: Rate) -> None:
    """A rate is read into a count and seconds."""
    assert units.rate(text) == rate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "100",
        "100/",
        "/1h",
        "100/h",
        "100/hr",
        "100/1w",
        "100 / 1h",
        "100/1h30m",
        "-1/1h",
        "1.5/1h",
        "\u0661/1h",
        "1/1h\n",
    ],
)
def test_text_of_another_form_is_not_a_rate(text: str) -> None:
    """Only a whole number, a slash, a whole number and one of s, m, h, d is a rate; the error shows one."""
    with pytest.raises(NotInUnits) as refused:
        units.rate(text)
    assert str(refused.value) == f"{text!r} is not a rate; write for example 100/1h"


@pytest.mark.parametrize("text", ["0/1h", "100/0s", "100/32d", "100/2678401s"])
def test_rate_that_means_nothing_is_refused(text: str) -> None:
    """A count of none, no window, and a window of more than 31 days are out of range, also when built in code."""
    with pytest.raises(NotInUnits, match=r"is out of range: .* write for example 100/1h$"):
        units.rate(text)
    with pytest.raises(NotInUnits, match="count of at least 1"):
        Rate(0, 3_600)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30.0), ("5m", 300.0), ("1h30m", 5_400.0), ("5d", 432_000.0), ("1d2h3m4s", 93_784.0), ("90m", 5_400.0)],
)
def test_duration_is_read_into_seconds(text: str, seconds: float) -> None:
    """Units may be combined from the largest to the smallest."""
    assert units.duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "s", "30 s", "1.5h", "30m1h", "1h1h", "-5m", "5M", "500ms", "1w", "5m\n", "\u0663s"]
)
def test_text_of_another_form_is_not_a_duration(text: str) -> None:
    """A number without a unit is refused too: nobody can know whether seconds were meant."""
    with pytest.raises(NotInUnits) as refused:
        units.duration(text)
    assert str(refused.value) == f"{text!r} is not a duration; write for example 30s, 5m or 1h30m"


@pytest.mark.parametrize("text", ["0s", "0d0h", "3651d", "3650d1s", "999999999d"])
def test_duration_of_no_time_or_past_ten_years_is_refused(text: str) -> None:
    """Both are slips of the pen, and the latter would overflow clocks."""
    with pytest.raises(NotInUnits, match="write"):
        units.duration(text)


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("1", 1),
        ("10MB", 10_000_000),
        ("1kB", 1_000),
        ("2GB", 2_000_000_000),
        ("1KiB", 1_024),
        ("3MiB", 3_145_728),
        ("1GiB", 1_073_741_824),
    ],
)
def test_size_is_read_into_octets(text: str, octets: int) -> None:
    """kB, MB, GB count by 1000; KiB, MiB, GiB by 1024; bare numbers are octets."""
    assert units.size(text) == octets


@pytest.mark.parametrize("text", ["", "MB", "10 MB", "10mb", "10KB", "10M", "1.5MB", "-1", "0x10", "1e6", "10MB\n"])
def test_text_of_another_form_is_not_a_size(text: str) -> None:
    """Units have one spelling each, so that 10M is not taken for the wrong one of two."""
    with pytest.raises(NotInUnits) as refused:
        units.size(text)
    assert str(refused.value) == f"{text!r} is not a size; write for example 10MB"


def test_size_of_nothing_is_refused() -> None:
    """A limit of no octets would refuse everything."""
    with pytest.raises(NotInUnits, match="'0kB' is zero"):
        units.size("0kB")


def test_quoted_text_is_short_and_has_no_controls() -> None:
    """What an error repeats of the file can neither flood nor steer a terminal."""
    quoted = units.quoted("\x1b[2J\u202e" + "x" * 10_000)
    assert quoted.isprintable()
    assert len(quoted) < 80


@settings(derandomize=True)
@given(count=st.integers(1, 999_999_999), window_s=st.integers(1, units.LONGEST_WINDOW_S))
def test_rate_reads_back_as_written(count: int, window_s: int) -> None:
    """str() of a rate is its notation."""
    assert units.rate(str(Rate(count, window_s))) == Rate(count, window_s)


@settings(derandomize=True)
@given(seconds=st.integers(1, units.LONGEST_DURATION_S), octets=st.integers(1, 10**12 - 1))
def test_duration_and_size_read_back_as_written(seconds: int, octets: int) -> None:
    """The texts of the reference mean the numbers of the model."""
    assert units.duration(units.duration_text(seconds)) == seconds
    assert units.size(units.size_text(octets)) == octets


@settings(derandomize=True)
@given(text=st.text() | st.from_regex(r"[0-9]{1,12}[/.]?[0-9]{0,12}[smhdkMGBi]{0,3}", fullmatch=True))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text raises anything but NotInUnits."""
    for read in (units.rate, units.duration, units.size):
        try:
            read(text)
        except NotInUnits as refused:
            assert "write" in str(refused)  # noqa: PT017 (both outcomes are right)
