"""The children as processes: started, heard and reaped.

They speak as to systemd, each through a pair of sockets of its own, of which it inherits one end (NOTIFY_FD). A name
would be open to every local user, who could fill its queue until no sign of life gets through; and of two children
at one socket one could do that to the other. The kernel says which process sent what, so nothing but a child's own
words count for it.

Each child dies with us, also when we are killed (PR_SET_PDEATHSIG): otherwise an outbox without a
supervisor would go on, and refuse the one that is started next. A pipe would do the same only for
children that look at it. SIGKILL rather than SIGTERM, so that they are gone at once, before a new
`serve` starts its own; every daemon is made to bear that.

As process 1 of a container we inherit all orphans, and reap them with the rest.

Source:  sd_notify(3), unix(7) "SCM_CREDENTIALS", socketpair(2), prctl(2), waitid(2).
"""

import ctypes
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence

from postroom.runtime.log import Log
from postroom.runtime.notify import NOTIFY_FD

PR_SET_PDEATHSIG = 1
MOST_OCTETS = 4096
MOST_HEARD = 50
"""So many messages of a child are read at a look, and then it is the others' turn."""
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_LIBC = ctypes.CDLL(None, use_errno=True)
OF_OUR_OWN = (NOTIFY_FD, "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
"""What systemd tells us and not our children."""


class Children:
    """The children of this process.

    Args:
        command:    what runs a daemon when its word is put behind it.
        watchdog_s: what they are told of how often to give a sign of life.
    """

    def __init__(self, command: Sequence[str], watchdog_s: float, environment: Mapping[str, str], log: Log) -> None:
        self._sockets: dict[str, socket.socket] = {}
        """Our end for each child, by its word."""
        self._command = command
        self._environment = {name: value for name, value in environment.items() if name not in OF_OUR_OWN} | {
            "WATCHDOG_USEC": str(int(watchdog_s * 1_000_000)),
        }
        self._log = log
        self._running: dict[int, tuple[str, subprocess.Popen[bytes]]] = {}

    def start(self, word: str) -> None:
        """Start a daemon in a session of its own: Ctrl-C at a terminal is for us, who end all in their order.

        Raises:
            OSError: no process can be made.
        """
        us = os.getpid()

        def die_with_us() -> None:
            _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != us:  # we died before that was set
                os._exit(os.EX_OSERR)

        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        try:
            child = subprocess.Popen(  # noqa: S603 - our own program
                [*self._command, word],
                stdin=subprocess.DEVNULL,
                env=self._environment | {NOTIFY_FD: str(theirs.fileno())},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                preexec_fn=die_with_us,  # noqa: PLW1509 - one thread, so nothing is held at the fork
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        if (former := self._sockets.get(word)) is not None:
            former.close()
        self._sockets[word] = ours
        self._running[child.pid] = word, child
        self._log.info("serve.started", daemon=word, pid=child.pid)

    def send(self, word: str, number: signal.Signals) -> None:
        """Send a signal to a daemon; nothing happens when it is not running."""
        for name, child in self._running.values():
            if name == word:
                child.send_signal(number)

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """What can be read when a child has spoken."""
        return list(self._sockets.values())

    def heard(self) -> Iterator[tuple[str, list[str]]]:
        """Give what the children have said since, at most MOST_HEARD messages of each: word and lines."""
        for word, listening in list(self._sockets.items()):
            for _ in range(MOST_HEARD):
                try:
                    octets, ancillary, _, _ = listening.recvmsg(MOST_OCTETS, socket.CMSG_SPACE(_CREDENTIALS.size))
                except OSError:  # nothing more now
                    break
                for level, kind, data in ancillary:
                    if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                        pid, _, _ = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])
                        if pid in self._running and self._running[pid][0] == word:  # else it is of a child's child
                            yield word, octets.decode("utf-8", errors="replace").splitlines()

    def reap(self) -> Iterator[tuple[str, int]]:
        """Give word and exit code (negative for a signal) of the children that have ended; reap orphans silently."""
        while True:
            try:
                # Looked at and left: Popen is to reap its own.
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            if ended.si_pid in self._running:
                word, child = self._running.pop(ended.si_pid)
                yield word, child.wait()
            else:
                os.waitpid(ended.si_pid, 0)

    def close(self) -> None:
        """Hear no child any more; they themselves are left alone."""
        for listening in self._sockets.values():
            listening.close()
