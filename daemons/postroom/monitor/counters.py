"""Counters of processes that come and go, as totals that only grow, and their growth in the last hour. Pure.

A sum over the living processes would fall when one of them ends, which Prometheus takes for a restart and counts
all that is left once more. So the growth of each process is added up here: a process that was not there before
begins at 0, and one whose counter fell starts over (another process with its id).

The first observation sets the totals to what the beats say, those of ended processes included as long as the
store keeps them (an hour): the monitor's own restart makes no step. When that growth happened is not known, so
it is none of the last hour.

BUGS: growth while the store was away counts in the minute in which it is back. What a process counted after its
      last beat, at most 5 s before its end, is lost.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping

from postroom.monitor.samples import Series, parse_samples
from postroom.store.shared.interface import Beat

HOUR_S = 3_600
MINUTE_S = 60

Process = tuple[str, str, int]


class CounterTotals:
    """The counters of one host."""

    def __init__(self) -> None:
        self._last: dict[Process, dict[Series, float]] = {}
        self._totals: Counter[Series] = Counter()
        self._minutes: deque[tuple[int, Counter[Series]]] = deque()
        self._since: float | None = None

    def observe(self, beats: Iterable[Beat], now: float) -> None:
        """Take all beats the store has, those of ended processes too.

        Args:
            now: seconds of a clock that never goes back.
        """
        grown: Counter[Series] = Counter()
        seen: dict[Process, dict[Series, float]] = {}
        for beat in beats:
            process = (beat.word, beat.host, beat.pid)
            counters = {
                one: value for one, value in parse_samples(beat.samples).items() if one.is_counter and value >= 0
            }
            before = self._last.get(process, {})
            for one, value in counters.items():
                last = before.get(one, 0.0)
                grown[one] += value - last if value >= last else value  # type: ignore[assignment]  # Counter of floats
            seen[process] = counters
        self._last = seen
        self._totals.update(grown)
        if self._since is None:
            self._since = now
        else:
            self._minute(now).update(grown)

    def totals(self) -> Mapping[Series, float]:
        """All counters as they stand."""
        return dict(self._totals)

    def last_hour(self, now: float) -> Mapping[str, float]:
        """What each name grew by in the last 60 minutes, the present one included; labels are summed."""
        grown: Counter[str] = Counter()
        for minute, counts in self._minutes:
            if minute > now // MINUTE_S - HOUR_S // MINUTE_S:
                for one, count in counts.items():
                    grown[one.name] += count
        return grown

    def watched_s(self, now: float) -> float:
        """For how many seconds growth has been seen: an hour at most, 0 before the first observation."""
        return 0.0 if self._since is None else min(float(HOUR_S), now - self._since)

    def _minute(self, now: float) -> Counter[Series]:
        minute = int(now // MINUTE_S)
        if not self._minutes or self._minutes[-1][0] != minute:
            self._minutes.append((minute, Counter()))
        while self._minutes[0][0] <= minute - HOUR_S // MINUTE_S:
            self._minutes.popleft()
        return self._minutes[-1][1]
