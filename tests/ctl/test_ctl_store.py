"""`postroom store init`: the files of the store."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ctl.conftest import CHECKOUT, OBEYS_MODES, Postroom

MADE = {
    "keys": 0o750,
    "keys/recipient-hash.key": 0o640,
    "keys/return-path.key": 0o640,
    "shared": 0o2770,
    **{f"shared/{name}.db{what}": 0o660 for name in ("limits", "shared") for what in ("", "-wal", "-shm")},
    "submission": 0o700,
    "submission/mail.db": 0o600,
    "watcher": 0o2750,
    "watcher/track.db": 0o640,
    "watcher/track.db-shm": 0o640,
    "watcher/track.db-wal": 0o640,
}


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in sorted(folder.rglob("*"))}


def test_it_makes_all_files_with_their_modes(postroom: Postroom, state: Path) -> None:
    """The state directory too when it is missing; each is named; the keys are 32 octets each."""
    done = postroom("store", "init")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{state}/{name}: ready"
        for name in (
            "submission/mail.db",
            "watcher/track.db",
            "shared",
            "keys/return-path.key",
            "keys/recipient-hash.key",
        )
    ]
    assert modes(state) == MADE
    keys = {key.read_bytes() for key in (state / "keys").iterdir()}
    assert [len(key) for key in keys] == [32, 32]


def test_again_it_makes_what_is_missing_and_nothing_else(postroom: Postroom, state: Path) -> None:
    """Above all no new key: mail in flight is signed with the old one, suppressions are hashed with it."""
    postroom("store", "init")
    keys = {key.name: key.read_bytes() for key in (state / "keys").iterdir()}
    (state / "submission" / "mail.db").unlink()
    (state / "shared" / "limits.db").unlink()
    assert postroom("store", "init").returncode == 0
    assert modes(state) == MADE
    assert {key.name: key.read_bytes() for key in (state / "keys").iterdir()} == keys


@pytest.mark.process
@pytest.mark.parametrize(
    ("folder", "mode", "told"),
    [
        (".", 0o000, "submission/mail.db: cannot be made (Permission denied); mend: check owner and mode"),
        ("submission", 0o500, "submission/mail.db: cannot be made (Permission denied); mend: check owner and mode"),
        ("keys", 0o500, ": Permission denied; mend: check owner, mode and free space of its folder"),
    ],
)
def test_a_folder_without_rights_is_one_line(
    postroom_process: Postroom, state: Path, folder: str, mode: int, told: str
) -> None:
    """Exit 1, with the path and how to mend; and mended, it goes through."""
    (state / folder).mkdir(parents=True)
    (state / folder).chmod(mode)
    done = postroom_process("store", "init")
    (state / folder).chmod(0o700)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{state}/")
    assert told in line
    assert postroom_process("store", "init").returncode == 0
    assert modes(state).keys() == MADE.keys()


@pytest.mark.process
def test_a_key_is_made_whole_or_not_at_all(postroom: Postroom, state: Path) -> None:
    """Where no octet can be written none is left behind: an empty key would pass for one at the next try."""
    postroom("store", "init")
    (state / "keys" / "return-path.key").unlink()
    script = (
        "import resource; from pathlib import Path; from postroom.ctl.store import _make_key\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))\n"
        f"try: _make_key(Path({str(state / 'keys' / 'return-path.key')!r}))\n"
        "except OSError as error: print(error.strerror)"
    )
    done = subprocess.run(
        [*OBEYS_MODES, sys.executable, "-c", script],
        env={"PYTHONPATH": str(CHECKOUT / "daemons")},
        capture_output=True,
        text=True,
        check=True,
    )
    # stdout is a pipe, so the limit on files leaves it alone.
    assert done.stdout == "File too large\n"
    assert [key.name for key in (state / "keys").iterdir()] == ["recipient-hash.key"]
    assert postroom("store", "init").returncode == 0
    assert len((state / "keys" / "return-path.key").read_bytes()) == 32


def test_a_damaged_outbox_is_left_as_it_is(postroom: Postroom, state: Path) -> None:
    """Made anew over it, the mail in it would be lost."""
    postroom("store", "init")
    (state / "submission" / "mail.db").write_bytes(b"no store\n" * 100)
    done = postroom("store", "init")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{state}/submission/mail.db: ")
    assert "mend: restore it from a backup" in done.stderr
    assert (state / "submission" / "mail.db").read_bytes() == b"no store\n" * 100


@pytest.mark.postfix  # needs root
def test_as_root_each_file_belongs_to_the_owner_of_its_folder(config: Path, state: Path) -> None:
    """Each daemon has a user of its own. Whoever puts a second name of a file of root's there does not get it."""
    init = [
        str(CHECKOUT / "scripts" / "postroom"),
        "--config",
        str(config),
        "store",
        "init",
    ]  # with all of root's rights
    owners = {"submission": (54321, 54321), "watcher": (54322, 54322), "shared": (0, 54323), "keys": (0, 0)}
    for name, (uid, gid) in owners.items():
        (state / name).mkdir(parents=True)
        os.chown(state / name, uid, gid)
        (state / name).chmod(0o770)
    subprocess.run(init, check=True, capture_output=True, timeout=60)
    for path in sorted(state.glob("*/*")):
        assert (path.stat().st_uid, path.stat().st_gid) == owners[path.parent.name], path
    (state / "submission" / "mail.db").unlink()
    (state / "roots.db").touch(0o600)
    os.link(state / "roots.db", state / "submission" / "mail.db")
    subprocess.run(init, check=True, capture_output=True, timeout=60)
    assert (state / "roots.db").stat().st_uid == 0
