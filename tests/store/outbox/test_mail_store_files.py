"""The file of the outbox: its modes, its lock, how durable its commits are, and a disk that is full."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from tests.store.event_loop import Run
from tests.store.outbox.sample_messages import BODY, KEY, NOW, faults_of, put

import postroom
from postroom.mail.states import State
from postroom.store.errors import StoreBroken, StoreUnavailable
from postroom.store.outbox.mail_store import MailStore
from postroom.store.outbox.messages import Accepted

SOURCES = Path(postroom.__file__).parent.parent
CHECKOUT = Path(__file__).parents[3]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_the_outbox_is_its_users_alone(tmp_path: Path, run: Run) -> None:
    """0600 in 0700 whatever the umask, the files beside it too; folders above it are as the umask has them."""
    previous = os.umask(0o022)
    try:
        path = tmp_path / "state" / "submission" / "mail.db"
        assert MailStore.init(path)
        store = MailStore.open(path, KEY)
        run(put(store, 1))
        assert [mode(path.parent), mode(path.parent.parent)] == [0o700, 0o755]
        assert {file.name: mode(file) for file in path.parent.iterdir()} == dict.fromkeys(
            ("mail.db", "mail.db-wal", "mail.db-shm", "mail.lock"), 0o600
        )
        run(store.close())
    finally:
        os.umask(previous)


def test_making_it_again_keeps_what_is_in_it(mail_db: Path, run: Run) -> None:
    """Also while a daemon works on it; and the key of the fingerprints stays."""
    store = MailStore.open(mail_db, KEY)
    run(put(store, 1, key="k"))
    assert not MailStore.init(mail_db)
    assert run(put(store, 2)) == Accepted()
    fingerprint = store.acceptance.fingerprint(BODY)
    run(store.close())
    store = MailStore.open(mail_db, KEY)
    assert store.acceptance.fingerprint(BODY) == fingerprint
    assert run(store.queries.figures()).deliveries[State.ACCEPTED] == 2
    run(store.close())


def test_it_writes_what_survives_a_power_cut(mail_store: MailStore, run: Run) -> None:
    """On the connection that commits: synchronous FULL (2), a WAL, deleted rows overwritten."""
    names = ("synchronous", "journal_mode", "secure_delete")
    assert run(mail_store._thread.run(lambda connection: [connection.pragma(name) for name in names])) == [2, "wal", 1]


class WatchedFile(apsw.VFSFile):
    """A real file that says when SQLite had it synced."""

    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int], synced: list[str]) -> None:
        super().__init__("unix", name, flags)
        self._name = str(name.filename() if isinstance(name, apsw.URIFilename) else name)
        self._synced = synced

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        super().xSync(flags)
        self._synced.append(Path(self._name).name)


class Watched(apsw.VFS):
    """The real file system, with a note of each sync; the default while it lives."""

    def __init__(self) -> None:
        super().__init__("watched", "unix", makedefault=True)
        self.synced: list[str] = []

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> WatchedFile:  # noqa: N802 - SQLite's
        return WatchedFile(name, flags, self.synced)


def test_each_commit_is_synced_before_it_is_acknowledged(mail_db: Path, run: Run) -> None:
    """The WAL is synced once for each transaction, not once for each message, and before the answer."""
    watched = Watched()
    try:
        store = MailStore.open(mail_db, KEY)
        run(put(store, 0))
        synced = []

        async def main() -> None:
            for turn in range(3):
                watched.synced.clear()
                await asyncio.gather(*(put(store, 1 + turn * 100 + number) for number in range(100)))
                synced.append(tuple(watched.synced))

        run(main())
        run(store.close())
    finally:
        watched.unregister()
    assert synced == [("mail.db-wal",)] * 3


def test_the_octets_of_a_body_are_gone_with_it(mail_db: Path, run: Run) -> None:
    """While it waits its body is in the file; after its end and a stop, nowhere below the folder."""

    def found() -> bool:
        return any(b"your code is in here" in path.read_bytes() for path in mail_db.parent.iterdir())

    store = MailStore.open(mail_db, KEY)
    run(put(store, 1, body=BODY * 300))
    assert found()
    (claimed,) = run(store.handover.claim(1, NOW))
    run(store.handover.mark_queued(claimed.delivery, "4XyZ", NOW))
    run(store.close())
    assert not found()


# Opening


@pytest.mark.process
def test_a_second_process_is_refused(mail_db: Path, run: Run) -> None:
    """Two that hand over the same outbox would send twice; the text says what to stop."""
    store = MailStore.open(mail_db, KEY)
    script = (
        "import sys; from pathlib import Path; from postroom.store.errors import StoreUnavailable;"
        "from postroom.store.outbox.mail_store import MailStore\n"
        "try: MailStore.open(Path(sys.argv[1]), bytes(32)); print('opened')\n"
        "except StoreUnavailable as error: print(error)"
    )

    def outcome() -> str:
        return subprocess.run(
            [sys.executable, "-c", script, str(mail_db)],
            env={"PYTHONPATH": str(SOURCES)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    assert outcome() == (f"{mail_db}: another process has it open; mend: stop the other postroom-submission first")
    run(store.close())
    assert outcome() == "opened"


@pytest.mark.process
def test_the_lock_ends_with_the_process_that_had_it(mail_db: Path, run: Run) -> None:
    """After kill -9 nothing has to be removed by hand."""
    script = (
        "import signal, sys; from pathlib import Path; from postroom.store.outbox.mail_store import MailStore\n"
        "store = MailStore.open(Path(sys.argv[1]), bytes(32)); print('open', flush=True); signal.pause()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(mail_db)],
        env={"PYTHONPATH": str(SOURCES)},
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        with pytest.raises(StoreUnavailable, match="another process"):
            MailStore.open(mail_db, KEY)
        child.kill()
    run(MailStore.open(mail_db, KEY).close())


def test_what_cannot_be_opened_says_why_and_lets_go_of_the_lock(tmp_path: Path, run: Run) -> None:
    """No folder, no file, an empty file, no store at all: each has its mend, and mending it is enough."""
    path = tmp_path / "submission" / "mail.db"
    with pytest.raises(StoreUnavailable, match=r"mail.lock: cannot be opened \(No such file.*`postroom store init`"):
        MailStore.open(path, KEY)
    path.parent.mkdir(mode=0o700)
    with pytest.raises(StoreUnavailable, match=r"mail.db: cannot be opened .*`postroom store init`"):
        MailStore.open(path, KEY)
    path.touch()
    with pytest.raises(StoreUnavailable, match=r"mail.db: was never finished; mend: `postroom store init`"):
        MailStore.open(path, KEY)
    path.write_bytes(b"no store\n" * 100)
    with pytest.raises(StoreBroken, match="restore it from a backup"):
        MailStore.open(path, KEY)
    path.unlink()
    MailStore.init(path)
    run(MailStore.open(path, KEY).close())


def test_an_outbox_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    """A plain file in the way of the folder is told, not thrown."""
    (tmp_path / "submission").write_text("in the way")
    with pytest.raises(StoreUnavailable, match=r"mail.db: cannot be made \(.*\); mend: check"):
        MailStore.init(tmp_path / "submission" / "mail.db")


# A full disk


@pytest.mark.process
def test_a_disk_that_fills_up_loses_nothing(tmp_path: Path) -> None:
    """On a real file system of 2 MB: the batch that no longer fits is refused whole; with space it goes on."""
    whoever = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    done = subprocess.run(
        [
            *("unshare", "--mount", *whoever, "sh", "-euc"),
            'mount -t tmpfs -o size=2m tmpfs "$0"; exec "$@"',
            *(str(tmp_path), sys.executable, str(Path(__file__).with_name("disk_filler.py")), str(tmp_path)),
        ],
        env={**os.environ, "PYTHONPATH": f"{SOURCES}:{CHECKOUT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "the last batch: 8 of 8 StoreFull",
        "stored what was acknowledged: True",
        "faults: []",
        "no change fits any more: StoreFull",
        "with space again: Accepted",
        "all that was acknowledged can be claimed: True",
        "faults: []",
    ]


def test_the_control_of_this_file_sees_a_fault(mail_db: Path, mail_store: MailStore, run: Run) -> None:
    """faults_of is no rubber stamp: a body that vanished and a tally that is off are found."""
    run(put(mail_store, 1))
    assert faults_of(mail_db) == []
    run(mail_store._thread.run(lambda connection: connection.execute("DELETE FROM body").fetchall()))
    run(mail_store._thread.run(lambda connection: connection.execute("UPDATE tally SET deliveries = 2").fetchall()))
    assert len(faults_of(mail_db)) == 2
