"""The state of tests/data/upgrade/ as files again, and what a Postroom says of it: the older one did, ours must."""

import json
import os
import shutil
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
from tests.setup.sql_dump import dumped, loaded

from sandbox.api import UnixConnection, ask
from sandbox.daemon import Daemon

DATA = Path(__file__).resolve().parents[1] / "data" / "upgrade"
DATABASES = ("submission/mail.db", "watcher/track.db", "shared/limits.db", "shared/shared.db")
REQUESTED_AT = 4_102_444_895.0
"""When witness.wish was touched last: its time is all that is in it."""

REQUEST = b"body of the request"
"""What came with each idempotency key."""

COMMANDS = (
    "suppress list --json",
    "suppress why gone@example.net --json",
    "suppress why full@example.net --json",
    "suppress why no-news@example.net --json",
    "suppress why back@example.net --json",
    "suppress why user4@open.example --json",
    "suppress why user4@undone.example --json",
    "limits show --json",
    "limits show login:anna@example.org --json",
    "limits show client:shop --json",
    "privacy report gone@example.net --json",
    "return-path domains",
)

MOVED = {
    ("submission/mail.db", "delivery"): (
        "(SELECT d.*, coalesce(recipient, '') AS recipient FROM delivery d LEFT JOIN address ON delivery = id)"
    )
}
"""Tables with a column that has a table of its own by now, put together as they were."""


class OlderState:
    """A folder with this state, and the daemon submission over it.

    Args:
        folder: of postroom.yaml, state/ and run/.
    """

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self._socket = folder / "run" / "submission.sock"
        self.submission = Daemon("submission", folder, "")
        self.submission.write()
        text = (DATA / "postroom.yaml").read_text(encoding="utf-8")
        self.submission.config.write_text(text.replace("@FOLDER@", str(folder)).replace("@UID@", str(os.getuid())))

    def load(self) -> None:
        """Make the files."""
        for name in DATABASES:
            loaded(self.state / name, _dump(name).read_text())
        for folder, mode in (("submission", 0o700), ("watcher", 0o2750), ("shared", 0o2770)):
            (self.state / folder).chmod(mode)
        shutil.copytree(DATA / "state" / "keys", self.state / "keys")
        wish = self.state / "shared" / "witness.wish"
        wish.touch()
        os.utime(wish, (REQUESTED_AT, REQUESTED_AT))

    def save(self) -> None:
        """Write the files as text."""
        for name in DATABASES:
            _dump(name).write_text(dumped(self.state / name))
        shutil.copytree(self.state / "keys", DATA / "state" / "keys", dirs_exist_ok=True)

    def changed(self) -> list[str]:
        """The tables with other rows than they were made with, by the columns they had then."""
        found = []
        for name in DATABASES:
            with closing(apsw.Connection(":memory:")) as older, closing(apsw.Connection(str(self.state / name))) as now:
                older.execute(_dump(name).read_text()).fetchall()
                for (table,) in older.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                    columns = ", ".join(row[1] for row in older.execute(f"PRAGMA table_info({table})"))
                    rows_then = f"SELECT {columns} FROM {table} ORDER BY {columns}"
                    rows_now = f"SELECT {columns} FROM {MOVED.get((name, str(table)), table)} ORDER BY {columns}"
                    if older.execute(rows_then).fetchall() != now.execute(rows_now).fetchall():
                        found.append(f"{name}: {table}")
        return found

    def say(self, messages: Iterable[str], killed: Iterable[str]) -> dict[str, Any]:
        """What the commands say, and then the API.

        Args:
            messages: ids.
            killed: ids of those a killed daemon had. What became of them has the time of recovery in it.
        """
        said = {}
        for command in COMMANDS:
            done = self.submission.command(*command.split())
            printed = _steady(json.loads(done.stdout)) if "--json" in command else done.stdout
            said[command] = {"status": done.returncode, "stdout": printed}
        self.submission.start()
        try:
            histories = {message: self._get(f"/v1/messages/{message}") for message in messages}
            states = {message: self._get(f"/v1/messages/{message}")["deliveries"][0]["state"] for message in killed}
            # Known by its key; what tells another request from it is in the file too.
            again = {"same": self._post("order-1", REQUEST), "other": self._post("order-1", b"{}")[:1]}
        finally:
            self.submission.stop()
        return {"commands": said, "messages": histories, "states_after_a_kill": states, "again": again}

    def _post(self, key: str, body: bytes) -> list[Any]:
        """Status and answer to a request with this idempotency key."""
        with closing(UnixConnection(self._socket)) as connection:
            headers = {"Content-Type": "application/json", "Idempotency-Key": key}
            connection.request("POST", "/v1/messages", body, headers)
            response = connection.getresponse()
            return [response.status, json.loads(response.read())]

    def _get(self, target: str) -> Any:
        return ask(self._socket, "GET", target).document


def _dump(name: str) -> Path:
    return DATA / "state" / f"{Path(name).stem}.sql"


def _steady(document: Any) -> Any:
    """Without seconds until something happens."""
    if isinstance(document, list):
        return [_steady(each) for each in document]
    if isinstance(document, dict):
        return {name: _steady(value) for name, value in document.items() if name != "reset_s"}
    return document
