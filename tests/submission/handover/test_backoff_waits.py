"""backoff.py: waits double, stay within their bounds, and differ."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from postroom.submission.handover.backoff import wait_s

positive = st.floats(0.01, 1e6)


@given(st.integers(-5, 10**9), positive, positive, st.integers())
def test_a_wait_is_between_half_and_the_whole(failures: int, first_s: float, most_s: float, seed: int) -> None:
    """Never above the longest wait, never below half of what is due, however long it has gone on."""
    waited = wait_s(failures, first_s, most_s, Random(seed))
    whole = min(most_s, first_s * 2 ** min(40, max(0, failures - 1)))
    assert whole / 2 <= waited <= whole


def test_waits_double_until_the_longest() -> None:
    """10, 20, 40 … seconds, then no more than asked for."""

    class Most(Random):
        def random(self) -> float:
            return 1.0

    assert [wait_s(failures, 10, 100, Most()) for failures in (1, 2, 3, 4, 5, 6)] == [10, 20, 40, 80, 100, 100]


def test_waits_of_deliveries_refused_together_differ() -> None:
    """A hundred refused at once do not come back at once."""
    random = Random(1)
    assert len({wait_s(1, 10, 100, random) for _ in range(100)}) == 100
