"""What all daemons of a host count together: the limits of mail, whatever engine keeps them.

Values and protocols; tests/store/limits/ holds each engine to them. Each operation is one
transaction (or one script), safe to repeat, and raises StoreUnavailable when the store
cannot answer. A caller whose time ends first cancels (`asyncio.timeout`); a cancelled take
that waits is not carried out, one that is being committed at that moment may be.

Meaning of a limit: a `Demand` asks for `cost` units of `limit` per `window_s`. In no
span of `window_s` seconds are more than `limit` units taken; a unit may come free up to
1/60 of the window late. `burst` bounds in addition how many at once; window.py tells how.

Time:  Unix seconds, counted in whole milliseconds. `now=None` is the store's own clock,
       which no step of the system's clock moves; tests pass `now`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

Door = Literal["socket", "smtp", "sendmail"]

LARGEST_EXACT = 2**53
"""Whole numbers up to here are exact in a double too: a Redis script (Lua) counts as we do."""

TAKE_KEPT_S = 86_400
"""An allowed take is kept at least so long, to be answered again when the same instance asks."""

NOTE_KEPT_S = 600
"""A noted recipient is forgotten after so long: by then smtpd has given the session up (smtpd_timeout, 300 s)."""

WAIT_KEPT_S = 21_600
"""Mail that waits is forgotten when Postfix has not brought it again for so long (maximal_backoff_time, 4000s)."""

LOG_CLOCK_SLACK_S = 0.5
"""How far the time of a log line may lie from the store's. Postfix cannot use a queue id again within a second: the
microsecond of its making is part of it."""

HELD_KEPT_S = 90 * 86_400
"""Mail that is held for a limit and was never released is forgotten after so long; Postfix keeps it."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one rule wants to count for one message.

    Args:
        rule:     the rule's stable name, shown in refusals and logs.
        key:      who is counted, as `kind:value`; kept as given (the caller hashes what is private).
        cost:     units: messages, recipients or octets; at least 1.
        limit:    units allowed in any span of the window; 0 allows nothing.
        window_s: length of the window in seconds.
        burst:    units allowed at once, or None for no bound but the limit.

    Rule, key and window name one counter. A rule whose window is changed starts a new one;
    a changed limit or burst goes on with the counts there are.

    Raises:
        ValueError: a number out of range.
    """

    rule: str
    key: str
    cost: int
    limit: int
    window_s: int
    burst: int | None = None

    def __post_init__(self) -> None:
        if self.cost < 1 or self.limit < 0 or self.window_s < 1 or (self.burst is not None and self.burst < 1):
            raise ValueError(f"rule {self.rule}: cost, window_s and burst must be at least 1, limit at least 0")
        if max(self.cost, self.limit, (self.burst or 0) * self.window_s * 1000) > LARGEST_EXACT:
            raise ValueError(
                f"rule {self.rule}: cost, limit and burst * window_s * 1000 must not exceed 2**53; "
                "mend: a smaller burst or a shorter window"
            )


class Usage(NamedTuple):
    """How one counter stands. A tuple, for each take makes some, and keeps them as they are.

    Args:
        used:      units that count at this moment; after a lowered limit it may exceed `limit`.
        remaining: units that could be taken now, window and burst together.
        reset_s:   seconds until nothing counts any more, if nothing else is taken; 0 when nothing does.
    """

    rule: str
    key: str
    used: int
    limit: int
    window_s: int
    remaining: int
    reset_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to a take.

    Args:
        allowed:       all demands were taken; else none was.
        rule, key:     of the demand that refused (of several, the one that takes longest to fit); else None.
        retry_after_s: seconds until that demand would fit if nothing else is taken; 0 when allowed or never.
        never_fits:    the demand is larger than the limit or the burst: waiting does not help.
        usages:        one for each demand, in order: after an allowed take, or as it stands at a refusal.
    """

    allowed: bool
    rule: str | None
    key: str | None
    retry_after_s: float
    never_fits: bool
    usages: tuple[Usage, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """How mail with a queue id came to have it: it was taken, or it was held and not taken.

    Args:
        instance, owner: of held mail, as `Waiting.wait` was given them.
    """

    outcome: Literal["taken", "held"]
    instance: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class WaitingCount:
    """How many messages wait for room under one key, and how many are held; `since` in Unix seconds."""

    key: str
    rule: str
    waiting: int
    held: int
    since: float


@dataclass(frozen=True, slots=True)
class HeldMail:
    """One message that is held, by Postfix's queue id; `at` in Unix seconds."""

    queue_id: str
    key: str
    rule: str
    at: float


class Takes(Protocol):
    """The counters of the limits, and the takes that were allowed."""

    async def take(
        self,
        instance: str,
        door: Door,
        demands: Sequence[Demand],
        queue_id: str | None = None,
        now: float | None = None,
    ) -> Verdict:
        """Take all demands of one message, or none.

        One atomic step over all windows: two processes cannot both take the last slot.
        An allowed take is kept with its instance for TAKE_KEPT_S: asked again, the store
        gives the first verdict again and counts nothing. A refusal counts nothing and is
        not kept: asked again it is decided anew, and a flood of refused mail writes nothing.
        A message that waited (`Waiting`) waits no more once its take is allowed.

        Args:
            instance: Postfix's id of the delivery attempt, or ours; `door` keeps the two apart.
            demands:  at most one for each counter (rule, key, window).
            queue_id: Postfix's queue id where the door knows it; kept with the take.
            now:      Unix seconds; for a counter time does not go back behind its last take.

        Raises:
            StoreUnavailable: no answer in the store's time; nothing is known about the take, ask again.
            ValueError:       two demands for one counter.
        Source: Postfix SMTPD_POLICY_README, "Protocol description" (instance).
        """

    async def give_back(self, queue_id: str, began_at: float, ended_at: float, now: float | None = None) -> bool:
        """Undo the take of a mail that was not queued, so that it has cost nothing; return whether there was one.

        Each counter loses what that take put into it and what still counts: the units of its slot, and of the
        burst bucket what cannot have drained since. A counter that was reset meanwhile, or is made anew, loses
        nothing. The take is forgotten: repeated, this changes nothing, and the same instance is decided anew.

        Args:
            queue_id: under which it was taken. Postfix uses queue ids again, so the time tells whose it is.
            began_at, ended_at: it was taken between these, give or take LOG_CLOCK_SLACK_S; Unix seconds of the
                      system's clock, as Postfix's log has them. With `now`, of the clock `now` is of.
        """

    async def peek(self, demands: Sequence[Demand], now: float | None = None) -> tuple[Usage, ...]:
        """How the counters of these demands stand, in order; counts nothing, `cost` does not matter."""

    async def reset(self, key: str) -> int:
        """Forget the counters of this key, of all rules and windows; return how many there were."""


class Notes(Protocol):
    """The recipients of messages that are not counted yet, noted one by one."""

    async def note(self, instance: str, door: Door, recipient_hash: str, domain: str, now: float | None = None) -> None:
        """Note a recipient of the message `instance`; noted again, it is one note. Kept for NOTE_KEPT_S."""

    async def noted(self, instance: str, door: Door, now: float | None = None) -> Mapping[str, str]:
        """The recipients noted for this message: hash -> domain."""


class Waiting(Protocol):
    """Mail that waits for room under a limit, and mail that is held instead."""

    async def wait(
        self, instance: str, door: Door, rule: str, key: str, owner: str, at_most: int, now: float | None = None
    ) -> int:
        """Note that a refused message waits for room under this key, until its take is allowed.

        Args:
            owner: whose it is; `passage` gives it back.

        Returns:
            How many others wait there; those past `at_most` are not looked for.
        """

    async def hold(self, instance: str, door: Door, queue_id: str, now: float | None = None) -> None:
        """Note that a message that waited is held under this queue id instead."""

    async def passage(self, queue_id: str) -> Passage | None:
        """How the mail with this queue id passed its door; None when that is not known (any more)."""

    async def counts(self, now: float | None = None) -> list[WaitingCount]:
        """How many wait and are held, ordered by key and rule."""

    async def held(self, key: str | None) -> list[HeldMail]:
        """What is held under this key, or under all; the oldest first."""

    async def released(self, queue_ids: Sequence[str]) -> int:
        """Note that these are held no more; return how many were."""


def counter_ids(demands: Sequence[Demand]) -> list[tuple[str, str, int]]:
    """The counter (key, rule, window_s) of each demand.

    Raises:
        ValueError: two demands for one counter; the caller adds up their costs instead.
    """
    ids = [(demand.key, demand.rule, demand.window_s) for demand in demands]
    if len(set(ids)) != len(ids):
        # The key stays out of the message: it may be an address.
        raise ValueError(f"two demands for one counter among the rules {', '.join(sorted(i[1] for i in ids))}")
    return ids
