"""mail.db taken away from under the daemon that has it open: nothing is promised that would be lost.

Each case does what an operator's slip does, with a daemon that has just accepted mail, and then puts it right.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.submission.api.http_bed import PLAIN
from tests.submission.conftest import MakeDaemon

from sandbox.daemon import SubmissionDaemon
from sandbox.process import until

pytestmark = pytest.mark.process

Slip = Callable[[Path], None]


def folder_of(daemon: SubmissionDaemon) -> Path:
    return daemon.state_dir / "submission"


def answers(daemon: SubmissionDaemon) -> tuple[int, int]:
    """What a new message and /readyz get."""
    return daemon.post(PLAIN).status, daemon.request("GET", "/readyz").status


def ids(daemon: SubmissionDaemon) -> set[str]:
    """The messages that are accepted, posted one by one."""
    return {daemon.post(PLAIN).document["id"] for _ in range(3)}


def all_there(daemon: SubmissionDaemon, messages: set[str]) -> bool:
    return all(daemon.request("GET", f"/v1/messages/{message}").status == 200 for message in messages)


def deleted(folder: Path) -> None:
    for path in folder.glob("mail.db*"):
        path.unlink()


def deleted_alone(folder: Path) -> None:
    (folder / "mail.db").unlink()


def made_anew(folder: Path) -> None:
    deleted(folder)
    (folder / "mail.db").touch(0o600)


def restored_by_rename(folder: Path) -> None:
    """As `rsync` and `tar` put a backup in place."""
    shutil.copy2(folder / "backup", folder / "new")
    (folder / "new").rename(folder / "mail.db")


def restored_in_place(folder: Path) -> None:
    """As `cp` does; not while the daemon itself writes to the file, for that is taken for its own doing."""
    until(lambda: (folder / "mail.db-wal").stat().st_size == 0, 30, "the WAL emptied", every_s=0.1)
    shutil.copyfile(folder / "backup", folder / "mail.db")


def folder_replaced(folder: Path) -> None:
    folder.rename(folder.with_name("submission.old"))
    folder.mkdir(mode=0o700)
    (folder / "mail.db").touch(0o600)


@pytest.mark.parametrize(
    "slip", [deleted, deleted_alone, made_anew, restored_by_rename, restored_in_place, folder_replaced]
)
def test_nothing_is_accepted_into_a_file_that_will_be_gone(make_daemon: MakeDaemon, slip: Slip) -> None:
    """503 at once, /readyz closed, one line that says how to mend, however often it is asked."""
    daemon = make_daemon()
    folder = folder_of(daemon)
    subprocess.run([shutil.which("cp") or "cp", folder / "mail.db", folder / "backup"], check=True)
    ids(daemon)
    slip(folder)
    answer = daemon.post(PLAIN)
    assert (answer.status, answer.document["code"], answer.document["retryable"]) == (503, "unavailable", True)
    assert "deleted or replaced" in answer.document["detail"]
    assert answers(daemon) == (503, 503)
    until(lambda: "store.replaced" in daemon.log(), 30, "the line", daemon.alive)
    for _ in range(20):
        assert answers(daemon) == (503, 503)
    (line,) = [line for line in daemon.log().splitlines() if "store.replaced" in line]
    assert "mail.db" in line
    assert "mend: " in line
    assert daemon.request("GET", "/livez").status == 200


def test_a_file_moved_away_and_back_is_the_same(make_daemon: MakeDaemon) -> None:
    """With nothing but the way back it goes on, and all that was accepted is there, after a restart too."""
    daemon = make_daemon()
    folder = folder_of(daemon)
    messages = ids(daemon)
    (folder / "mail.db").rename(folder / "aside")
    assert answers(daemon) == (503, 503)
    until(lambda: "store.replaced" in daemon.log(), 30, "the line", daemon.alive)
    (folder / "aside").rename(folder / "mail.db")
    assert daemon.request("GET", "/readyz").status == 200
    messages |= ids(daemon)
    until(lambda: "store.available" in daemon.log(), 30, "the line that it is back", daemon.alive)
    folder.rename(folder.with_name("aside"))
    assert answers(daemon) == (503, 503)
    folder.with_name("aside").rename(folder)
    messages |= ids(daemon)
    daemon.kill()
    daemon.start()
    assert all_there(daemon, messages)


def test_a_file_moved_away_is_whole_without_its_wal(make_daemon: MakeDaemon) -> None:
    """Found elsewhere after the daemon's end and put back, it holds all that was accepted."""
    daemon = make_daemon()
    folder = folder_of(daemon)
    messages = ids(daemon)
    (folder / "mail.db").rename(folder.with_name("found.db"))
    assert answers(daemon) == (503, 503)
    daemon.stop()
    for path in folder.glob("mail.db*"):
        path.unlink()
    folder.with_name("found.db").rename(folder / "mail.db")
    daemon.start()
    assert all_there(daemon, messages)
    assert answers(daemon) == (202, 200)


@pytest.mark.parametrize("names", [("mail.db-wal",), ("mail.db-shm",), ("mail.db-wal", "mail.db-shm")])
def test_a_wal_that_is_deleted_costs_nothing(make_daemon: MakeDaemon, names: tuple[str, ...]) -> None:
    """What it held is copied into mail.db before anything more is promised; it is there after `kill -9`."""
    daemon = make_daemon()
    messages = ids(daemon)
    for name in names:
        (folder_of(daemon) / name).unlink()
    messages |= ids(daemon)
    assert daemon.request("GET", "/readyz").status == 200
    daemon.kill()
    daemon.start()
    assert all_there(daemon, messages)


def test_after_a_restart_it_works_with_what_lies_there(make_daemon: MakeDaemon) -> None:
    """A backup put in place of the outbox: from the restart on it is the outbox, whole."""
    daemon = make_daemon()
    folder = folder_of(daemon)
    kept = ids(daemon)
    daemon.stop()
    shutil.copyfile(folder / "mail.db", folder / "backup")
    daemon.start()
    lost = ids(daemon)
    restored_by_rename(folder)
    assert answers(daemon) == (503, 503)
    daemon.stop()
    for name in ("mail.db-wal", "mail.db-shm"):
        (folder / name).unlink(missing_ok=True)
    daemon.start()
    assert all_there(daemon, kept)
    assert not any(all_there(daemon, {message}) for message in lost)
    assert answers(daemon) == (202, 200)


def test_a_reading_look_at_it_disturbs_nothing(make_daemon: MakeDaemon) -> None:
    """Its time of access, a copy, a link and a change of mode are nobody's loss."""
    daemon = make_daemon()
    folder = folder_of(daemon)
    messages = ids(daemon)
    shutil.copyfile(folder / "mail.db", folder / "copy")
    os.link(folder / "mail.db", folder / "link")
    (folder / "mail.db").chmod(0o640)
    (folder / "mail.db").chmod(0o600)
    messages |= ids(daemon)
    assert daemon.command("privacy", "erase", "nobody@example.net").returncode == 0
    messages |= ids(daemon)
    assert all_there(daemon, messages)
