"""The command's side of the API: HTTP over the submission socket."""

import http.client
import json
import socket
import sys
from pathlib import Path
from typing import Any

import click

from postroom.mail.logsafe import safe

TIMEOUT_S = 60.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(self._path))


def ask(
    path: Path, method: str, target: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """One request; returns the HTTP status and the document. Ends the command when nobody answers."""
    connection = _UnixConnection(path)
    try:
        connection.request(
            method,
            target,
            None if body is None else json.dumps(body).encode("utf-8"),
            {"Content-Type": "application/json", **(headers or {})},
        )
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except FileNotFoundError:
        trouble = "no such socket; mend: start postroom-submission"
    except ConnectionRefusedError:
        trouble = "nothing listens there; mend: start postroom-submission"
    except PermissionError:
        trouble = "permission denied; mend: join the socket's group (postroom-submit)"
    except (OSError, http.client.HTTPException, ValueError) as error:
        # It may quote whatever listens there.
        trouble = f"no answer ({safe(str(error))}); mend: look at the log of postroom-submission"
    finally:
        connection.close()
    click.echo(f"{path}: {trouble}", err=True)
    sys.exit(1)


def show_problem(document: dict[str, Any]) -> None:
    """Print a refusal: its detail, then each fault on a line."""
    click.echo(f"refused: {document.get('detail', document)}", err=True)
    for fault in document.get("errors", []):
        click.echo(f"  {fault['pointer'] or '/'}: {fault['detail']}", err=True)
