"""Unix sockets of daemons: who may connect from the first moment on, what is replaced, what never."""

import grp
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import postroom
from postroom.runtime.lifecycle import StartRefused
from postroom.runtime.listeners import listen_unix

SOURCES = Path(postroom.__file__).parent.parent
LISTEN = Path(__file__).with_name("listen.py")
OBEYS_MODES = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"] if os.geteuid() == 0 else []
"""Root passes by the modes of files; a process started so does not."""


@contextmanager
def listening(*arguments: str, prefix: tuple[str, ...] = ()) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A process of listen.py and its first line."""
    with subprocess.Popen(
        [*prefix, sys.executable, str(LISTEN), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
    ) as child:
        assert child.stdout is not None
        try:
            yield child, child.stdout.readline().strip()
        finally:
            child.kill()


def refusal(path: Path, group: str | None = None) -> str:
    with pytest.raises(StartRefused) as caught:
        listen_unix(path, 0o660, group)
    return str(caught.value)


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def another_group() -> grp.struct_group:
    """A group this process may give files to, not its own where there is one."""
    mine = os.getgid()
    if os.geteuid() == 0:
        return next(group for group in grp.getgrall() if group.gr_gid != mine)
    return grp.getgrgid(next((gid for gid in os.getgroups() if gid != mine), mine))


def test_it_listens_with_its_mode_and_group(bed: Path) -> None:
    """Whatever the umask; clients connect; it does not block the loop."""
    path, group = bed / "a.sock", another_group()
    previous = os.umask(0o077)
    try:
        listener = listen_unix(path, 0o666, group.gr_name)
    finally:
        umask = os.umask(previous)
    status = path.lstat()
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o666, group.gr_gid)
    assert umask == 0o077, "the umask is as it was"
    assert answers(path)
    assert not listener.sock.getblocking()
    listener.close()


def test_nobody_connects_before_mode_and_group_are_right(bed: Path) -> None:
    """At each step on the way the file is closed to all, and it listens only when it is as it shall be."""
    path, group = bed / "a.sock", another_group()
    seen: list[tuple[str, int, bool]] = []

    def look(_frame: object, event: str, function: object) -> None:
        name = getattr(function, "__name__", "")
        if event == "c_call" and name in ("chown", "chmod", "listen"):
            status = path.lstat()
            seen.append((name, stat.S_IMODE(status.st_mode), status.st_gid == group.gr_gid))

    sys.setprofile(look)
    try:
        listener = listen_unix(path, 0o660, group.gr_name)
    finally:
        sys.setprofile(None)
    listener.close()
    assert [(name, mode) for name, mode, _ in seen] == [("chown", 0), ("chmod", 0), ("listen", 0o660)]
    assert [right for _, _, right in seen[1:]] == [True, True]


@pytest.mark.process
def test_the_socket_of_a_dead_daemon_is_replaced(bed: Path) -> None:
    """After kill -9 its file is still there; the next start takes its place."""
    path = bed / "a.sock"
    with listening(str(path)) as (child, line):
        assert line.startswith("listening")
        child.kill()
        child.wait()
    assert path.is_socket()
    assert not answers(path)
    listener = listen_unix(path, 0o660, None)
    assert answers(path)
    listener.close()
    assert not path.exists()


@pytest.mark.process
def test_the_socket_of_a_living_daemon_is_left_alone(bed: Path) -> None:
    """The second one is refused, and the first is heard as before."""
    path = bed / "a.sock"
    with listening(str(path)):
        assert refusal(path) == f"{path}: another daemon is listening there; mend: stop it first, or set another path"
        assert answers(path)


@pytest.mark.process
def test_a_daemon_too_busy_to_answer_is_alive(bed: Path) -> None:
    """A full backlog is no sign of death."""
    path = bed / "a.sock"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as first:
        busy.bind(str(path))
        busy.listen(0)
        first.connect(str(path))
        assert "another daemon is listening there" in refusal(path)


def test_a_plain_file_is_never_removed(bed: Path) -> None:
    """What is no socket is somebody's."""
    path = bed / "a.sock"
    path.write_text("precious")
    assert refusal(path) == f"{path}: exists and is not a socket; mend: move it away"
    assert path.read_text() == "precious"


def test_a_link_to_a_socket_is_never_followed(bed: Path) -> None:
    """Who may make a link there could have us remove, or chmod, what it names."""
    living = listen_unix(bed / "living.sock", 0o600, None)
    (bed / "a.sock").symlink_to(living.path)
    assert "exists and is not a socket" in refusal(bed / "a.sock")
    assert answers(living.path)
    living.close()


def test_a_path_too_long_for_a_socket_says_so(bed: Path) -> None:
    """The kernel takes 107 octets; one of that length works, one more is refused with the reason."""
    fits = bed / ("a" * (107 - len(os.fsencode(bed)) - 1))
    listen_unix(fits, 0o660, None).close()
    assert refusal(bed / f"{fits.name}a") == (
        f"{fits}a: is longer than the 107 octets of a Unix socket's path (unix(7)); mend: set a shorter one"
    )


def test_a_missing_folder_says_so(bed: Path) -> None:
    """The folder is what is missing, so it is what is named; and a file in its place is named too."""
    assert refusal(bed / "run" / "a.sock") == f"{bed}/run: no such folder; mend: create it, or set another path"
    (bed / "file").touch()
    assert refusal(bed / "file" / "a.sock").startswith(f"{bed}/file/a.sock: cannot listen: Not a directory")


def test_a_group_this_host_lacks_says_so(bed: Path) -> None:
    """Named before anything is made."""
    assert refusal(bed / "a.sock", "no-such-group") == (
        "there is no group 'no-such-group' on this host; mend: create it (`groupadd --system no-such-group`),"
        " or set another"
    )
    assert not (bed / "a.sock").exists()


@pytest.mark.process
@pytest.mark.parametrize(("mode", "dead"), [(0o500, False), (0o500, True), (0o000, False)])
def test_a_folder_without_rights_says_so(bed: Path, mode: int, dead: bool) -> None:
    """Not writable (with a dead socket in it or none), or not to be entered: one line, no traceback."""
    folder = bed / "run"
    folder.mkdir()
    if dead:
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(str(folder / "a.sock"))
    folder.chmod(mode)
    try:
        with listening(str(folder / "a.sock"), prefix=tuple(OBEYS_MODES)) as (_, line):
            assert line == (
                f"refused {folder}/a.sock: cannot be created here (Permission denied);"
                f" mend: check owner and mode of {folder}"
            )
    finally:
        folder.chmod(0o700)


@pytest.mark.process
def test_another_users_socket_is_not_touched(bed: Path) -> None:
    """One that we may not even ask is not taken for dead."""
    path = bed / "a.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        path.chmod(0)
        with listening(str(path), prefix=tuple(OBEYS_MODES)) as (_, line):
            assert line == (f"refused {path}: is a socket of another user; mend: stop what listens there, or remove it")
        assert path.is_socket()


@pytest.mark.process
def test_a_group_we_may_not_give_it_to_says_so_and_leaves_nothing(bed: Path) -> None:
    """Neither the socket stays nor a listener."""
    path = bed / "a.sock"
    mine = {os.getgid(), *os.getgroups()}
    group = next(group.gr_name for group in grp.getgrall() if group.gr_gid not in mine)
    prefix = ("setpriv", "--bounding-set=-chown") if os.geteuid() == 0 else ()
    with listening(str(path), "660", group, prefix=prefix) as (_, line):
        assert line == (
            f"refused {path}: cannot be given to group '{group}' (Operation not permitted);"
            " mend: add this daemon's user to that group, or set another group"
        )
        assert not path.exists()


def test_closing_removes_only_its_own_file(bed: Path) -> None:
    """What another daemon put in its place meanwhile stays."""
    path = bed / "a.sock"
    ours = listen_unix(path, 0o660, None)
    path.unlink()
    theirs = listen_unix(path, 0o660, None)
    ours.close()
    assert answers(path)
    theirs.close()
    assert not path.exists()
    ours.close()  # again, and without its file: nothing to do


def activated(socket_path: Path, asked: Path, pid: str = "$$") -> str:
    """What a process says that is started as systemd starts it, with a listening socket as fd 3; it ends by itself."""
    with socket.socket(socket.AF_UNIX) as passed:
        passed.bind(str(socket_path))
        passed.listen()
        program = f'exec 3<&0 0</dev/null; LISTEN_PID={pid} LISTEN_FDS=1 exec "$@"'
        return subprocess.run(
            ["sh", "-c", program, "sh", sys.executable, str(LISTEN), str(asked)],
            stdin=passed.fileno(),
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SOURCES)},
            check=True,
        ).stdout.strip()


@pytest.mark.process
def test_the_socket_systemd_passes_is_used_and_left_to_it(bed: Path) -> None:
    """Its mode is systemd's; its file stays when the daemon stops."""
    path = bed / "a.sock"
    assert activated(path, path) == "listening 3 passed"
    assert path.is_socket()


@pytest.mark.process
def test_a_socket_passed_for_another_path_is_not_taken(bed: Path) -> None:
    """The path decides, not the order of the descriptors."""
    assert activated(bed / "other.sock", bed / "a.sock").endswith(" made")


@pytest.mark.process
def test_a_socket_passed_to_another_process_is_not_taken(bed: Path) -> None:
    """$LISTEN_PID names our parent: its socket is alive, and not ours."""
    path = bed / "a.sock"
    assert activated(path, path, pid="1").startswith(f"refused {path}: another daemon is listening there")


def test_closed_twice_it_leaves_the_file_of_another(bed: Path) -> None:
    """The file system may give the number of a removed file to the next one."""
    path = bed / "a.sock"
    listener = listen_unix(path, 0o660, None)
    listener.close()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        listener._inode = None if listener._inode is None else path.stat().st_ino
        listener.close()
        assert path.is_socket()
