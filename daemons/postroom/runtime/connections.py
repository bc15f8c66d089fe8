"""Connections that are each served by a task of their own, and their orderly end.

When the daemon drains, a connection that waits for its client is closed at once; one that is occupied (a question was
asked, a mail is there) has time to finish. One that waits for its client for too long, whatever it sends meanwhile, is
closed too, unless the client is exempt.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from postroom.runtime.acceptor import Acceptor, ConnectionBounds
from postroom.runtime.log import Log

Converse = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Connections:
    """The open connections of one listening socket.

    Args:
        converse: serves one connection until its end, and closes the writer.
        idle_s:   how long a connection may be unoccupied before it is closed; those of `bounds.exempt` as long as they
                  like.
        refusal:  sent to a connection past the bounds, and to one that comes while the daemon drains.
    """

    def __init__(
        self, converse: Converse, bounds: ConnectionBounds, idle_s: float, log: Log, refusal: bytes = b""
    ) -> None:
        self._converse = converse
        self._bounds = bounds
        self._idle_s = idle_s
        self._log = log
        self._refusal = refusal
        self._tasks: set[asyncio.Task[None]] = set()
        self._occupied: set[asyncio.Task[None]] = set()
        self._closing_at: dict[asyncio.Task[None], asyncio.TimerHandle] = {}
        """What closes each connection that waits for its client and may not for ever."""
        self.is_draining = False
        """Whether occupied connections are to end after what they are doing."""

    def __len__(self) -> int:
        return len(self._tasks)

    def serve(self, sock: socket.socket) -> Acceptor:
        """Begin to take connections of this listening socket, until what is returned is closed."""
        acceptor = Acceptor(self._protocol, self._bounds, self._log, refusal=lambda: self._refusal)
        acceptor.start(sock)
        return acceptor

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Mark the connection of this task as occupied."""
        task = asyncio.current_task()
        assert task is not None, "each connection is served by a task"
        self._occupied.add(task)
        closing = self._closing_at.pop(task, None)
        if closing is not None:
            closing.cancel()
        try:
            yield
        finally:
            self._occupied.discard(task)
            if closing is not None:
                self._close_later(task)

    async def drain(self, timeout_s: float) -> None:
        """Let occupied connections finish, for so many seconds; close all others."""
        self.is_draining = True
        for task in self._tasks - self._occupied:
            task.cancel()
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=timeout_s)
            for task in late:
                task.cancel()

    def _protocol(self, uid: int) -> asyncio.Protocol:
        return asyncio.StreamReaderProtocol(
            asyncio.StreamReader(), lambda reader, writer: self._connected(reader, writer, uid)
        )

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, uid: int) -> None:
        if self.is_draining:
            writer.write(self._refusal)
            writer.close()
            return
        task = asyncio.ensure_future(self._converse(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        if uid not in self._bounds.exempt:
            self._close_later(task)

    def _close_later(self, task: "asyncio.Task[None]") -> None:
        self._closing_at[task] = asyncio.get_running_loop().call_later(self._idle_s, task.cancel)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if (closing := self._closing_at.pop(task, None)) is not None:
            closing.cancel()
