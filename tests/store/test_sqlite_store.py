"""The SQLite engine with real files and real processes: races, kills, locks and damage."""

import asyncio
import os
import stat
import time
from pathlib import Path

import pytest
from tests.store.event_loop import Run
from tests.store.processes import process, tell

from postroom.store.errors import StoreBroken, StoreUnavailable
from postroom.store.limits.interface import Demand
from postroom.store.sqlite.loop_file import RESTART_PAGES
from postroom.store.sqlite_store import init_sqlite_store, open_sqlite_store

NOW = 1_800_000_000.0
HOURLY = [Demand("per_client", "client:192.0.2.1", 1, 100, 3600)]
TAKERS = [Demand(f"rule{window_s}", "client:192.0.2.1", 1, 10_000, window_s) for window_s in (86_400, 90_000)]
"""What taker.py asks for."""


@pytest.mark.process
def test_processes_that_race_for_one_key_get_exactly_the_limit(folder: Path, run: Run) -> None:
    """Four processes ask 150 times each for 400 slots: 400 are allowed, and 400 are counted."""
    with (
        process("taker.py", str(folder), "a", "150", "400") as a,
        process("taker.py", str(folder), "b", "150", "400") as b,
        process("taker.py", str(folder), "c", "150", "400") as c,
        process("taker.py", str(folder), "d", "150", "400") as d,
    ):
        children = (a, b, c, d)
        for child in children:
            tell(child)
        allowed = [child.stdout.read().split() for child in children if child.stdout is not None]
        assert [child.wait(60) for child in children] == [0, 0, 0, 0]
    assert sum(map(len, allowed)) == 400
    store = open_sqlite_store(folder)
    assert [usage.used for usage in run(store.takes.peek(TAKERS))] == [400, 400]
    run(store.close())


@pytest.mark.process
def test_a_process_killed_while_it_takes_leaves_an_exact_state(folder: Path, run: Run) -> None:
    """After each kill -9 all windows hold what was told plus at most the one take whose answer was lost.

    Asked again with its instance, that one is counted once.
    """
    store, before = open_sqlite_store(folder), 0
    for word in "abcdefgh":
        with process("taker.py", str(folder), word, "100000", "10000") as child:
            tell(child)
            assert child.stdout is not None
            told = [child.stdout.readline() for _ in range(50)]
            child.kill()
            told += child.stdout.read().splitlines()
        used = [usage.used for usage in run(store.takes.peek(TAKERS))]
        assert used[0] == used[1]
        assert used[0] - before - len(told) in (0, 1)
        for number in range(len(told) + 1):
            assert run(store.takes.take(f"{word}{number}", "smtp", TAKERS)).allowed
        before += len(told) + 1
        assert [usage.used for usage in run(store.takes.peek(TAKERS))] == [before, before]
    run(store.close())


@pytest.mark.process
def test_a_busy_file_is_no_lost_store(folder: Path, run: Run) -> None:
    """A take that meets another process's write waits in the thread, and is taken when the file is free."""
    store = open_sqlite_store(folder)

    async def take_while_held() -> None:
        assert (await store.takes.take("before", "smtp", HOURLY, now=NOW)).allowed
        with process("lock_holder.py", str(folder / "limits.db")) as holder:
            waiting = [
                asyncio.create_task(store.takes.take(f"{number}", "smtp", HOURLY, now=NOW)) for number in range(3)
            ]
            # Each task runs up to its wait for the thread: the loop's own try is over by then.
            done, _ = await asyncio.wait(waiting, timeout=0.05)
            assert not done
            tell(holder)
            verdicts = await asyncio.gather(*waiting)
        assert sorted(verdict.usages[0].used for verdict in verdicts) == [2, 3, 4]
        # And the loop's own connection is in use again.
        assert (await store.takes.take("after", "smtp", HOURLY, now=NOW)).usages[0].used == 5

    run(take_while_held())
    run(store.close())


@pytest.mark.process
def test_a_take_given_up_while_it_waits_is_not_carried_out(folder: Path, run: Run) -> None:
    """Whose budget ends does not find the take counted later, when the file is free."""
    store = open_sqlite_store(folder)

    async def give_up() -> int:
        with process("lock_holder.py", str(folder / "limits.db")) as holder:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await store.takes.take("given up", "smtp", HOURLY, now=NOW)
            tell(holder)
            # It queues behind the one given up.
            return (await store.takes.peek(HOURLY, now=NOW))[0].used

    assert run(give_up()) == 0
    run(store.close())


@pytest.mark.process
def test_the_loop_stands_still_only_once_for_a_held_file(folder: Path, run: Run) -> None:
    """While the thread waits, even for one who gave up, others join it without a try of 20 ms each."""
    store = open_sqlite_store(folder)

    async def hundred() -> float:
        with process("lock_holder.py", str(folder / "limits.db")):
            started = time.monotonic()
            for number in range(100):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.001):
                        await store.takes.take(f"{number}", "smtp", HOURLY, now=NOW)
            return time.monotonic() - started

    assert run(hundred()) < 1.0
    run(store.close())


@pytest.mark.process
def test_the_wal_stays_bounded_under_takes_without_a_pause(folder: Path, run: Run) -> None:
    """A copy that holds nobody up would never end here; the WAL is begun anew all the same."""
    store = open_sqlite_store(folder)
    bound = 8 * RESTART_PAGES * 4096

    async def flood() -> int:
        largest = 0
        for number in range(24_000):
            demand = Demand("per_client", f"client:{number * 7919 % 100_003}", 1, 5, 3600)
            await store.takes.take(f"{number * 7907 % 100_003:x}", "smtp", [demand], now=NOW)
            largest = max(largest, (folder / "limits.db-wal").stat().st_size)
        return largest

    assert run(flood()) < bound
    run(store.close())


def test_a_missing_file_is_a_lost_store_until_it_is_there(tmp_path: Path, run: Run) -> None:
    """The error names the file and the mend; after `store init` the same object works."""
    store = open_sqlite_store(tmp_path / "shared")
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"shared/limits\.db: cannot be opened .*`postroom store init`"):
            run(store.takes.take("1", "smtp", HOURLY))
        with pytest.raises(StoreUnavailable, match=r"shared/shared\.db: cannot be opened .*`postroom store init`"):
            run(store.beats.beat("policy", "mx1", 7, {}))
    init_sqlite_store(tmp_path / "shared")
    assert run(store.takes.take("1", "smtp", HOURLY)).allowed
    run(store.beats.beat("policy", "mx1", 7, {}))
    run(store.close())


def test_a_file_replaced_under_a_running_process_is_noticed(folder: Path, run: Run) -> None:
    """It does not count on in the deleted file, where nobody else would see it."""
    store, other = open_sqlite_store(folder), open_sqlite_store(folder)
    assert run(store.takes.take("1", "smtp", HOURLY, now=NOW)).allowed
    for file in folder.glob("limits.db*"):
        file.unlink()
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        run(store.takes.take("2", "smtp", HOURLY, now=NOW))
    init_sqlite_store(folder)
    assert run(store.takes.take("3", "smtp", HOURLY, now=NOW)).usages[0].used == 1
    assert run(other.takes.take("4", "smtp", HOURLY, now=NOW)).usages[0].used == 2
    run(store.close())
    run(other.close())


def test_a_file_that_is_no_database_is_broken(folder: Path, run: Run) -> None:
    """The error is StoreBroken, with the file and the mend."""
    (folder / "limits.db").write_bytes(b"Subject: not a database\n" * 400)
    store = open_sqlite_store(folder)
    with pytest.raises(StoreBroken, match=r"limits\.db: .*not a database; mend: restore it"):
        run(store.takes.take("1", "smtp", HOURLY))
    run(store.close())


def test_a_damaged_page_breaks_the_store_and_a_restored_file_mends_it(folder: Path, run: Run) -> None:
    """The take that meets the damage is told so; when the file is whole again the next one is taken."""
    store = open_sqlite_store(folder)
    run(store.takes.take("1", "smtp", HOURLY, now=NOW))
    run(store.close())
    path = folder / "limits.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    store = open_sqlite_store(folder)
    with pytest.raises(StoreBroken, match=r"limits\.db: .*malformed; mend: restore it"):
        run(store.takes.take("2", "smtp", HOURLY, now=NOW))
    path.write_bytes(whole)
    assert run(store.takes.take("2", "smtp", HOURLY, now=NOW)).usages[0].used == 2
    run(store.close())


@pytest.mark.process
def test_a_file_that_may_not_be_written_is_unavailable(folder: Path) -> None:
    """A process with no right to write says so, and which file."""
    (folder / "limits.db").chmod(0o440)
    # Root would write all the same, so it lays down that right.
    prefix = ("setpriv", "--bounding-set=-dac_override", "--") if os.geteuid() == 0 else ()
    with process("taker.py", str(folder), "a", "1", "1", prefix=prefix) as child:
        tell(child)
        assert child.stdout is not None
        told = child.stdout.read()
    assert told == (
        f"StoreUnavailable {folder}/limits.db: cannot be written; mend: check its owner and mode, and its file system\n"
    )


def test_a_closed_store_says_so(folder: Path, run: Run) -> None:
    """A take after close is an error, not a file opened again."""
    store = open_sqlite_store(folder)
    run(store.takes.take("1", "smtp", HOURLY))
    run(store.close())
    with pytest.raises(StoreUnavailable, match="already closed"):
        run(store.takes.take("2", "smtp", HOURLY))


def test_init_makes_files_for_a_group_of_users(tmp_path: Path) -> None:
    """Folder 2770, files 0660, all of the given group, whatever the umask; what is there is mended."""
    group = 12_345 if os.geteuid() == 0 else os.getgroups()[-1]
    folder = tmp_path / "shared"
    umask = os.umask(0o077)
    try:
        init_sqlite_store(folder, group)
        first = [(file.stat().st_ino, file.stat().st_size) for file in sorted(folder.iterdir())]
        (folder / "limits.db").chmod(0o600)
        folder.chmod(0o700)
        init_sqlite_store(folder, group)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o2770
    assert folder.stat().st_gid == group
    names = {f"{name}.db{what}" for name in ("limits", "shared") for what in ("", "-wal", "-shm")}
    assert {file.name: (stat.S_IMODE(file.stat().st_mode), file.stat().st_gid) for file in folder.iterdir()} == (
        dict.fromkeys(names, (0o660, group))
    )
    assert [(file.stat().st_ino, file.stat().st_size) for file in sorted(folder.iterdir())] == first


def test_init_follows_no_link(tmp_path: Path) -> None:
    """A member of the group cannot have root change the mode of another file, by symbolic or hard link."""
    victim = tmp_path / "shadow"
    victim.write_text("secret")
    victim.chmod(0o600)
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "limits.db").symlink_to(victim)
    with pytest.raises(StoreUnavailable, match=r"limits\.db: .*mend: move away what lies there"):
        init_sqlite_store(folder)
    (folder / "limits.db").unlink()
    (folder / "limits.db").hardlink_to(victim)
    with pytest.raises(StoreUnavailable, match=r"limits\.db: is not a plain file"):
        init_sqlite_store(folder)
    assert stat.S_IMODE(victim.stat().st_mode) == 0o600
    assert victim.read_text() == "secret"


def test_init_below_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    """It makes one folder, not a tree with modes nobody chose."""
    with pytest.raises(StoreUnavailable, match="missing/shared: No such file or directory; mend: make the folder"):
        init_sqlite_store(tmp_path / "missing" / "shared")


@pytest.mark.process
def test_asking_who_is_suppressed_does_not_wait_for_a_writer(folder: Path, run: Run) -> None:
    """Another process holds the write lock of shared.db: the question is answered at once."""
    store = open_sqlite_store(folder)

    async def asked_while_held() -> float:
        await store.suppressions.suppressed(["0a"])
        with process("lock_holder.py", str(folder / "shared.db")):
            started = time.monotonic()
            assert await store.suppressions.suppressed(["0a"]) == {}
            return time.monotonic() - started

    assert run(asked_while_held()) < 0.1
    run(store.close())
