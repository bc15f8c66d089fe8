"""When a child is started, killed and started again: decided here, done by main.py.

    waiting ─► starting ─READY=1─► serving ─┬ no WATCHDOG=1 in time: killed
       ▲                                    └ asked to end: ending ─► gone
       └──── after a pause ◄──── dead

Asked to end, the children end one after the other, the last in the list first;
each is asked when the one behind it has ended. A child that cannot start as it is
configured (exit 78) would not be mended by a restart: all end, and so do we.

Pure: every call brings the time and gives what is to be done.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from signal import Signals
from typing import Literal

START_S = 90.0
"""How long a child may take to say READY=1, as systemd's default has it (DefaultTimeoutStartSec=)."""
LIVED_S = 60.0
"""A child that lived so long did not die of its start."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class StartChild:
    """A child is to be started."""

    word: str


@dataclass(frozen=True, slots=True)
class SendSignal:
    """Send it a signal; `why` is set where it is killed."""

    word: str
    number: Signals
    why: str | None = None


@dataclass(frozen=True, slots=True)
class AllReady:
    """All children have said READY=1, so that `postroom serve` may say so too."""


@dataclass(frozen=True, slots=True)
class ChildLost:
    """A child died and is started again in so many seconds."""

    word: str
    exit_code: int
    restart_in_s: float


Action = StartChild | SendSignal | AllReady | ChildLost


@dataclass
class _Child:
    word: str
    phase: Literal["waiting", "starting", "serving", "ending", "killed", "gone"] = "waiting"
    deadline: float = NEVER
    """When the phase has lasted too long; for `waiting`, when it ends."""
    born: float = 0.0
    early_deaths: int = 0
    hang_up_when_ready: bool = False


class Supervision:
    """The state of all children.

    Args:
        words:      of the daemons, in the order of their start.
        watchdog_s: a child that has not said WATCHDOG=1 for so long hangs.
        drain_s:    how long all of them together may take to end.
        refusal:    the exit code of a child that cannot start as it is configured (EX_CONFIG, 78).
    """

    def __init__(self, words: Sequence[str], watchdog_s: float, drain_s: float, refusal: int) -> None:
        self._children = {word: _Child(word) for word in words}
        self._watchdog_s = watchdog_s
        self._drain_s = drain_s
        self._refusal = refusal
        self._kill_at = NEVER
        self.is_stopping = False
        self.refused: str | None = None
        """The child whose refusal to start ended us."""

    @property
    def has_ended(self) -> bool:
        return self.is_stopping and all(child.phase == "gone" for child in self._children.values())

    @property
    def next_moment(self) -> float:
        """When `passed` is to be called at the latest, if nothing else happens."""
        return min([self._kill_at, *(child.deadline for child in self._children.values())])

    def begin(self, now: float) -> list[Action]:
        """Start all children, in their order."""
        return [self._start(child, now) for child in self._children.values()]

    def said(self, word: str, lines: Iterable[str], now: float) -> list[Action]:
        """A child told us something (sd_notify(3))."""
        child, actions = self._children[word], list[Action]()
        for line in lines:
            match line, child.phase:
                case "READY=1", "starting":
                    child.phase, child.deadline = "serving", now + self._watchdog_s
                    if child.hang_up_when_ready:
                        child.hang_up_when_ready = False
                        actions.append(SendSignal(word, Signals.SIGHUP))
                    if all(one.phase == "serving" for one in self._children.values()):
                        actions.append(AllReady())
                case "WATCHDOG=1", "serving":
                    child.deadline = now + self._watchdog_s
                case "STOPPING=1", "serving":
                    # Somebody asked the child itself; it is started again when it has ended.
                    child.phase, child.deadline = "ending", now + self._drain_s
        return actions

    def died(self, word: str, exit_code: int, now: float) -> list[Action]:
        """A child has ended; `exit_code` is negative for a signal."""
        child = self._children[word]
        child.deadline = NEVER
        if exit_code == self._refusal and not self.is_stopping:
            self.refused, child.phase = word, "gone"
            return self.stop(now)
        if self.is_stopping:
            child.phase = "gone"
            return self._ask_next()
        if now - child.born >= LIVED_S:
            child.early_deaths = 0
        pause_s = min(FIRST_PAUSE_S * 2.0 ** min(child.early_deaths, 20), LONGEST_PAUSE_S)
        child.early_deaths += 1
        child.phase, child.deadline = "waiting", now + pause_s
        return [ChildLost(word, exit_code, pause_s)]

    def hang_up(self) -> list[Action]:
        """Let all children reload. One that is starting is told when it is ready: before, SIGHUP would end it."""
        for child in self._children.values():
            child.hang_up_when_ready = child.phase == "starting"
        return [SendSignal(one.word, Signals.SIGHUP) for one in self._children.values() if one.phase == "serving"]

    def stop(self, now: float) -> list[Action]:
        """Let all children end in their order; asked again, at once."""
        if self.is_stopping:
            return self._kill(self._children.values(), "asked a second time")
        self.is_stopping, self._kill_at = True, now + self._drain_s
        for child in self._children.values():
            if child.phase == "waiting":
                child.phase, child.deadline = "gone", NEVER
        return self._ask_next()

    def passed(self, now: float) -> list[Action]:
        """Time has passed: start what is due, kill what hangs."""
        actions = list[Action]()
        for child in self._children.values():
            if now < child.deadline:
                continue
            match child.phase:
                case "waiting":
                    actions.append(self._start(child, now))
                case "starting":
                    actions += self._kill([child], f"not ready within {START_S:g} s")
                case "serving":
                    actions += self._kill([child], f"no sign of life for {self._watchdog_s:g} s")
                case "ending":
                    actions += self._kill([child], f"did not end within {self._drain_s:g} s")
        if now >= self._kill_at:
            self._kill_at = NEVER
            actions += self._kill(self._children.values(), f"not all ended within {self._drain_s:g} s")
        return actions

    def _start(self, child: _Child, now: float) -> Action:
        child.phase, child.deadline, child.born = "starting", now + START_S, now
        return StartChild(child.word)

    def _kill(self, children: Iterable[_Child], why: str) -> list[Action]:
        alive = [child for child in children if child.phase in {"starting", "serving", "ending"}]
        for child in alive:
            child.phase, child.deadline = "killed", NEVER
        return [SendSignal(child.word, Signals.SIGKILL, why) for child in alive]

    def _ask_next(self) -> list[Action]:
        last = next((child for child in reversed(self._children.values()) if child.phase != "gone"), None)
        if last is None:
            self._kill_at = NEVER
            return []
        if last.phase not in {"starting", "serving"}:
            return []
        last.phase, last.deadline = "ending", NEVER  # the time of all ends together
        return [SendSignal(last.word, Signals.SIGTERM)]
