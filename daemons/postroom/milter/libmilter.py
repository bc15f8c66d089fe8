"""libmilter, which wants the whole process, on a socket it did not open.

libmilter listens only where it opened the socket itself. So it opens one on a
path thrown away at once, and then its descriptor is made ours by dup2(2): one
way for a socket made here and one passed by systemd, and libmilter finds no
file of ours to remove when it ends. The same way it stops listening: its
descriptor becomes one that nobody ever connects to.

Flow:    LibMilter(…) (master) -> fork -> serve (worker's main thread) … stop_accepting, open_sessions (another one)
Source:  libmilter's API (smfi_register, smfi_opensocket, smfi_main); dup2(2), unix(7), proc(5).
BUGS:    SIGTERM, SIGINT and SIGHUP sent to a worker itself are libmilter's: it ends within 5 s and cuts its
         sessions. Send them to the master.
"""

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import Milter

from postroom.milter.session import MilterSession

NAME = "postroom"


class LibMilter:
    """The library, once in a process and its children.

    Args:
        listener: our listening socket, non-blocking; it has a path.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._path = str(listener.getsockname())
        self._make_session: Callable[[], MilterSession] | None = None
        self._fd = self._opened()
        os.dup2(listener.fileno(), self._fd, inheritable=False)
        self._dummy: tuple[socket.socket, socket.socket] | None = None

    def serve(self, make_session: Callable[[], MilterSession]) -> None:
        """Serve connections on this thread until libmilter is told to end, which only a signal does."""
        self._make_session = make_session
        Milter.main()

    def stop_accepting(self, *, is_last: bool) -> None:
        """Leave new connections to others that have the socket; those that are open go on.

        Args:
            is_last: there are no others, and nobody shall connect any more.
        """
        if is_last:
            # libmilter's poll(2) keeps the socket alive up to 5 s longer: who connects would wait in vain, and a
            # daemon that starts would see another one listen.
            with socket.socket(fileno=os.dup(self._fd)) as listening:
                listening.shutdown(socket.SHUT_RDWR)
        self._dummy = socket.socketpair()
        os.dup2(self._dummy[0].fileno(), self._fd, inheritable=False)

    def open_sessions(self) -> int:
        """Count the connections that are open, also those libmilter has accepted and not looked at; ask the kernel."""
        # A connection's own name is the path its listener was bound to (unix(7)).
        return len(_sockets_at(self._path, listening=False))

    def _opened(self) -> int:
        Milter.set_flags(Milter.ADDHDRS | Milter.CHGHDRS | Milter.QUARANTINE)
        Milter.set_connect_callback(lambda ctx, *of: _session(ctx).connect(*of))
        Milter.set_envfrom_callback(lambda ctx, *of: _session(ctx).envfrom_bytes(*of))
        Milter.set_envrcpt_callback(lambda ctx, *of: _session(ctx).envrcpt_bytes(*of))
        Milter.set_header_callback(lambda ctx, *of: _session(ctx).header_bytes(*of))
        Milter.set_eoh_callback(lambda ctx: _session(ctx).eoh())
        Milter.set_body_callback(lambda ctx, chunk: _session(ctx).body(chunk))
        Milter.set_eom_callback(lambda ctx: _session(ctx).eom())
        Milter.set_abort_callback(lambda ctx: _session(ctx).abort())
        Milter.set_close_callback(Milter.close_callback)
        with tempfile.TemporaryDirectory(prefix="postroom-milter-") as folder:
            path = str(Path(folder) / "s")
            Milter.setconn(f"unix:{path}")
            Milter.register(NAME, data=lambda ctx: _session(ctx).data(), negotiate=self._negotiate)
            Milter.opensocket(False)
            (fd,) = _sockets_at(path, listening=True)
        return fd

    def _negotiate(self, ctx: "Milter.milterContext", options: list[int]) -> int:
        assert self._make_session is not None
        session = self._make_session()
        session._setctx(ctx)  # noqa: SLF001 - how Milter's own callbacks tie the two
        return session.negotiate(options)


def _session(ctx: "Milter.milterContext") -> MilterSession:
    session = ctx.getpriv()
    assert isinstance(session, MilterSession), "every Postfix that this serves negotiates first"
    return session


def _sockets_at(path: str, *, listening: bool) -> list[int]:
    """Our descriptors that are sockets with this name, those that listen or those that do not."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            copy = os.dup(int(name))
        except OSError:
            continue  # closed meanwhile
        try:
            with socket.socket(fileno=copy) as named:
                does_listen = named.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
                if named.getsockname() == path and does_listen == listening:
                    found.append(int(name))
        except OSError:  # no socket
            os.close(copy)
    return found
