"""A client of the API, as an application would write one: HTTP and JSON over the submission socket.

Written apart from Postroom's own code, so that the quickstart proves the interface and not the program.
"""

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.process import BedError

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Answer:
    """What the API said."""

    status: int
    headers: Mapping[str, str]
    document: Any
    """The JSON of the body; None when it is empty."""

    @property
    def content_type(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip()


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket; `timeout_s` bounds each read and write."""

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, method: str, target: str, body: Mapping[str, Any] | None = None, key: str | None = None) -> Answer:
    """One request.

    Args:
        path: the submission socket.
        target: such as /v1/messages.
        body: sent as JSON.
        key: the Idempotency-Key.

    Raises:
        BedError: no answer, or one that is not JSON.
    """
    headers = {"Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if key is not None:
        headers["Idempotency-Key"] = key
    connection = UnixConnection(path)
    try:
        connection.request(method, target, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), json.loads(response.read()))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise BedError(f"{method} {target} on {path}: {error}") from error
    finally:
        connection.close()
