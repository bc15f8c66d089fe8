"""Connections of a listening socket, each served by a task of its own, and their orderly end.

When the daemon drains, a connection that waits for its client is closed at once; one that is occupied (a question was
asked, a mail is there) has time to finish.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from postroom.runtime.listeners import BACKLOG

Converse = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Connections:
    """The open connections of one listening socket.

    Args:
        converse: serves one connection until its end, and closes the writer.
        most:     how many may be open at once; None for no bound.
        refusal:  sent to a connection past that, and to one that comes while the daemon drains.
    """

    def __init__(self, converse: Converse, most: int | None = None, refusal: bytes = b"") -> None:
        self._converse = converse
        self._most = most
        self._refusal = refusal
        self._tasks: set[asyncio.Task[None]] = set()
        self._occupied: set[asyncio.Task[None]] = set()
        self.is_draining = False
        """Whether occupied connections are to end after what they are doing."""

    def __len__(self) -> int:
        return len(self._tasks)

    async def serve(self, sock: socket.socket) -> asyncio.Server:
        """Begin to take connections of this listening socket."""
        # Not start_unix_server: from Python 3.13 on that one looks at the socket's file, and removes it at the end. The
        # file is its listener's to remove, or systemd's, and may lie where this daemon may not look.
        return await asyncio.start_server(self._connected, sock=sock, backlog=BACKLOG)

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Mark the connection of this task as occupied."""
        task = asyncio.current_task()
        assert task is not None, "each connection is served by a task"
        self._occupied.add(task)
        try:
            yield
        finally:
            self._occupied.discard(task)

    async def drain(self, timeout_s: float) -> None:
        """Let occupied connections finish, for so many seconds; close all others."""
        self.is_draining = True
        for task in self._tasks - self._occupied:
            task.cancel()
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=timeout_s)
            for task in late:
                task.cancel()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_draining or (self._most is not None and len(self._tasks) >= self._most):
            writer.write(self._refusal)
            writer.close()
            return
        task = asyncio.ensure_future(self._converse(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
