"""What is logged once, though it is found again and again: a trouble while it lasts, or each of several things.

Here it is only remembered what was logged; the event and its level are the caller's.
"""

import time
from collections.abc import Callable, Hashable
from mmap import mmap


class LogOnce:
    """A trouble that lasts: logged when it begins, and when it becomes another one."""

    def __init__(self) -> None:
        self._logged: str | None = None

    def is_new(self, trouble: str = "") -> bool:
        """Whether this is to be logged: there was no trouble just before, or another one.

        Args:
            trouble: what is wrong; without it, all that comes before `clear` is the same trouble.
        """
        is_new = trouble != self._logged
        self._logged = trouble
        return is_new

    def clear(self) -> bool:
        """The trouble is over, and is new when it comes again; returns whether there was one."""
        was_logged = self._logged is not None
        self._logged = None
        return was_logged


class LogOnceByAll:
    """One thing that is logged once by all the processes that are forked from the one that made this."""

    def __init__(self) -> None:
        self._is_logged = mmap(-1, 1)

    def is_new(self) -> bool:
        """Whether this is to be logged; where two processes ask at the very same moment, both may be told so."""
        is_new = self._is_logged[0] == 0
        self._is_logged[0] = 1
        return is_new


class LogOnceEach:
    """Things that are logged once each, as long as the process lives.

    Args:
        at_most: so many are logged, none after them; None where whoever sends them cannot make up more.
    """

    def __init__(self, at_most: int | None = None) -> None:
        self._at_most = at_most
        self._logged: set[Hashable] = set()

    def is_new(self, thing: Hashable) -> bool:
        """Whether this is to be logged: it was not yet, and there is room for it."""
        if thing in self._logged or (self._at_most is not None and len(self._logged) >= self._at_most):
            return False
        self._logged.add(thing)
        return True


class LogRarely:
    """Things that come again and again by somebody's doing, logged once each in a period.

    Args:
        at_most: so many different things are logged in a period, none after them.
    """

    def __init__(self, period_s: float, at_most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._period_s = period_s
        self._at_most = at_most
        self._clock = clock
        self._logged_at: dict[Hashable, float] = {}

    def is_new(self, thing: Hashable) -> bool:
        """Whether this is to be logged: it was not in this period, and there is room for it."""
        now = self._clock()
        if thing not in self._logged_at and len(self._logged_at) >= self._at_most:
            self._logged_at = {one: at for one, at in self._logged_at.items() if now - at < self._period_s}
            if len(self._logged_at) >= self._at_most:
                return False
        if now - self._logged_at.get(thing, -self._period_s) < self._period_s:
            return False
        self._logged_at[thing] = now
        return True
