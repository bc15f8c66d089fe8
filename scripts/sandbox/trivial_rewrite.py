"""A client of trivial-rewrite(8), to ask a Postfix what it makes of an address.

Source:  Postfix src/global/rewrite_clnt.c, resolve_clnt.c, quote_822_local.c; src/util/attr_scan0.c.
"""

import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.process import BedError

ERROR, FAILED = 0x4, 0x8
"""RESOLVE_FLAG_ERROR and RESOLVE_FLAG_FAIL."""
_NEEDS_QUOTES = '()<>@,;:\\"[] '


class TrivialRewrite:
    """One connection to the service `rewrite` of a Postfix.

    Args:
        socket_path: private/rewrite in its queue directory.
    """

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._sock: socket.socket | None = None

    def resolved(self, address: str) -> str | None:
        """The recipient Postfix delivers to when smtpd(8) was given this one, without quotes; None where it fails.

        As cleanup(8) and qmgr(8) do it: rewritten in the context `local`, then resolved.
        """
        rewritten = self._ask(request="rewrite", rule="local", address=quoted(address))["address"]
        answer = self._ask(request="resolve", sender="", address=unquoted(rewritten))
        return None if int(answer["flags"]) & (FAILED | ERROR) else answer["recipient"]

    def _ask(self, **attributes: str) -> dict[str, str]:
        # trivial-rewrite ends by itself when it was idle, or when its configuration has changed.
        for _ in range(2):
            try:
                return self._asked(attributes)
            except (OSError, EOFError):
                self.close()
        raise BedError(f"{self._path}: no answer")

    def _asked(self, attributes: dict[str, str]) -> dict[str, str]:
        if self._sock is None:
            self._sock = socket.socket(socket.AF_UNIX)
            self._sock.settimeout(20)
            self._sock.connect(str(self._path))
            self._stream = self._sock.makefile("rb")
            self._answer()  # its protocol's name
        octets = b"".join(f"{name}\0{value}\0".encode("utf-8", "surrogateescape") for name, value in attributes.items())
        self._sock.sendall(octets + b"\0")
        return self._answer()

    def _answer(self) -> dict[str, str]:
        answer: dict[str, str] = {}
        while name := self._word():
            answer[name] = self._word()
        return answer

    def _word(self) -> str:
        word = bytearray()
        while (octet := self._stream.read(1)) != b"\0":
            if not octet:
                raise EOFError
            word += octet
        return word.decode("utf-8", "surrogateescape")

    def close(self) -> None:
        if self._sock is not None:
            self._stream.close()
            self._sock.close()
            self._sock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def quoted(address: str) -> str:
    """An address with its local part in quotes where that is no dot-atom, as cleanup(8) sends it."""
    start = address.index(":") + 1 if address.startswith("@") and ":" in address else 0
    local, at, domain = address[start:].rpartition("@")
    if not at:
        local, domain = address[start:], ""
    if local and not (set(local) & set(_NEEDS_QUOTES)) and all(local.split(".")) and local.isprintable():
        return address
    inside = local.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\\r")
    return f'{address[:start]}"{inside}"{at}{domain}'


def unquoted(address: str) -> str:
    """The address without quotes, up to its last @ outside of any."""
    plain, at_mark, rest, in_quotes, index = "", -1, "", False, 0
    while index < len(address):
        char = address[index]
        if char == '"':
            in_quotes = not in_quotes
            index += 1
            continue
        if char == "@" and not in_quotes:
            at_mark, rest = len(plain), address[index:]
        elif char == "\\" and index + 1 < len(address):
            index += 1
            char = address[index]
        elif char == "\\":
            index += 1
            continue
        plain += char
        index += 1
    return plain if at_mark < 0 else plain[:at_mark] + rest
