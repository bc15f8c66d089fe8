"""The limits of the sendmail door, decided with a real store: once for each mail, however often Postfix brings it."""

import asyncio
import os
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from postroom.limits.fallback import LocalLimiter
from postroom.limits.limiter import LIMITS_LOST, Limiter
from postroom.limits.rules import LimitRule
from postroom.milter.door_limits import DoorDecision, DoorLimits, DoorMail
from postroom.milter.origin import Origin
from postroom.recipients.resolver import RecipientResolver
from postroom.runtime.circuit_breaker import CircuitBreaker
from postroom.runtime.log import open_log
from postroom.store.sqlite_store import init_sqlite_store, open_sqlite_store

T = TypeVar("T")
PER_UID = LimitRule("per-uid", "uid", 2, 3600)


class Door:
    """The limits of the door, on a store of its own."""

    def __init__(self, folder: Path, *rules: LimitRule, hold_above: int | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        if not folder.exists():
            init_sqlite_store(folder)
        self.folder, self.store = folder, open_sqlite_store(folder)
        breaker = CircuitBreaker("limits", LIMITS_LOST, open_log("milter", "error", "stderr"), retry_s=0)
        limiter = Limiter(self.store.takes, rules, LocalLimiter(lambda: 0.0), breaker, 1.0)
        self._limits = DoorLimits(
            self.store.waiting,
            self.store.takes,
            limiter,
            breaker,
            1.0,
            resolver=RecipientResolver(bytes(32), None),
            key=bytes(32),
            hostname="mail.example.org",
            hold_above=hold_above,
            clock=lambda: 0.0,
        )

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(coroutine)

    def bring(
        self,
        first: str | None,
        queue_id: str = "5B",
        uid: int | None = 33,
        passed_as: str | None = None,
        recipients: tuple[str, ...] = ("b@example.net",),
        sender: str = "a@example.org",
        is_signed: bool = False,
    ) -> DoorDecision:
        origin = Origin(uid, first, passed_as, passed_as is not None)
        return self.run(self._limits.decide(DoorMail(origin, queue_id, sender, recipients, is_signed)))

    def close(self) -> None:
        self.run(self.store.close())
        self._loop.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shared"


@pytest.fixture
def door(folder: Path) -> Iterator[Door]:
    made = Door(folder, PER_UID)
    yield made
    made.close()


def test_each_user_has_a_limit_of_its_own(door: Door) -> None:
    """The third mail of one waits with rule, key and time in its text; another user's passes, and root's is counted."""
    assert [door.bring(f"4X{number} d").what for number in range(2)] == ["pass", "pass"]
    third = door.bring("4X2 d")
    assert (third.what, third.uid, third.rule) == ("wait", "33", "per-uid")
    assert third.text.startswith("Over the limit per-uid for uid:33, not before 1970-01-01 0")
    assert [door.bring(f"4Y{number} d", uid=0).what for number in range(3)] == ["pass", "pass", "wait"]


def test_a_mail_is_counted_once_however_often_it_comes(door: Door) -> None:
    """After a lost answer Postfix brings it under a new queue id; the first one and its date name it."""
    for number in range(5):
        assert door.bring("4X1 d", f"5B{number}").what == "pass"
    assert door.bring("4X1 another date").what == "pass"
    assert door.bring("4X2 d").what == "wait"


def test_a_mail_of_many_pieces_is_counted_by_the_piece(door: Door) -> None:
    """Past Postfix's limit of recipients a mail comes in pieces; in whatever order a piece is named, it is one."""
    one, two = ("a@example.net", "b@example.net"), ("c@example.net",)
    assert [door.bring("4X1 d", recipients=to).what for to in (one, one[::-1], two, two)] == ["pass"] * 4
    assert door.bring("4X1 d", recipients=("d@example.net",)).what == "wait"


def test_the_user_is_limited_whatever_sender_it_names(door: Door) -> None:
    """Also as the null sender."""
    outcomes = [door.bring(f"4X{at} d", sender=sender).what for at, sender in enumerate(("", "x@y.example", ""))]
    assert outcomes == ["pass", "pass", "wait"]


def test_unknown_users_share_one_strict_key(door: Door) -> None:
    """It is neither root nor exempt."""
    outcomes = [door.bring(None, f"5B{at}", uid=None) for at in range(2)]
    assert [(outcome.what, outcome.uid) for outcome in outcomes] == [("pass", "unknown"), ("wait", "unknown")]


def test_unknown_users_have_the_rate_that_is_set_for_them(folder: Path) -> None:
    """More than a tenth, where the operator knows what comes without a user."""
    door = Door(folder, LimitRule("per-uid", "uid", 2, 3600, unknown=(3, 60)))
    assert [door.bring(None, f"5B{at}", uid=None).what for at in range(4)] == ["pass"] * 3 + ["wait"]
    assert [door.bring(f"4X{at} d").what for at in range(3)] == ["pass"] * 2 + ["wait"]
    door.close()


def test_all_windows_are_taken_in_one_step(folder: Path) -> None:
    """Refused by its recipient's domain it costs its user nothing; what never fits is refused for good."""
    door = Door(
        folder,
        PER_UID,
        LimitRule("domain", "recipient_domain", 1, 3600),
        LimitRule("many", "uid", 3, 60, None, "local", "recipients"),
    )
    assert door.bring("4X1 d").what == "pass"
    assert door.bring("4X2 d").rule == "domain"
    assert door.bring("4X3 d", recipients=("c@example.com",)).what == "pass"
    many = door.bring("4X4 d", uid=34, recipients=tuple(f"{at}@d{at}.example" for at in range(4)))
    assert (many.what, many.text) == ("refuse", "More recipients than the limit many allows at once")
    door.close()


def test_a_requeued_mail_that_was_taken_is_not_counted_again(door: Door) -> None:
    """Its queue id is known, or a signature of ours holds; else nothing below smtpd's field is believed."""
    assert door.bring("4X1 d", "5B1").what == "pass"
    for _ in range(3):
        assert door.bring(None, "5B2", uid=None, passed_as="5B1").what == "pass"
        assert door.bring(None, "5B3", uid=None, passed_as="other", is_signed=True).what == "pass"
    stranger = door.bring(None, "5B4", uid=None, passed_as="other")
    assert (stranger.what, stranger.uid) == ("pass", "unknown")
    assert door.bring("4X2 d").what == "pass"  # the second of two: none of all that was counted to this user
    assert door.bring("4X3 d").what == "wait"


def test_past_hold_above_mail_is_held_and_counted_when_it_comes_back(folder: Path) -> None:
    """Two wait, the third is held; requeued it is the same mail, not yet counted, signature or not."""
    door = Door(folder, PER_UID, hold_above=2)
    outcomes = [door.bring(f"4X{at} d", f"5B{at}").what for at in range(6)]
    assert outcomes == ["pass", "pass", "wait", "wait", "hold", "hold"]
    assert door.bring("4X2 d", "5C2").what == "wait"  # who waits goes on waiting
    assert door.run(door.store.waiting.counts())[0].held == 2
    again = door.bring(None, "5C4", None, "5B4", ("expanded@example.net",), is_signed=True)
    assert (again.what, again.uid) == ("hold", "33")
    assert [mail.queue_id for mail in door.run(door.store.waiting.held("uid:33"))] == ["5B5", "5C4"]
    door.run(door.store.takes.reset("uid:33"))
    assert door.bring(None, "5D4", None, "5C4", is_signed=True).what == "pass"
    assert [mail.queue_id for mail in door.run(door.store.waiting.held("uid:33"))] == ["5B5"]
    door.close()


@pytest.mark.parametrize(
    ("on_loss", "outcomes"),
    [("local", ["pass", "pass", "wait"]), ("allow", ["pass"] * 3), ("defer", ["wait"] * 3)],
)
def test_without_the_store_each_rule_says_what_then(folder: Path, on_loss: Any, outcomes: list[str]) -> None:
    """Counted in the process, let through, or deferred; nothing is held, for nobody knows who waits."""
    door = Door(folder, LimitRule("per-uid", "uid", 2, 3600, None, on_loss), hold_above=1)
    os.rename(folder / "limits.db", folder / "away.db")
    found = [door.bring(f"4X{at} d", f"5B{at}") for at in range(3)]
    assert [outcome.what for outcome in found] == outcomes
    assert {outcome.by for outcome in found} == {"process"}
    door.close()


def test_several_processes_never_let_through_more(folder: Path) -> None:
    """Two on one store, the same mails at both: a mail is counted once, whichever is asked."""
    doors = [Door(folder, LimitRule("per-uid", "uid", 10, 3600)), Door(folder, LimitRule("per-uid", "uid", 10, 3600))]
    outcomes = {f"4X{at}": {door.bring(f"4X{at} d").what for door in doors} for at in range(15)}
    assert sorted(map(tuple, outcomes.values())) == [("pass",)] * 10 + [("wait",)] * 5
    (count,) = doors[0].run(doors[0].store.waiting.counts())
    assert (count.key, count.waiting, count.held) == ("uid:33", 5, 0)
    for door in doors:
        door.close()
