"""One SMTP session with Postfix's hand-over listener: the transport under smtp.py.

Source:  postfix-conf/submission.master.cf, where each option has its reason; smtpd(8).
"""

import asyncio
import errno
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import cast

from postroom.mail.status import Reply
from postroom.submission.handover.smtp import QUIT, ReplyReader, SmtpProtocolError, ehlo

MAX_DELIVERIES = 100
"""Deliveries one session carries; then a fresh one, as Postfix's own client does by time."""
MAX_AGE_S = 60.0
MAX_UNREAD = 16
"""Replies that may have come unread; four are asked for at once at most."""


class PostfixAway(Exception):
    """No session could be opened; the text says why and how to mend."""


class SessionLost(Exception):
    """The session broke off, or no reply came in time."""


class _Wire(asyncio.Protocol):
    """Octets in, replies out; knows when the kernel has taken all we wrote."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.lost: str | None = None
        self._reader = ReplyReader()
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's transports are no subclasses of asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        try:
            self._replies.extend(self._reader.feed(data))
        except SmtpProtocolError as error:
            self._end(str(error))
        if len(self._replies) > MAX_UNREAD:
            self._replies.clear()
            self._end("Postfix sends replies nobody asked for")
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("Postfix closed the connection" if exc is None else str(exc))
        self._wake()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._wake()

    def _end(self, reason: str) -> None:
        if self.lost is None:
            self.lost = reason
        if self.transport is not None:
            self.transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _change(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def reply_at_hand(self) -> Reply | None:
        return self._replies.popleft() if self._replies else None

    async def reply(self) -> Reply:
        while (reply := self.reply_at_hand()) is None:
            if self.lost is not None:
                raise SessionLost(self.lost)
            await self._change()
        return reply

    async def written(self) -> None:
        while self._paused:
            if self.lost is not None:
                raise SessionLost(self.lost)
            await self._change()
        if self.lost is not None:
            raise SessionLost(self.lost)


class SmtpSession:
    """An open session, greeted and past EHLO."""

    def __init__(self, wire: _Wire, *, dsn: bool, began: float, opened_at: float) -> None:
        self._wire = wire
        self._began = began
        self.opened_at = opened_at
        """Taken before it was opened, in Unix seconds."""
        self.dsn = dsn
        self.carried = 0
        """Transactions begun in this session."""

    @staticmethod
    async def open(socket: Path, hostname: str, timeout_s: float, now: float) -> "SmtpSession":
        """Connect, read the greeting, say EHLO. `now` is in Unix seconds.

        Raises:
            PostfixAway: nobody listens, no right to connect, or not the listener it must be.
        """
        loop = asyncio.get_running_loop()
        wire: _Wire | None = None
        try:
            async with asyncio.timeout(timeout_s):
                _, wire = await loop.create_unix_connection(_Wire, str(socket))
                greeting = await wire.reply()
                if greeting.code != 220:
                    raise PostfixAway(f"{socket}: Postfix greets with {greeting}")
                assert wire.transport is not None
                wire.transport.write(ehlo(hostname))
                offers = await wire.reply()
        except (OSError, TimeoutError, SessionLost, PostfixAway) as error:
            if wire is not None and wire.transport is not None:
                wire.transport.abort()
            if isinstance(error, PostfixAway):
                raise
            raise PostfixAway(_why_away(socket, error, timeout_s)) from error
        words = offers.text.split()
        if offers.code != 250 or "PIPELINING" not in words:
            wire.transport.abort()
            raise PostfixAway(
                f"{socket}: this listener offers no PIPELINING ({offers.code}); "
                "mend: give it the options of postfix-conf/submission.master.cf, then `postfix reload`"
            )
        return SmtpSession(wire, dsn="DSN" in words, began=loop.time(), opened_at=now)

    @property
    def is_spent(self) -> bool:
        """Whether it has carried enough, or is broken."""
        age_s = asyncio.get_running_loop().time() - self._began
        return self._wire.lost is not None or self.carried >= MAX_DELIVERIES or age_s >= MAX_AGE_S

    def send(self, *octets: bytes) -> None:
        """Write, as one piece where the kernel takes it; a loss shows at the next reply."""
        if self._wire.lost is None and self._wire.transport is not None:
            self._wire.transport.writelines(octets)

    async def written(self, timeout_s: float) -> None:
        """Wait until the kernel has taken everything.

        Raises:
            SessionLost: it broke off, or the other side does not read.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._wire.written()
        except TimeoutError:
            raise SessionLost(f"Postfix read nothing for {timeout_s:g} s") from None

    async def reply(self, timeout_s: float) -> Reply:
        """The next reply.

        Raises:
            SessionLost: none came within the time, or the session broke off.
        """
        # Most have come together with an earlier one: no timer for them.
        if (reply := self._wire.reply_at_hand()) is not None:
            return reply
        try:
            async with asyncio.timeout(timeout_s):
                return await self._wire.reply()
        except TimeoutError:
            raise SessionLost(f"no reply within {timeout_s:g} s") from None

    async def quit(self) -> None:
        """Say QUIT and close; never raises, never waits long."""
        self.send(QUIT)
        with suppress(SessionLost):
            await self.reply(1.0)
        self.abort()

    def abort(self) -> None:
        """Close at once: Postfix drops a message whose final dot it has not seen."""
        if self._wire.transport is not None:
            self._wire.transport.abort()


def _why_away(socket: Path, error: Exception, timeout_s: float) -> str:
    match error:
        case TimeoutError():
            return f"{socket}: no answer within {timeout_s:g} s; mend: look at Postfix's log"
        case OSError(errno=errno.ENOENT):
            return (
                f"{socket}: no such socket; mend: start Postfix, "
                "and check that master.cf holds postfix-conf/submission.master.cf"
            )
        case OSError(errno=errno.ECONNREFUSED):
            return f"{socket}: Postfix is not running; mend: start it"
        case OSError(errno=errno.EACCES):
            return f"{socket}: permission denied; mend: add this daemon's user to group postdrop, then restart it"
        case _:
            return f"{socket}: {error}"
