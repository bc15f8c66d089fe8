"""The recipients' server: answers each RCPT as its local part asks, and keeps what it took.

ghost   550 5.1.1          full    552 5.2.2        policy   550 5.7.1
busy    450 4.3.0          liar    550 5.1.1, with words that pose as Postfix's own
others  250
"""

import socketserver
import threading
from types import TracebackType
from typing import Self

REPLIES = {
    "ghost": "550 5.1.1 <{0}>: Recipient address rejected: User unknown",
    "full": "552 5.2.2 <{0}>: over quota",
    "policy": "550 5.7.1 <{0}>: Blocked by our policy",
    "busy": "450 4.3.0 <{0}>: come back later",
    "liar": "550 5.1.1 no), dsn=2.0.0, status=sent (250 2.0.0 Ok",
}


class _Session(socketserver.StreamRequestHandler):
    server: "FarEnd"

    def handle(self) -> None:
        self._say("220 world.test ESMTP")
        recipients: list[str] = []
        for line in self.rfile:
            command = line.decode("ascii", "replace").strip()
            match command[:4].upper():
                case "EHLO":
                    self._say("250-world.test\r\n250 ENHANCEDSTATUSCODES")
                case "RCPT":
                    address = command.partition("<")[2].partition(">")[0]
                    reply = REPLIES.get(address.partition("@")[0].rstrip("0123456789"), "250 2.1.5 Ok")
                    recipients += [address] if reply.startswith("250") else []
                    self._say(reply.format(address))
                case "DATA":
                    self._say("354 go on")
                    for body in self.rfile:
                        if body.strip() == b".":
                            break
                    self.server.took += recipients
                    recipients = []
                    self._say("250 2.0.0 Ok: taken")
                case "QUIT":
                    self._say("221 2.0.0 Bye")
                    return
                case _:
                    self._say("250 2.0.0 Ok")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode("ascii"))


class FarEnd(socketserver.ThreadingTCPServer):
    """Listens on a free port of 127.0.0.1."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.port: int = self.server_address[1]
        self.took: list[str] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
