"""Postfix's side of the milter protocol, as a script: for what a real Postfix cannot be made to do on cue.

A packet is its length in four octets, a command octet and data; strings end with NUL.
Source: libmilter/mfdef.h, and what smtpd(8) was seen to send (protocol version 6).
"""

import contextlib
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

NO_REPLY = {"C": 0x1000, "M": 0x4000, "R": 0x8000, "L": 0x80, "B": 0x80000}
"""Commands of which the milter may say that it sends no answer (SMFIP_NR_*); one is asked for it here, and believed."""
ALL_STEPS = 0x1FFFFF
ADD_HEADERS, QUARANTINE = 0x01, 0x20


class MilterClient:
    """One connection to a milter, as from smtpd(8).

    Args:
        path:        of the milter's socket.
        address:     the SMTP client's.
        daemon_name: {daemon_name}.
    """

    def __init__(self, path: Path, address: str = "127.0.0.1", daemon_name: str = "mail.example.org") -> None:
        self._address, self._daemon_name = address, daemon_name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(10)
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        self._silent: set[str] = set()

    def greet(self) -> None:
        """Negotiate and tell who connects."""
        command, data = self.ask("O", struct.pack("!III", 6, ADD_HEADERS | QUARANTINE, ALL_STEPS))
        assert command == "O"
        steps = struct.unpack("!III", data[:12])[2]
        self._silent = {command for command, bit in NO_REPLY.items() if steps & bit}
        self.send("D", b"C{daemon_name}\0" + self._daemon_name.encode() + b"\0")
        family = b"6" if ":" in self._address else b"4"
        self.step("C", b"client\0" + family + struct.pack("!H", 25) + self._address.encode() + b"\0")

    def begin(self, login: str | None = None, queue_id: str = "4XyZ1k2", recipients: int = 1) -> str:
        """MAIL, RCPT and DATA; gives the milter's answer to the latter."""
        macros = {"{mail_addr}": "a@example.org"} | ({} if login is None else {"{auth_authen}": login})
        self.send("D", b"M" + b"".join(f"{name}\0{value}\0".encode() for name, value in macros.items()))
        self.step("M", b"<a@example.org>\0")
        for number in range(recipients):
            self.step("R", b"<b%d@example.net>\0" % number)
        self.send("D", b"Ti\0" + queue_id.encode() + b"\0")
        return self.step("T")

    def header(self, *fields: tuple[bytes, bytes]) -> str:
        """The header and its end; gives the answer to the latter."""
        for name, value in fields:
            self.step("L", name + b"\0" + value + b"\0")
        return self.step("N")

    def end(self) -> tuple[str, list[tuple[bytes, bytes]]]:
        """The end of the message: the answer, and the fields the milter puts on top, topmost first."""
        self.send("E")
        inserted: list[tuple[bytes, bytes]] = []
        while True:
            command, data = self.receive()
            if command != "i":
                return command, inserted
            name, value = data[4:].rstrip(b"\0").split(b"\0")
            inserted.insert(struct.unpack("!I", data[:4])[0], (name, value))

    def message(self, body: bytes = b"hello\r\n") -> list[tuple[bytes, bytes]]:
        """A whole message that is to be signed; gives the fields put on top."""
        assert self.begin() == "c"
        assert self.header((b"From", b"a@example.org")) == "c"
        for at in range(0, len(body), 65_535):
            self.step("B", body[at : at + 65_535])
        answer, inserted = self.end()
        assert answer in {"c", "a"}
        return inserted

    def step(self, command: str, data: bytes = b"") -> str:
        """Send a command and give the answer, "c" for one that has none."""
        self.send(command, data)
        return "c" if command in self._silent else self.receive()[0]

    def ask(self, command: str, data: bytes = b"") -> tuple[str, bytes]:
        self.send(command, data)
        return self.receive()

    def send(self, command: str, data: bytes = b"") -> None:
        self.socket.sendall(struct.pack("!I", len(data) + 1) + command.encode() + data)

    def receive(self) -> tuple[str, bytes]:
        """The next packet.

        Raises:
            ConnectionError: the milter hung up.
        """
        packet = self._exactly(struct.unpack("!I", self._exactly(4))[0])
        return packet[:1].decode(), packet[1:]

    def _exactly(self, count: int) -> bytes:
        octets = b""
        while len(octets) < count:
            piece = self.socket.recv(count - len(octets))
            if not piece:
                raise ConnectionError("the milter hung up")
            octets += piece
        return octets

    def __enter__(self) -> Self:
        self.greet()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self.send("Q")
        self.socket.close()
