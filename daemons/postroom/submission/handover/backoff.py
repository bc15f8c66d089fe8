"""How long to wait before the next try: exponential with full jitter above half. Pure.

Half of the wait is fixed and half is random, so that many deliveries refused
at once do not come back at once, and none comes back at once.
"""

from random import Random


def wait_s(failures: int, first_s: float, most_s: float, random: Random) -> float:
    """Seconds to wait after so many failures (1 or more): doubles from `first_s` up to `most_s`."""
    # The exponent is bounded, or a year of failures would overflow the float.
    whole = min(most_s, first_s * 2.0 ** min(max(failures, 1) - 1, 40))
    return whole / 2 + random.random() * whole / 2
