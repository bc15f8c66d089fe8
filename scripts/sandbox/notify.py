"""The receiving side of sd_notify(3): wait until a daemon says READY=1.

A Unix datagram socket stands for systemd. The wait ends at the deadline, and at once when the daemon
dies before it is ready.

Source: sd_notify(3), NOTIFY_SOCKET; pidfd_open(2).
Limits: any process that may write to the socket's folder can say READY=1; this is for the sandbox only.
"""

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.process import BedError


class NotifySocket:
    """Binds `path`; give it to the daemon as NOTIFY_SOCKET.

    Args:
        path: at most 107 bytes long (unix(7)); a leftover is replaced.
        uid: the user the daemon runs as, when it is not ours.
    """

    def __init__(self, path: Path, uid: int | None = None) -> None:
        self.path = path
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        if uid is not None:
            os.chown(path, uid, -1)

    def wait_ready(self, pid: int, within_s: float) -> list[str]:
        """Wait for READY=1; return all lines received (STATUS=…, MAINPID=…), in order.

        Args:
            pid: the process whose death ends the wait.
            within_s: seconds to wait at most.

        Raises:
            BedError: the process ended, or was not ready in time.
        """
        end = time.monotonic() + within_s
        lines: list[str] = []
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            raise BedError(f"process {pid} ended before it was ready") from None
        try:
            while True:
                left_s = end - time.monotonic()
                if left_s <= 0:
                    raise BedError(f"process {pid} was not ready within {within_s:g} s; it said {lines or 'nothing'}")
                readable, _, _ = select.select([self._socket.fileno(), process], [], [], left_s)
                # Words first: a daemon may be ready and end in the same moment.
                if self._socket.fileno() in readable:
                    lines += self._socket.recv(4096).decode("utf-8", errors="replace").splitlines()
                    if "READY=1" in lines:
                        return lines
                elif readable:
                    raise BedError(f"process {pid} ended before it was ready; it said {lines or 'nothing'}")
        finally:
            os.close(process)

    @contextlib.contextmanager
    def being_read(self) -> Iterator[None]:
        """Read all that is said, and throw it away: nobody is to find the queue full."""
        ending, end = socket.socketpair()

        def read() -> None:
            while ending not in select.select([self._socket, ending], [], [])[0]:
                with contextlib.suppress(BlockingIOError):
                    self._socket.recv(4096)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield
        finally:
            end.close()
            reader.join()
            ending.close()

    def close(self) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
