"""The arithmetic of limits: what counts, what fits, and when it will. No clock, no SQL, no I/O.

It lies in the store, below the room `limits`, because the engines decide with it.

Window:  time is cut into slots of window/60. A take counts in its slot, and a slot counts
         while it is the present one or one of the 60 before it: 61 slots always cover the
         last `window_s` seconds whole, so the limit is never exceeded in any span of that
         length, and a unit comes free at most one slot (window/60) late.
Burst:   a bucket that holds `burst` units and drains evenly, `limit` units in `window_s`
         (the leaky bucket of nginx's limit_req and rspamd's ratelimit). A take must fit into the
         bucket whole. "100/1h, burst 20" lets 20 through at once and then one every 36 s,
         and the window still holds: 100 in any hour.
Numbers: whole milliseconds and whole units. The bucket's level is kept in units times
         the window's milliseconds, so that draining divides nothing: all of it is exact.
Time:    a counter's time does not go back: an earlier `now` counts as the last take's.
Source:  P3 in ARCHITECTURE.md, "Promises"; nginx ngx_http_limit_req_module, "burst".
"""

from collections.abc import Sequence
from typing import NamedTuple

from postroom.store.limits.interface import Demand, Usage, Verdict

SLOTS = 60
"""Slots in a window; the present one comes on top."""


class Counter(NamedTuple):
    """The past of one rule and key, as far as it still counts.

    Args:
        at_ms: time of the last take, or the later moment it was aged to.
        level: fill of the burst bucket at `at_ms`, in units times window milliseconds.
        slots: (slot number, units), oldest first.
    """

    at_ms: int
    level: int
    slots: tuple[tuple[int, int], ...]


EMPTY = Counter(0, 0, ())


class Taken(NamedTuple):
    """What one take has put into one counter.

    Args:
        units:     in the slot of `at_ms`.
        in_bucket: units in the burst bucket: the same, or 0 where the rule had no burst.
        at_ms:     the counter's time then.
    """

    units: int
    in_bucket: int
    at_ms: int


def decide(demands: Sequence[Demand], counters: Sequence[Counter], now_ms: int) -> tuple[Verdict, list[Counter]]:
    """Decide a take of all demands or none.

    Args:
        counters: one for each demand, EMPTY where there is none yet.

    Returns:
        The verdict, and the counters as they stand afterwards, aged to now.
    """
    present = [aged(counter, demand, now_ms) for demand, counter in zip(demands, counters, strict=True)]
    refusing, fits_at_ms = None, now_ms
    for demand, counter in zip(demands, present, strict=True):
        if never_fits(demand):
            return _refusal(demand, 0, demands, present, now_ms, never=True), present
        at_ms = fits_at(demand, counter)
        if at_ms > counter.at_ms and at_ms > fits_at_ms:
            refusing, fits_at_ms = demand, at_ms
    if refusing is not None:
        return _refusal(refusing, fits_at_ms - now_ms, demands, present, now_ms), present
    after = [taken(counter, demand) for demand, counter in zip(demands, present, strict=True)]
    return Verdict(True, None, None, 0.0, False, _usages(demands, after, now_ms)), after


def never_fits(demand: Demand) -> bool:
    """Whether the demand is larger than its limit or burst: no waiting helps."""
    return demand.cost > demand.limit or (demand.burst is not None and demand.cost > demand.burst)


def aged(counter: Counter, demand: Demand, now_ms: int) -> Counter:
    """The counter at this moment: slots that no longer count are gone, the bucket has drained."""
    at_ms = max(now_ms, counter.at_ms)
    oldest = _slot(at_ms, demand) - SLOTS
    slots = counter.slots
    if slots and slots[0][0] < oldest:
        slots = tuple(slot for slot in slots if slot[0] >= oldest)
    level = max(0, counter.level - (at_ms - counter.at_ms) * demand.limit)
    return Counter(at_ms, level, slots)


def fits_at(demand: Demand, counter: Counter) -> int:
    """The moment in ms from which the demand fits into the aged counter; not after `at_ms` if it fits at once.

    The demand must not be one that never fits.
    """
    at_ms = counter.at_ms
    over = _used(counter) + demand.cost - demand.limit
    for slot, units in counter.slots:
        if over <= 0:
            break
        over -= units
        at_ms = _free_at(slot, demand)
    if demand.burst is not None:
        overflow = counter.level - (demand.burst - demand.cost) * demand.window_s * 1000
        at_ms = max(at_ms, counter.at_ms + _ceil(overflow, demand.limit))
    return at_ms


def taken(counter: Counter, demand: Demand) -> Counter:
    """The aged counter with the demand in it."""
    slot = _slot(counter.at_ms, demand)
    if counter.slots and counter.slots[-1][0] == slot:
        slots = (*counter.slots[:-1], (slot, counter.slots[-1][1] + demand.cost))
    else:
        slots = (*counter.slots, (slot, demand.cost))
    # Without a burst the bucket stays empty, so that one set later starts fair.
    level = 0 if demand.burst is None else counter.level + demand.cost * demand.window_s * 1000
    return Counter(counter.at_ms, level, slots)


def given_back(counter: Counter, part: Taken, limit: int, window_s: int) -> Counter:
    """The counter without what this take put into it, as far as it still counts there.

    All that has drained since may have been of this take, so the bucket loses no more than what was left then: with
    other takes in between it may stay a little fuller than it would be, never emptier.

    Args:
        limit, window_s: of the rule, when it was taken.
    """
    window_ms = window_s * 1000
    at_slot = part.at_ms * SLOTS // window_ms
    slots = tuple(
        (slot, units - part.units if slot == at_slot else units)
        for slot, units in counter.slots
        if slot != at_slot or units > part.units
    )
    left = max(0, part.in_bucket * window_ms - (counter.at_ms - part.at_ms) * limit)
    return Counter(counter.at_ms, max(0, counter.level - left), slots)


def usage(demand: Demand, counter: Counter, now_ms: int) -> Usage:
    """How the aged counter stands, for a reader whose time is now."""
    used = _used(counter)
    remaining = demand.limit - used
    if demand.burst is not None:
        remaining = min(remaining, demand.burst - _ceil(counter.level, demand.window_s * 1000))
    reset_s = max(0, empty_at(demand, counter) - now_ms) / 1000
    return Usage(
        rule=demand.rule,
        key=demand.key,
        used=used,
        limit=demand.limit,
        window_s=demand.window_s,
        remaining=max(0, remaining),
        reset_s=reset_s,
    )


def empty_at(demand: Demand, counter: Counter) -> int:
    """The moment in ms from which the aged counter is as good as EMPTY; 0 when it is."""
    at_ms = _free_at(counter.slots[-1][0], demand) if counter.slots else 0
    if demand.burst is not None and demand.limit and counter.level:
        at_ms = max(at_ms, counter.at_ms + _ceil(counter.level, demand.limit))
    return at_ms


def stricter(one: Counter, other: Counter) -> Counter:
    """The mildest counter that refuses all that either of the two would; both aged to the same moment.

    At each later moment the younger slots still count and the older do not, so what has to be no
    lower than either is not each slot but each sum from a slot to the newest.
    """
    units, others = dict(one.slots), dict(other.slots)
    slots: list[tuple[int, int]] = []
    total = other_total = highest = 0
    for slot in sorted(units | others, reverse=True):
        total += units.get(slot, 0)
        other_total += others.get(slot, 0)
        above = max(total, other_total) - highest
        if above:
            slots.append((slot, above))
            highest += above
    return Counter(one.at_ms, max(one.level, other.level), tuple(reversed(slots)))


def _slot(at_ms: int, demand: Demand) -> int:
    return at_ms * SLOTS // (demand.window_s * 1000)


def _free_at(slot: int, demand: Demand) -> int:
    """The first millisecond at which the slot no longer counts."""
    return _ceil((slot + SLOTS + 1) * demand.window_s * 1000, SLOTS)


def _used(counter: Counter) -> int:
    return sum([units for _, units in counter.slots])


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


def _usages(demands: Sequence[Demand], counters: Sequence[Counter], now_ms: int) -> tuple[Usage, ...]:
    return tuple([usage(demand, counter, now_ms) for demand, counter in zip(demands, counters, strict=True)])


def _refusal(
    refusing: Demand, wait_ms: int, demands: Sequence[Demand], present: list[Counter], now_ms: int, never: bool = False
) -> Verdict:
    return Verdict(False, refusing.rule, refusing.key, wait_ms / 1000, never, _usages(demands, present, now_ms))
