"""The shared store of a single host: two SQLite files in one folder.

limits.db  counters, takes, notes and who waits; called on the event loop (loop_file.py)
shared.db  beats, suppressions and what led to them; written through a thread (store/sqlite/thread.py), and who is
           suppressed is asked on the event loop, so that a question Postfix waits for does not queue up behind
           anybody's write

They are apart so that nobody who writes knowledge makes Postfix wait for a limit. Both
are synchronous=NORMAL: a power cut may cost the last counts, the end of a process none.

Several unix users write these files: `init` makes them 0660 in a folder 2770 whose group
all of them share. The files are opened at the first use and again after a fault, so a
daemon starts, and recovers, without its store.

Flow:    limits/, runtime/ -> SqliteSharedStore -> takes.py, notes.py, waiting.py, beats.py,
         suppressions.py, refusals.py, waves.py -> apsw
Diagnostics: StoreUnavailable and its kinds, with path and how to mend.
"""

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import apsw

from postroom.store.errors import StoreUnavailable
from postroom.store.limits import notes, takes, waiting
from postroom.store.limits.window import milliseconds
from postroom.store.shared import beats, refusals, suppressions, waves
from postroom.store.shared.interface import Beat, Demand, Door, HeldMail, Passage, Usage, Verdict, WaitingCount
from postroom.store.shared.suppression import (
    Delivered,
    Learned,
    ProofRule,
    RecipientHistory,
    Refused,
    Suppression,
    Wave,
    WaveGuard,
)
from postroom.store.sqlite import clock
from postroom.store.sqlite.file import open_file
from postroom.store.sqlite.loop_file import BUSY_IN_THREAD_MS, LoopFile
from postroom.store.sqlite.thread import StoreThread

LIMITS_FILE = "limits.db"
SHARED_FILE = "shared.db"

SCHEMAS = {
    LIMITS_FILE: (takes.SCHEMA, notes.SCHEMA, waiting.SCHEMA),
    SHARED_FILE: (
        clock.SCHEMA + beats.SCHEMA,
        suppressions.SCHEMA,
        suppressions.WITH_RULES,
        refusals.SCHEMA,
        waves.SCHEMA,
    ),
}

SWEEP_STEP = 200
"""Rows of one kind removed in one transaction: about a millisecond."""


class SqliteSharedStore:
    """SharedStore in SQLite, for one event loop.

    Args:
        folder:  where `init` made the files.
        sources: what the store's clock is made of; tests bring their own.
    """

    def __init__(self, folder: Path, sources: clock.TimeSources = clock.SYSTEM) -> None:
        self._folder = folder
        self._sources = sources
        self._limits_clock: clock.Clock | None = None
        self._shared_clock: clock.Clock | None = None
        self._limits = LoopFile(folder / LIMITS_FILE, self._connect_limits)
        self._shared = StoreThread(folder / SHARED_FILE, lambda: self._connect_shared(BUSY_IN_THREAD_MS))
        self._asking = LoopFile(folder / SHARED_FILE, self._connect_shared, writes=False)

    @staticmethod
    def init(folder: Path, group: int | None = None) -> None:
        """Make the folder (2770) and its files (0660), or mend their modes; what is in them stays.

        Args:
            folder: its parent must exist.
            group:  gid whose members may use the store; None leaves it as it is.

        Raises:
            StoreUnavailable: not allowed, or something else lies in the way.
        """
        try:
            folder.mkdir(mode=0o770, exist_ok=True)
            if group is not None:
                os.chown(folder, -1, group)
            folder.chmod(0o2770)
        except OSError as error:
            raise StoreUnavailable(
                f"{folder}: {error.strerror}; mend: make the folder above it, and run `postroom store init` as root"
            ) from error
        for name, schema in SCHEMAS.items():
            _make(folder / name, group)
            open_file(folder / name, schema, synchronous="NORMAL").close()

    async def take(
        self,
        instance: str,
        door: Door,
        demands: Sequence[Demand],
        queue_id: str | None = None,
        now: float | None = None,
    ) -> Verdict:
        def operation(connection: apsw.Connection) -> Verdict:
            verdict = takes.take(connection, instance, door, demands, queue_id, self._limits_now_ms(now))
            if verdict.allowed:
                waiting.passed(connection, instance, door)
            return verdict

        return await self._limits.run(operation)

    async def note(self, instance: str, door: Door, recipient_hash: str, domain: str, now: float | None = None) -> None:
        await self._limits.run(
            lambda connection: notes.note(connection, instance, door, recipient_hash, domain, self._limits_now_ms(now))
        )

    async def noted(self, instance: str, door: Door, now: float | None = None) -> Mapping[str, str]:
        return await self._limits.run(
            lambda connection: notes.noted(connection, instance, door, self._limits_now_ms(now))
        )

    async def wait(
        self, instance: str, door: Door, rule: str, key: str, owner: str, at_most: int, now: float | None = None
    ) -> int:
        return await self._limits.run(
            lambda connection: waiting.wait(
                connection, instance, door, rule, key, owner, at_most, self._limits_now_ms(now)
            )
        )

    async def hold(self, instance: str, door: Door, queue_id: str, now: float | None = None) -> None:
        await self._limits.run(
            lambda connection: waiting.hold(connection, instance, door, queue_id, self._limits_now_ms(now))
        )

    async def passage(self, queue_id: str) -> Passage | None:
        return await self._limits.run(lambda connection: waiting.passage(connection, queue_id))

    async def queues(self, now: float | None = None) -> list[WaitingCount]:
        return await self._limits.run_aside(lambda connection: waiting.queues(connection, self._limits_now_ms(now)))

    async def held(self, key: str | None) -> list[HeldMail]:
        return await self._limits.run_aside(lambda connection: waiting.held(connection, key))

    async def released(self, queue_ids: Sequence[str]) -> int:
        return await self._limits.run_aside(lambda connection: waiting.released(connection, queue_ids))

    async def peek(self, demands: Sequence[Demand], now: float | None = None) -> tuple[Usage, ...]:
        return await self._limits.run(lambda connection: takes.peek(connection, demands, self._limits_now_ms(now)))

    async def reset(self, key: str) -> int:
        return await self._limits.run(lambda connection: takes.reset(connection, key))

    async def suppressed(
        self, recipient_hashes: Sequence[str], stream: str = "", now: float | None = None
    ) -> Mapping[str, Suppression]:
        return await self._asking.run(
            lambda connection: suppressions.suppressed(connection, recipient_hashes, stream, self._shared_now_ms(now))
        )

    async def suppress(self, entries: Sequence[Suppression], now: float | None = None) -> list[bool]:
        return await self._shared.run(
            lambda connection: suppressions.suppress(connection, entries, self._shared_now_ms(now))
        )

    async def lift(self, recipient_hash: str, stream: str | None = None, now: float | None = None) -> bool:
        return await self._shared.run(
            lambda connection: refusals.lift(connection, recipient_hash, stream, self._shared_now_ms(now))
        )

    async def learn(
        self,
        facts: Sequence[Refused | Delivered],
        rules: Mapping[str, ProofRule],
        guard: WaveGuard,
        now: float | None = None,
    ) -> list[Learned]:
        return await self._shared.run(
            lambda connection: refusals.learn(connection, facts, rules, guard, self._shared_now_ms(now))
        )

    async def waves(self, limit: int = 100, now: float | None = None) -> list[Wave]:
        return await self._asking.run_aside(lambda connection: waves.waves(connection, limit, self._shared_now_ms(now)))

    async def accept_wave(self, number: int) -> int | None:
        return await self._shared.run(lambda connection: waves.accept(connection, number))

    async def undo_wave(self, number: int, now: float | None = None) -> int | None:
        return await self._shared.run(lambda connection: refusals.undo(connection, number, self._shared_now_ms(now)))

    async def story(self, recipient_hash: str, now: float | None = None) -> RecipientHistory:
        return await self._asking.run_aside(
            lambda connection: refusals.story(connection, recipient_hash, self._shared_now_ms(now))
        )

    async def erase(self, recipient_hash: str, *, forget: bool) -> None:
        await self._shared.run(lambda connection: refusals.erase(connection, recipient_hash, forget=forget))

    async def suppressions(self, after: tuple[str, str], limit: int, now: float | None = None) -> list[Suppression]:
        return await self._asking.run_aside(
            lambda connection: suppressions.suppressions(connection, after, limit, self._shared_now_ms(now))
        )

    async def beat(
        self, word: str, host: str, pid: int, samples: Mapping[str, float], now: float | None = None
    ) -> None:
        await self._shared.run(
            lambda connection: beats.beat(connection, word, host, pid, samples, self._shared_now_ms(now))
        )

    async def beats(self, max_age_s: float, now: float | None = None) -> list[Beat]:
        return await self._asking.run(
            lambda connection: beats.beats(connection, milliseconds(max_age_s), self._shared_now_ms(now))
        )

    async def sweep(self, now: float | None = None, budget: int = 5_000) -> int:
        left = budget
        for run, remove, now_ms in (
            (self._limits.run_aside, takes.sweep_counters, self._limits_now_ms),
            (self._limits.run_aside, takes.sweep_takes, self._limits_now_ms),
            (self._limits.run_aside, notes.sweep, self._limits_now_ms),
            (self._limits.run_aside, waiting.sweep, self._limits_now_ms),
            (self._shared.run, beats.sweep, self._shared_now_ms),
            (self._shared.run, suppressions.sweep, self._shared_now_ms),
            (self._shared.run, refusals.sweep, self._shared_now_ms),
            (self._shared.run, waves.sweep, self._shared_now_ms),
        ):
            removed = step = min(left, SWEEP_STEP)
            while step and removed == step:
                step = min(left, SWEEP_STEP)
                removed = await run(partial(_sweep_step, remove, partial(now_ms, now), step))
                left -= removed
        return budget - left

    async def close(self) -> None:
        await self._limits.close()
        await self._asking.close()
        await self._shared.close()

    def _connect_limits(self, busy_timeout_ms: int) -> apsw.Connection:
        connection, self._limits_clock = self._connect(LIMITS_FILE, takes.latest_ms, busy_timeout_ms)
        return connection

    def _connect_shared(self, busy_timeout_ms: int) -> apsw.Connection:
        connection, self._shared_clock = self._connect(SHARED_FILE, beats.latest_ms, busy_timeout_ms)
        return connection

    def _connect(
        self, name: str, latest_ms: Callable[[apsw.Connection], int], busy_timeout_ms: int
    ) -> tuple[apsw.Connection, clock.Clock]:
        connection = open_file(
            self._folder / name, SCHEMAS[name], synchronous="NORMAL", busy_timeout_ms=busy_timeout_ms
        )
        try:
            return connection, clock.open_clock(connection, self._sources, lambda: latest_ms(connection))
        except BaseException:
            connection.close()
            raise

    # The clocks are read inside the transaction: who has the lock has the later time.

    def _limits_now_ms(self, now: float | None) -> int:
        return _now_ms(self._limits_clock, now)

    def _shared_now_ms(self, now: float | None) -> int:
        return _now_ms(self._shared_clock, now)


def _now_ms(store_clock: clock.Clock | None, now: float | None) -> int:
    if now is not None:
        return milliseconds(now)
    assert store_clock is not None, "operations run only on an open file"
    return store_clock.now_ms()


def _sweep_step(
    remove: Callable[[apsw.Connection, int, int], int],
    now_ms: Callable[[], int],
    step: int,
    connection: apsw.Connection,
) -> int:
    return remove(connection, now_ms(), step)


def _make(path: Path, group: int | None) -> None:
    """Make the file, or mend its mode and group, without following a link.

    The folder belongs to a group: a link laid there must not turn root's chmod on another file.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o660)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                raise StoreUnavailable(f"{path}: is not a plain file of one name; mend: move away what lies there")
            if group is not None:
                os.fchown(descriptor, -1, group)
            os.fchmod(descriptor, 0o660)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreUnavailable(
            f"{path}: {error.strerror}; mend: move away what lies there, and run `postroom store init` as root"
        ) from error
