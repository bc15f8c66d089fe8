"""The recipients' server: answers each RCPT as its local part asks, and keeps what it took.

ghost   550 5.1.1          full    552 5.2.2        policy   550 5.7.1
busy    450 4.3.0          liar    550 5.1.1, with words that pose as Postfix's own
slow    450 4.3.0 to each address the first SLOW_TRIES times, then 250
others  250

A quote before and digits behind such a word change nothing.
"""

import socketserver
import threading
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Self

REPLIES = {
    "ghost": "550 5.1.1 <{0}>: Recipient address rejected: User unknown",
    "full": "552 5.2.2 <{0}>: over quota",
    "policy": "550 5.7.1 <{0}>: Blocked by our policy",
    "busy": "450 4.3.0 <{0}>: come back later",
    "slow": "450 4.3.0 <{0}>: greylisted",
    "liar": "550 5.1.1 no), dsn=2.0.0, status=sent (250 2.0.0 Ok",
}

SLOW_TRIES = 2


@dataclass(frozen=True, slots=True)
class Taken:
    """One mail it took: for whom, and as it was before it was dot-stuffed."""

    sender: str
    recipients: tuple[str, ...]
    octets: bytes


class _Session(socketserver.StreamRequestHandler):
    server: "FarEnd"

    def handle(self) -> None:
        self._say("220 world.test ESMTP")
        sender, recipients = "", list[str]()
        for line in self.rfile:
            command = line.decode("ascii", "replace").strip()
            match command[:4].upper():
                case "EHLO":
                    self._say("250-world.test\r\n250 ENHANCEDSTATUSCODES")
                case "MAIL":
                    sender, recipients = _address(command), []
                    self._say("250 2.1.0 Ok")
                case "RCPT":
                    reply = self.server.reply_to(_address(command))
                    recipients += [_address(command)] if reply.startswith("250") else []
                    self._say(reply)
                case "DATA":
                    self._say("354 go on")
                    body = []
                    for text in self.rfile:
                        if text == b".\r\n":
                            break
                        body.append(text.removeprefix(b"."))
                    self.server.take(Taken(sender, tuple(recipients), b"".join(body)))
                    recipients = []
                    self._say("250 2.0.0 Ok: taken")
                case "QUIT":
                    self._say("221 2.0.0 Bye")
                    return
                case _:
                    self._say("250 2.0.0 Ok")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode("ascii"))


def _address(command: str) -> str:
    return command.partition("<")[2].partition(">")[0]


class FarEnd(socketserver.ThreadingTCPServer):
    """Listens on a free port of 127.0.0.1."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.port: int = self.server_address[1]
        self.took: list[str] = []
        """Recipients whose mail it took, one for each time."""
        self.mails: list[Taken] = []
        self.taken: Counter[str] = Counter()
        """The same, counted."""
        self.refused: Counter[str] = Counter()
        """How often it refused each recipient for good."""
        self.tries: Counter[str] = Counter()
        """How often each recipient was written to."""
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))

    def reply_to(self, address: str) -> str:
        """The answer to RCPT; it counts."""
        name = address.partition("@")[0].strip('"0123456789')
        reply = REPLIES.get(name, "250 2.1.5 Ok").format(address)
        with self._lock:
            self.tries[address] += 1
            if name == "slow" and self.tries[address] > SLOW_TRIES:
                reply = "250 2.1.5 Ok"
            if reply.startswith("5"):
                self.refused[address] += 1
        return reply

    def take(self, mail: Taken) -> None:
        """Keep a mail."""
        with self._lock:
            self.mails.append(mail)
            self.took += mail.recipients
            self.taken.update(mail.recipients)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
