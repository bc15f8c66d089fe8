"""Unix sockets a daemon listens on: from systemd when it passes them, else made here.

A socket made here has its mode and group before it listens, replaces a dead
one of an earlier run, and never a live one. Its file is removed at the end
only if it is still ours.

A daemon that was killed may leave processes that hold its socket a moment
longer, so a live one is looked at again for LET_GO_S before it is taken for
another daemon's.
"""

import errno
import grp
import os
import socket
import stat
import time
from contextlib import suppress
from pathlib import Path

from systemd import daemon as systemd

from postroom.runtime.lifecycle import StartRefused

BACKLOG = 1024
LET_GO_S = 1.5
LOOK_S = 0.05


class Listener:
    """A listening Unix socket and the duty to remove its file."""

    def __init__(self, sock: socket.socket, path: Path, inode: int | None) -> None:
        self.sock = sock
        self.path = path
        self._inode = inode

    @property
    def is_ours(self) -> bool:
        """Whether it was made here; else it is systemd's, and goes on when we end."""
        return self._inode is not None

    def close(self) -> None:
        """Stop listening; remove the file if we made it and nobody replaced it. Safe to repeat."""
        self.sock.close()
        if self._inode is not None:
            with suppress(OSError):
                if self.path.lstat().st_ino == self._inode:
                    self.path.unlink()
            self._inode = None  # the number may be given to another's file


def listen_unix(path: Path, mode: int, group: str | None) -> Listener:
    """Listen on a Unix socket.

    Args:
        path:  where; its folder must exist.
        mode:  permission bits of the socket file.
        group: its group, or None to leave it.

    Raises:
        StartRefused: no such folder or group, no right to it, path taken by a live daemon or by a plain file.
    """
    passed = _from_systemd(path)
    if passed is not None:
        return Listener(passed, path, None)
    gid = _gid(group) if group is not None else -1
    _remove_dead(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o777)  # nobody connects before mode and group are right
    try:
        sock.bind(str(path))
    except OSError as error:
        sock.close()
        raise StartRefused(_bind_trouble(path, error)) from error
    finally:
        os.umask(previous)
    inode = path.lstat().st_ino
    try:
        if gid != -1:
            os.chown(path, -1, gid)
        path.chmod(mode)
        sock.listen(BACKLOG)
    except OSError as error:
        Listener(sock, path, inode).close()
        raise StartRefused(
            f"{path}: cannot be given to group {group!r} ({error.strerror}); "
            "mend: add this daemon's user to that group, or set another group"
        ) from error
    sock.setblocking(False)
    return Listener(sock, path, inode)


def _from_systemd(path: Path) -> socket.socket | None:
    for fd in systemd.listen_fds(unset_environment=False):
        if systemd.is_socket_unix(fd, socket.SOCK_STREAM, 1, str(path)):
            os.set_inheritable(fd, False)
            sock = socket.socket(fileno=fd)
            sock.setblocking(False)
            return sock
    return None


def _gid(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise StartRefused(
            f"there is no group {group!r} on this host; mend: create it (`groupadd --system {group}`), or set another"
        ) from None


def _remove_dead(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise StartRefused(f"{path}: exists and is not a socket; mend: move it away")
        if not _let_go(path):
            raise StartRefused(f"{path}: another daemon is listening there; mend: stop it first, or set another path")
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StartRefused(_bind_trouble(path, error)) from error


def _let_go(path: Path) -> bool:
    """Whether nobody listens there, now or in a moment."""
    end = time.monotonic() + LET_GO_S
    while _listens(path):
        if time.monotonic() > end:
            return False
        time.sleep(LOOK_S)
    return True


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True  # alive, but its backlog is full
        except PermissionError:
            raise StartRefused(
                f"{path}: is a socket of another user; mend: stop what listens there, or remove it"
            ) from None
    return True


def _bind_trouble(path: Path, error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return f"{path.parent}: no such folder; mend: create it, or set another path"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{path}: cannot be created here ({error.strerror}); mend: check owner and mode of {path.parent}"
        case None:  # Python's own word, before it asks the kernel
            return f"{path}: is longer than the 107 octets of a Unix socket's path (unix(7)); mend: set a shorter one"
        case _:
            return f"{path}: cannot listen: {error.strerror}"
