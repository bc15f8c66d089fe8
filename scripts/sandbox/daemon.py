"""A daemon as a process: on its real socket, waited for by READY=1, stopped or killed by pid.

The configuration is written under the folder; everything the daemon says goes to `daemon.err` there.
`Daemon` is any of them, `SubmissionDaemon` the one with the API.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.api import Answer, UnixConnection
from sandbox.notify import NotifySocket
from sandbox.process import BedError, until

CHECKOUT = Path(__file__).resolve().parents[2]
READY_S, RELOAD_S = 20.0, 20.0
DEFAULTS = """
hostname: mail.example.org
domains:
  example.org:
    return_path: verp bounces.example.org
"""


class Daemon:
    """One daemon of Postroom with its own configuration and state.

    Args:
        word:   which one; the command that runs it.
        folder: holds postroom.yaml, state/, run/ and daemon.err.
        text:   of postroom.yaml, below `state_dir` and `run_dir`.
        state_dir: of another daemon, to share its store.
    """

    def __init__(self, word: str, folder: Path, text: str, state_dir: Path | None = None) -> None:
        self.word = word
        self.folder = folder
        self.config = folder / "postroom.yaml"
        self.errors = folder / "daemon.err"
        self.state_dir = state_dir or folder / "state"
        self._child: subprocess.Popen[bytes] | None = None
        self._text = f"state_dir: {self.state_dir}\nrun_dir: {folder / 'run'}\n{text}"

    def write(self) -> None:
        """Write the configuration."""
        (self.folder / "run").mkdir(parents=True, exist_ok=True)
        self.config.write_text(self._text, encoding="utf-8")

    def init(self) -> None:
        """Write the configuration and make the store."""
        self.write()
        done = self.command("store", "init")
        if done.returncode != 0:
            raise BedError(f"store init: {done.stderr}")

    def command(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run `postroom ARGUMENTS` to its end."""
        return subprocess.run(
            [*_POSTROOM, "--config", str(self.config), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=_environment({}),
            timeout=60,
            check=False,
        )

    def start(self, environment: Mapping[str, str] | None = None, prefix: tuple[str, ...] = ()) -> None:
        """Start it and return when it says READY=1.

        Args:
            environment: more variables, such as POSTROOM_FAULT; with a NOTIFY_SOCKET of its own nobody waits here.
            prefix: a command that runs it, such as setpriv with its options.

        Raises:
            BedError: it ended or was not ready in time; the text has its last words.
        """
        notify_path = self.folder / "notify"
        with NotifySocket(notify_path) as notify, self.errors.open("ab") as errors:
            notify_path.chmod(0o777)
            self._child = subprocess.Popen(
                [*prefix, *_POSTROOM, "--config", str(self.config), self.word],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env=_environment({"NOTIFY_SOCKET": str(notify_path), **(environment or {})}),
                start_new_session=True,
            )
            if environment is not None and "NOTIFY_SOCKET" in environment:
                return
            try:
                notify.wait_ready(self._child.pid, READY_S)
            except BedError as error:
                self.kill()
                raise BedError(f"{error}; {self.last_words()}") from None

    @property
    def pid(self) -> int:
        if self._child is None:
            raise BedError("the daemon was not started")
        return self._child.pid

    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def wait(self, timeout_s: float) -> int:
        """Wait for its end; returns its exit status, negative for a signal."""
        if self._child is None:
            raise BedError("the daemon was not started")
        return self._child.wait(timeout_s)

    def stop(self, timeout_s: float = 40.0) -> int | None:
        """SIGTERM and wait for the end; returns the exit status, None when it was not running."""
        return self._end(signal.SIGTERM, timeout_s)

    def hang_up(self) -> None:
        """SIGHUP: the daemon is to reload."""
        os.kill(self.pid, signal.SIGHUP)

    def reload(self) -> str:
        """SIGHUP, and wait until the daemon says what came of it; returns what it has logged since."""
        before = len(self.log())
        self.hang_up()
        until(lambda: _RELOADED.search(self.log(), before) is not None, RELOAD_S, "the reload", self.alive)
        return self.log()[before:]

    def change(self, old: str, new: str) -> None:
        """Put `new` in the place of `old`, which is there once, in the configuration."""
        text = self.config.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise BedError(f"{self.config}: {old!r} is there {text.count(old)} times")
        self.config.write_text(text.replace(old, new), encoding="utf-8")

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL, 10.0)

    def _end(self, number: signal.Signals, timeout_s: float) -> int | None:
        child, self._child = self._child, None
        if child is None:
            return None
        if child.poll() is None:
            child.send_signal(number)
            try:
                child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(10.0)
                raise BedError(f"the daemon did not end within {timeout_s:g} s; {self.last_words()}") from None
        return child.returncode

    def log(self) -> str:
        """All it has said."""
        return self.errors.read_text(encoding="utf-8", errors="replace") if self.errors.exists() else ""

    def last_words(self) -> str:
        return "\n".join(self.log().splitlines()[-5:])

    def __enter__(self) -> Self:
        self.init()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class SubmissionDaemon(Daemon):
    """One submission daemon with its own state.

    Args:
        folder:   holds postroom.yaml, state/, run/ and daemon.err.
        handover: folder of Postfix's sockets postroom-in and showq (its queue/public).
        settings: text of more YAML sections; the defaults are one domain, example.org.
        submission: lines of the section `submission`, below its socket and client `me` (our uid, admin).
        handover_settings: lines of the section `handover`, below its sockets.
        state_dir: of another daemon, to share its store.
    """

    def __init__(
        self,
        folder: Path,
        handover: Path,
        settings: str = DEFAULTS,
        submission: str = "",
        handover_settings: str = "",
        state_dir: Path | None = None,
    ) -> None:
        self.socket = folder / "run" / "submission.sock"
        super().__init__(
            "submission",
            folder,
            f"{settings}\n"
            f"submission:\n  socket_group: null\n  clients:\n    me: {{uids: [{os.getuid()}], admin: true}}\n"
            f"{indented(submission)}"
            f"handover:\n  socket: {handover / 'postroom-in'}\n  showq: {handover / 'showq'}\n"
            f"{indented(handover_settings)}",
            state_dir,
        )

    def request(
        self,
        method: str,
        target: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> Answer:
        """One request on a connection of its own; `body` is bytes as they are, or a document for JSON."""
        connection = UnixConnection(self.socket, timeout_s)
        try:
            octets = body if isinstance(body, bytes) or body is None else json.dumps(body).encode("utf-8")
            connection.request(method, target, octets, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            read = response.read()
            return Answer(response.status, dict(response.getheaders()), json.loads(read) if read else None)
        finally:
            connection.close()

    def post(self, document: Any, key: str | None = None) -> Answer:
        """POST /v1/messages."""
        return self.request("POST", "/v1/messages", document, {} if key is None else {"Idempotency-Key": key})

    def message(self, message: str) -> Any:
        """GET /v1/messages/{id}."""
        return self.request("GET", f"/v1/messages/{message}").document

    def deliveries(self) -> dict[str, int]:
        """How many deliveries are in each state."""
        counts: dict[str, int] = self.request("GET", "/v1/stats").document["deliveries"]
        return counts


_RELOADED = re.compile(r" daemon\.(reloaded|reload_refused|reload_failed)( .*)?\n")
_POSTROOM = (sys.executable, "-m", "postroom")


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(CHECKOUT / "daemons"), **more}


def indented(lines: str) -> str:
    """Lines as they stand below the name of a section."""
    return "".join(f"  {line}\n" for line in lines.strip("\n").splitlines())
