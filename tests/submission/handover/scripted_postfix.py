"""A listener that speaks SMTP as a script says: for what the real Postfix cannot be made to do on cue.

A script answers each command (EHLO, MAIL, RCPT, DATA, the final dot as ".", the greeting as "") with octets, or
with one of the words below. Without an answer of its own a command gets a plain server's, which keeps one order:
MAIL is refused while a transaction is open, DATA while it has no recipient (RFC 5321 §4.1.4).
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

DROP = b"drop"
"""Hang up; in place of an answer, or at its end."""
SILENCE = b"silence"
"""Read on and answer nothing more."""

OFFERS = b"250-mail.example.org\r\n250-PIPELINING\r\n250 DSN\r\n"
PLAIN = {
    "": b"220 mail.example.org ESMTP\r\n",
    "EHLO": OFFERS,
    "MAIL": b"250 2.1.0 Ok\r\n",
    "RCPT": b"250 2.1.5 Ok\r\n",
    "DATA": b"354 End data with <CR><LF>.<CR><LF>\r\n",
    "RSET": b"250 2.0.0 Ok\r\n",
    ".": b"250 2.0.0 Ok: queued as 4XyZ1k2bQvz6Qb\r\n",
    "QUIT": b"221 2.0.0 Bye\r\n",
}


@dataclass
class Seen:
    """One session as the listener saw it."""

    number: int
    """1 is the first session."""
    commands: list[str] = field(default_factory=list)
    """Whole command lines; the end of each body is a "."."""
    bodies: list[bytes] = field(default_factory=list)

    def count(self, verb: str) -> int:
        return sum(command.startswith(verb) for command in self.commands)


class _Transaction:
    """The order of commands that a plain server keeps."""

    def __init__(self) -> None:
        self._is_open = self._has_recipient = False

    def plain_answer(self, command: str) -> bytes:
        verb = command.split(" ", maxsplit=1)[0]
        if verb == "MAIL" and self._is_open:
            return b"503 5.5.1 Error: nested MAIL command\r\n"
        if verb == "DATA" and not self._has_recipient:
            return b"554 5.5.1 Error: no valid recipients\r\n"
        return PLAIN[verb]

    def answered(self, command: str, answer: bytes) -> None:
        if command in {".", "RSET"}:
            self._is_open = self._has_recipient = False
        elif answer.startswith(b"250"):
            self._is_open = self._is_open or command.startswith("MAIL")
            self._has_recipient = self._has_recipient or command.startswith("RCPT")


Script = Callable[[Seen, str], "bytes | asyncio.Future[bytes] | None"]
"""Takes the session and the command line; None is the plain answer, a future one that comes later."""


def answering(verb: str, answer: bytes, *sessions: int) -> "Script":
    """A script with one answer of its own; in these sessions only, where any are named."""

    def script(seen: Seen, command: str) -> bytes | None:
        if sessions and seen.number not in sessions:
            return None
        return answer if command.split(" ", maxsplit=1)[0] == verb else None

    return script


class ScriptedPostfix:
    """Listens at `path`, one script for all its sessions.

    Args:
        break_body_at: hang up after so many octets of a body, before its final dot.
    """

    def __init__(self, path: Path, script: Script = lambda _seen, _command: None, break_body_at: int = 0) -> None:
        self.path = path
        self.script = script
        self.break_body_at = break_body_at
        self.sessions: list[Seen] = []
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def queued(self) -> list[bytes]:
        """The bodies of all sessions that came to their final dot."""
        return [body for seen in self.sessions for body in seen.bodies]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._connected, str(self.path))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        self.path.unlink()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = Seen(len(self.sessions) + 1)
        self.sessions.append(seen)
        try:
            await self._speak(seen, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client hung up, which is its right
        finally:
            writer.transport.abort()

    async def _speak(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command, transaction = "", _Transaction()
        while True:
            answer = self.script(seen, command)
            if answer is None:
                answer = transaction.plain_answer(command)
            elif isinstance(answer, asyncio.Future):
                answer = await answer
            if answer.endswith(DROP):
                writer.write(answer.removesuffix(DROP))
                return
            if answer == SILENCE:
                await reader.read()
                return
            writer.write(answer)
            await writer.drain()
            transaction.answered(command, answer)
            if command == "QUIT":
                return
            if command == "DATA" and answer.startswith(b"354"):
                if not await self._body(seen, reader):
                    return
                command = "."
            else:
                command = (await reader.readuntil(b"\r\n")).decode().removesuffix("\r\n")
            seen.commands.append(command)

    async def _body(self, seen: Seen, reader: asyncio.StreamReader) -> bool:
        """Read a body to its final dot; false when the script breaks off before."""
        if self.break_body_at:
            await reader.readexactly(self.break_body_at)
            return False
        lines = []
        while (line := await reader.readuntil(b"\r\n")) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        seen.bodies.append(b"".join(lines))
        return True


def message_of(command: str) -> str:
    """The message a MAIL command is of: its ENVID."""
    found = re.search(r"ENVID=(\S+)", command)
    assert found is not None
    return found[1]
