"""scripts/quickstart: Postroom with a private Postfix and a world of its own, proved by a few mails.

    mails ─► API ─► outbox ─► hand-over ─► Postfix ─► smtp-sink
      └───────────────── the report compares all of them ┘

Runs as root, as Postfix needs; the daemon and the store belong to the user who asked, who gets group postdrop
for the daemon alone (the hand-over socket is postdrop's). Everything lies in one folder, .quickstart, which
each run makes anew. What a killed run left running is stopped first.

Exit: 0 all mails as they should be, 1 not so, or something could not be started.
"""

import argparse
import contextlib
import fcntl
import grp
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import report, trial
from sandbox.api import Answer, ask
from sandbox.notify import NotifySocket
from sandbox.postfix import CHECKOUT, PrivatePostfix
from sandbox.process import BedError, Recorded, until
from sandbox.sink import Sink

READY_S = 20.0
DELIVERED_S = 20.0
"""Seconds the daemon may take to start, and the mails to arrive; both take under one on an idle host."""

CONFIG = """\
# Made by scripts/quickstart; docs/configuration.md tells of every setting.
hostname: mail.{domain}
state_dir: {folder}/state
run_dir: {folder}/run
domains:
  {domain}:
    return_path: verp {return_domain}
submission:
  socket_group: null
  clients:
    quickstart:
      uids: {uids}
      admin: true
handover:
  socket: {handover}
  showq: {showq}
templates:
  folder: null
  brand:
    name: {brand}
    url: https://www.{domain}/
"""


@dataclass(frozen=True)
class Person:
    """Who the daemon runs as."""

    uid: int

    def command(self, argv: Sequence[str], groups: Sequence[str] = ()) -> list[str]:
        """`argv` as this person, with their own groups and `groups`."""
        try:
            entry = pwd.getpwuid(self.uid)
            gid, own = entry.pw_gid, os.getgrouplist(entry.pw_name, entry.pw_gid)
        except KeyError:
            gid, own = self.uid, []
        numbers = sorted({gid, *own, *(grp.getgrnam(group).gr_gid for group in groups)})
        return [
            "setpriv",
            f"--reuid={self.uid}",
            f"--regid={gid}",
            f"--groups={','.join(map(str, numbers))}",
            *argv,
        ]


class Quickstart:
    """The parts, wired.

    Args:
        folder: absolute; its contents are made anew.
        person: who the daemon and its files belong to.
    """

    def __init__(self, folder: Path, person: Person) -> None:
        self.folder = folder
        self.config = folder / "postroom.yaml"
        self.socket = folder / "run" / "submission.sock"
        self.sink = Sink(folder / "world")
        self.postfix = PrivatePostfix(folder / "postfix", ("127.0.0.1", 0))
        self.daemon = Recorded("submission", folder)
        self._person = person

    def clear(self) -> None:
        """Stop what a killed run left running, and empty the folder."""
        self.daemon.clear()
        self.postfix.stop()
        self.sink.clear()
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """All parts up; stopped in the opposite order, whatever happens."""
        with contextlib.ExitStack() as stack:
            stack.callback(signals_ignored)
            said("world", f"smtp-sink on 127.0.0.1:{stack.enter_context(self.sink).port}")
            self.postfix = PrivatePostfix(self.folder / "postfix", ("127.0.0.1", self.sink.port))
            stack.enter_context(self.postfix)
            said("Postfix", "private, sends all mail to that world")
            # Open as long as the daemon lives: it says STOPPING=1 too.
            notify = stack.enter_context(NotifySocket(self.folder / "notify", self._person.uid))
            stack.callback(self.daemon.stop)
            began = time.monotonic()
            self._start_daemon(notify)
            said("submission", f"ready after {time.monotonic() - began:.1f} s")
            yield

    def _start_daemon(self, notify: NotifySocket) -> None:
        uids = sorted({0, self._person.uid})
        self.config.write_text(
            CONFIG.format(
                folder=self.folder,
                domain=trial.DOMAIN,
                return_domain=trial.RETURN_DOMAIN,
                brand=trial.BRAND,
                uids=uids,
                handover=self.postfix.handover_socket,
                showq=self.postfix.showq_socket,
            ),
            encoding="utf-8",
        )
        for name in ("state", "run"):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, self._person.uid, -1)
        environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(CHECKOUT / "daemons")}
        postroom = [sys.executable, "-m", "postroom", "--config", str(self.config)]
        init = self._person.command([*postroom, "store", "init"])
        done = subprocess.run(init, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BedError(f"postroom store init: {done.stderr.strip()}")
        environment["NOTIFY_SOCKET"] = str(notify.path)
        self.daemon.start(self._person.command([*postroom, "submission"], ["postdrop"]), environment)
        try:
            notify.wait_ready(self.daemon.pid, READY_S)
        except BedError as error:
            raise BedError(f"postroom submission: {error}\n{self.daemon.last_words()}") from None

    def try_mails(self) -> list[trial.Row]:
        """Send all mails and judge what became of each."""
        answers = [self._post(mail) for mail in trial.MAILS]
        refusal = ask(self.socket, "POST", "/v1/messages", trial.REFUSED)
        rows: list[trial.Row] = []
        with contextlib.suppress(BedError):  # what did not come in time is a fault in its row
            until(lambda: self._arrived(answers), DELIVERED_S, "the mails arrived", every_s=0.1)
        stored = self.sink.messages()
        for mail, given in zip(trial.MAILS, answers, strict=True):
            rows += trial.judge(mail, given, self._message(given), self._log(given), stored)
        rows += trial.judge_rest(sum(len(mail.recipients) for mail in trial.MAILS), stored)
        return [*rows, trial.judge_refusal(refusal)]

    def _post(self, mail: trial.Mail) -> list[Answer]:
        return [ask(self.socket, "POST", "/v1/messages", mail.body, mail.key) for _ in range(mail.posts)]

    def _message(self, answers: Sequence[Answer]) -> dict[str, Any]:
        refused: dict[str, Any] = {"message_id": None, "deliveries": []}
        if answers[0].status != 202:
            return refused
        answer = ask(self.socket, "GET", f"/v1/messages/{answers[0].document['id']}")
        return answer.document if answer.status == 200 else refused

    def _log(self, answers: Sequence[Answer]) -> dict[str, list[str]]:
        return {queue_id: self.postfix.statuses(queue_id) for queue_id in trial.queue_ids(self._message(answers))}

    def _arrived(self, answers: Sequence[Sequence[Answer]]) -> bool:
        for given in answers:
            message = self._message(given)
            if not trial.settled(message) or not all(map(self.postfix.statuses, trial.queue_ids(message))):
                return False
        return True

    def stay(self) -> None:
        """Return when the daemon ends by itself; Ctrl-C raises."""
        fd = os.pidfd_open(self.daemon.pid)
        try:
            select.select([fd], [], [])
        finally:
            os.close(fd)


class Interrupted(Exception):
    """Somebody wants us to end: Ctrl-C, SIGTERM or a closed terminal."""


def signals_raise() -> None:
    def interrupt(number: int, _frame: object) -> None:
        raise Interrupted(signal.Signals(number).name)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def signals_ignored() -> None:
    """While everything is being stopped: a second Ctrl-C must not leave half of it running."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def said(name: str, text: str) -> None:
    print(f"  {name:<11} {text}", flush=True)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One quickstart in a folder at a time; the lock ends with the process that holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BedError(f"another quickstart runs in {folder}. Mend: end it with Ctrl-C in its terminal.") from None
        yield
    finally:
        os.close(fd)


def shown(path: Path) -> Path:
    """A path as one would type it at the checkout's root."""
    return path.relative_to(CHECKOUT) if path.is_relative_to(CHECKOUT) else path


def run(folder: Path, person: Person, once: bool, colour: bool) -> int:
    """Everything; the exit status."""
    with alone(folder):
        quickstart = Quickstart(folder, person)
        quickstart.clear()
        print(f"Postroom quickstart, in {shown(folder)}", flush=True)
        with quickstart.running():
            rows = quickstart.try_mails()
            print(f"\n{report.table(rows, colour)}\n\n{report.verdict(rows, colour)}", flush=True)
            wrong = any(row.faults for row in rows)
            if once:
                return int(wrong)
            logs = [shown(quickstart.postfix.maillog), shown(quickstart.daemon.output)]
            place = [shown(path) for path in (quickstart.socket, quickstart.config, quickstart.sink.folder)]
            print(f"\n{report.how_to_go_on(place[0], place[1], place[2], logs, colour)}", flush=True)
            try:
                quickstart.stay()
            except Interrupted:
                print("\nstopping", flush=True)
                return int(wrong)
            raise BedError(f"submission ended by itself\n{quickstart.daemon.last_words()}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/quickstart", description="Postroom with a Postfix of its own.")
    parser.add_argument("--once", action="store_true", help="stop after the report")
    parser.add_argument("--uid", type=int, default=os.getuid(), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, default=CHECKOUT / ".quickstart", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    signals_raise()
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    try:
        return run(arguments.folder.resolve(), Person(arguments.uid), arguments.once, colour)
    except BedError as error:
        print(f"quickstart: {error}", file=sys.stderr)
    except Interrupted as interrupted:
        print(f"quickstart: ended by {interrupted}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
