"""The shared store of a process that may only read it: another user, on a file system mounted read-only for it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.store.event_loop import Run

from postroom.store.limits.interface import Demand
from postroom.store.shared_store import SharedStore
from postroom.store.sqlite_store import init_sqlite_store, open_sqlite_store

pytestmark = pytest.mark.postfix

NOBODY = 65534
GROUP = 4_242
READ = """
import asyncio, json, sys
from pathlib import Path
from postroom.store.errors import StoreUnavailable
from postroom.store.limits.interface import Demand
from postroom.store.sqlite_store import open_sqlite_store

async def asked(store):
    beats = await store.beats.recent(60)
    demand = Demand("r", "k", 1, 10, 3600)
    (usage,) = await store.takes.peek([demand])
    refused = 0
    for write in (
        lambda: store.beats.beat("monitor", "h", 1, {}),
        lambda: store.takes.take("i", "smtp", [demand]),
        lambda: store.takes.reset("k"),
        lambda: store.suppressions.lift("#1"),
    ):
        try:
            await write()
        except StoreUnavailable as error:
            assert "cannot be written" in str(error), error
            refused += 1
    said = sorted((beat.word, beat.samples["n"]) for beat in beats)
    return [said, [beat.age_s for beat in beats], usage.used, refused]

async def main():
    store = open_sqlite_store(Path(sys.argv[1]), read_only=True)
    for _ in sys.stdin:
        try:
            print(json.dumps(await asked(store)), flush=True)
        except StoreUnavailable as error:
            print(json.dumps(str(error)), flush=True)
    await store.close()

asyncio.run(main())
"""


class Reader:
    """The process; each question gives what it reads."""

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && ' if mounted else ""
        who = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", f"--groups={GROUP}"]
        inside = ["unshare", "--mount", "bash", "-c", mount + 'exec "$@"', str(folder), *who]
        self._process = subprocess.Popen(
            [*inside, sys.executable, "-c", READ, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def read(self) -> object:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(20) == 0
        self._process.__exit__(None, None, None)


@pytest.fixture
def folder(bed: Path) -> Path:
    folder = bed / "shared"
    init_sqlite_store(folder, GROUP)
    return folder


@pytest.fixture
def reader(folder: Path) -> Iterator[Callable[..., Reader]]:
    made: list[Reader] = []

    def make(*, mounted: bool = True) -> Reader:
        made.append(Reader(folder, mounted=mounted))
        return made[-1]

    yield make
    for one in made:
        one.end()


async def written(store: SharedStore, number: int) -> None:
    await store.beats.beat("policy", "h", 1, {"n": number})
    await store.takes.take(f"i{number}", "smtp", [Demand("r", "k", 1, 10, 3600)])


def shown(answer: object) -> object:
    """An answer without the ages of the beats, which are looked at here."""
    assert isinstance(answer, list), answer
    beats, ages, used, refused = answer
    assert all(0 <= age_s < 60 for age_s in ages), ages
    return beats, used, refused


@pytest.mark.parametrize("mounted", [True, False])
def test_all_is_read_and_nothing_written(
    folder: Path, reader: Callable[..., Reader], run: Run, *, mounted: bool
) -> None:
    """Before anybody has used the store, beside a writer, when the writer has gone, and beside the next one."""
    one = reader(mounted=mounted)
    assert shown(one.read()) == ([], 0, 4)
    for round_ in (0, 2):
        store = open_sqlite_store(folder)
        for number in (round_, round_ + 1):
            run(written(store, number))
            assert shown(one.read()) == ([["policy", number]], number + 1, 4)
        if round_ == 0:
            run(store.close())
            late = reader(mounted=mounted)  # nobody else has the files open now
            assert shown(late.read()) == shown(one.read()) == ([["policy", 1]], 2, 4)
        else:
            assert run(store.takes.peek([Demand("r", "k", 1, 10, 3600)]))[0].used == 4
            run(store.close())
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.db{what}" for name in ("limits", "shared") for what in ("", "-wal", "-shm")
    }
