"""Takes the connections of a listening Unix socket, so that no user of the host stops the others.

    accept(2) ─► whose is it (SO_PEERCRED)? ─┬ within the bounds ─► a protocol of its own, counted until it ends
                                             └ over a bound ─► the refusal, at once; one log line a user

What is over a bound is refused, not left in the kernel's queue of the socket: that one is shared by all. Postfix, which
keeps a connection for each of its processes, is exempt where it is the one who asks. A client that does not read what
was sent to it is cut off; one that says nothing is the protocol's to close.

Without a descriptor for another connection the socket rests for a moment, and the log says so; what connects waits.

Source:      unix(7), SO_PEERCRED; accept(2), "Error handling".
Diagnostics: connections.refused, connections.waiting.
BUGS:        users that our user namespace does not know are one, 65534; behind a proxy all are the proxy's.
"""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import cast

from postroom.runtime.descriptors import for_connections
from postroom.runtime.listeners import BACKLOG
from postroom.runtime.log import Log
from postroom.runtime.log_once import LogRarely
from postroom.runtime.subordinate_uids import SubordinateUids

ACCEPTED_AT_ONCE = 100
"""So many connections are taken before the event loop turns to other work."""
PAUSE_S = 0.5
"""How long the socket rests when there is no descriptor left."""
UNREAD_S = 60.0
"""How long a client may leave unread what was sent to it."""
LINGER_S = 1.0
"""How long a client that was refused may go on sending, so that it comes to read why."""
MOST_LINGERING = 64
"""So many of them; those beyond are closed at once."""
LOG_AGAIN_S = 600.0
MOST_LOGGED = 100
"""Users that are logged within LOG_AGAIN_S."""
_UCRED = struct.Struct("3i")

MakeProtocol = Callable[[int], asyncio.Protocol]
"""Makes what serves one connection; gets the client's uid."""


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """How many connections may be open at once.

    Attributes:
        per_user:    of one uid.
        in_all:      of all users but the exempt ones.
        exempt:      uids that are not bounded so.
        of_exempt:   what they may have open in all; None for no bound but the descriptors.
    """

    per_user: int
    in_all: int
    exempt: frozenset[int] = frozenset()
    of_exempt: int | None = None

    def within(self, descriptors: int) -> "ConnectionBounds":
        """The same where there are fewer descriptors: of those a user may have a quarter."""
        if descriptors >= self.in_all:
            return self
        return replace(self, in_all=descriptors, per_user=min(self.per_user, max(1, descriptors // 4)))


class Acceptor:
    """The connections of one listening socket.

    Args:
        refusal: makes what a connection over a bound gets before it is closed.
        mend:    what the log tells an operator to do when a user is over its bound.
    """

    def __init__(
        self,
        make_protocol: MakeProtocol,
        bounds: ConnectionBounds,
        log: Log,
        *,
        refusal: Callable[[], bytes] = bytes,
        mend: str = "end the processes that leave connections open",
    ) -> None:
        self._make_protocol = make_protocol
        self._bounds = bounds.within(for_connections())
        self._log = log
        self._refusal = refusal
        self._mend = mend
        self._users = SubordinateUids()
        self._open = Counter[int]()
        self._starting: set[asyncio.Task[None]] = set()
        self._lingering: set[socket.socket] = set()
        self._listening: socket.socket | None = None
        self._name = ""
        self._resuming: asyncio.TimerHandle | None = None
        self._logged = LogRarely(LOG_AGAIN_S, MOST_LOGGED)

    def start(self, listening: socket.socket) -> None:
        """Begin to take connections, on the running event loop."""
        listening.setblocking(False)
        listening.listen(BACKLOG)
        self._listening, self._name = listening, str(listening.getsockname())
        self._resume()

    def close(self) -> None:
        """Stop listening; connections that are open go on. Safe to repeat."""
        if self._listening is None:
            return
        if self._resuming is not None:
            self._resuming.cancel()
        asyncio.get_running_loop().remove_reader(self._listening.fileno())
        self._listening.close()
        self._listening = None
        for refused in list(self._lingering):
            self._end_lingering(refused)

    def _resume(self) -> None:
        self._resuming = None
        if self._listening is not None:
            asyncio.get_running_loop().add_reader(self._listening.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            if self._listening is None:
                return
            try:
                connection, _address = self._listening.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._rest(error)
                return
            connection.setblocking(False)
            self._take(connection)

    def _rest(self, error: OSError) -> None:
        """There is no descriptor, or no memory: asking again at once would keep the event loop from all else."""
        assert self._listening is not None
        if self._logged.is_new("waiting"):
            self._log.error(
                "connections.waiting",
                socket=self._name,
                error=error.strerror,
                open=self._open.total(),
                effect="who connects waits",
                mend="allow more descriptors: LimitNOFILE= of the unit, or `ulimit -n`",
            )
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listening.fileno())
        self._resuming = loop.call_later(PAUSE_S, self._resume)

    def _take(self, connection: socket.socket) -> None:
        try:
            _pid, uid, _gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        except OSError:
            connection.close()
            return
        user = self._users.user_of(uid)
        most = self._bound_reached(user)
        if most is not None:
            self._refuse(connection, user, most)
            return
        self._open[user] += 1
        task = asyncio.get_running_loop().create_task(self._serve(connection, uid, user))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    def _bound_reached(self, uid: int) -> str | None:
        """The bound, in words, that one more connection of this user is over."""
        bounds = self._bounds
        of_exempt = sum(self._open[one] for one in bounds.exempt)
        if uid in bounds.exempt:
            is_over = bounds.of_exempt is not None and of_exempt >= bounds.of_exempt
            return f"{bounds.of_exempt} of Postfix" if is_over else None
        if self._open[uid] >= bounds.per_user:
            return f"{bounds.per_user} of a user"
        if self._open.total() - of_exempt >= bounds.in_all:
            return f"{bounds.in_all} of all users"
        return None

    async def _serve(self, connection: socket.socket, uid: int, user: int) -> None:
        is_counted = True

        def ended() -> None:
            nonlocal is_counted
            if is_counted:
                is_counted = False
                self._open[user] -= 1
                if not self._open[user]:
                    del self._open[user]

        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: _CountedProtocol(self._make_protocol(uid), ended, loop), connection
            )
        except OSError:
            connection.close()
            ended()

    def _refuse(self, connection: socket.socket, uid: int, most: str) -> None:
        # The text tells which bound, so a user over its own and one that meets the other's are two lines.
        if self._logged.is_new((uid, most)):
            self._log.warning(
                "connections.refused",
                socket=self._name,
                uid=uid,
                open=self._open[uid],
                most=most,
                effect="further ones are refused, others are served",
                mend=self._mend,
            )
        with suppress(OSError):
            connection.send(self._refusal())
            connection.shutdown(socket.SHUT_WR)
        if len(self._lingering) >= MOST_LINGERING:
            connection.close()
            return
        self._lingering.add(connection)
        asyncio.get_running_loop().call_later(LINGER_S, self._end_lingering, connection)

    def _end_lingering(self, refused: socket.socket) -> None:
        self._lingering.discard(refused)
        refused.close()


class _CountedProtocol(asyncio.Protocol):
    """A connection's own protocol, and what tells the acceptor of its end."""

    def __init__(self, served: asyncio.Protocol, ended: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        self._served = served
        self._ended = ended
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses of it
        self._served.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._served.data_received(data)

    def eof_received(self) -> bool | None:
        return self._served.eof_received()

    def pause_writing(self) -> None:
        assert self._transport is not None
        self._unread = self._loop.call_later(UNREAD_S, self._transport.abort)
        self._served.pause_writing()

    def resume_writing(self) -> None:
        self._read()
        self._served.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._read()
        self._ended()
        self._served.connection_lost(exc)

    def _read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
