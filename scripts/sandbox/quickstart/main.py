"""scripts/quickstart: Postroom with a private Postfix and recipients' servers, proved by a few mails.

    mails ─► API ─► outbox ─► hand-over ─┐
      ├────► SMTP ─► policy ─────────────┼─► Postfix: milter ─► smtp-sinks: take, defer, refuse
      └────► sendmail(1) ─► door ────────┘      log ─► watcher ─► states, suppression
                                   bounce mails ─► LMTP ─┘
      the report compares what each of them says, and verifies signatures with the key from a DNS server

Runs as root, as Postfix needs; the daemons and the store belong to the user who asked. Everything lies in one
folder, .quickstart, which each run makes anew. What a killed run left running is stopped first.

Exit: 0 all mails as they should be, 1 not so, or something could not be started.
"""

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from sandbox.nameserver import NameServer
from sandbox.postfix import CHECKOUT, PrivatePostfix, main_settings
from sandbox.process import BedError
from sandbox.quickstart import report
from sandbox.quickstart.configuration import SELECTOR, configuration
from sandbox.quickstart.daemons import Person, QuickstartDaemons
from sandbox.quickstart.evidence import Evidence
from sandbox.quickstart.judgement import Row
from sandbox.quickstart.mails import DOMAIN
from sandbox.recipient_servers import RecipientServers
from sandbox.sink import free_port
from sandbox.submission_service import WORDS, WORLD_OPTIONS, service_options

WIRING = main_settings((CHECKOUT / "postfix-conf" / "watcher.main.cf").read_text(encoding="ascii"))
"""The return path leads to the watcher."""
MILTER = Path("postroom/milter.sock")
"""As postfix-conf/milter.main.cf has it: below the queue directory, where Postfix works."""


class Quickstart:
    """The parts, wired.

    Args:
        folder: absolute; its contents are made anew.
        person: who the daemons and their files belong to.
    """

    def __init__(self, folder: Path, person: Person) -> None:
        self.folder = folder
        self.config = folder / "postroom.yaml"
        self.socket = folder / "run" / "submission.sock"
        self.smtp_port = self.inbound_port = 0
        self.recipients = RecipientServers(folder / "world")
        self.dns = NameServer(folder / "dns")
        self.postfix = PrivatePostfix(folder / "postfix", ("127.0.0.1", 0))
        self.daemons = QuickstartDaemons(folder, self.config, person)

    def clear(self) -> None:
        """Stop what a killed run left running, and empty the folder."""
        self.daemons.clear()
        self.postfix.stop()
        self.dns.clear()
        self.recipients.clear()
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
            stack.enter_context(self.recipients)
            show_part("world", "servers that take, defer and refuse mail")
            self._prepare_postfix()
            self.dns.records = self._prepare_state()
            stack.enter_context(self.dns)
            show_part("DNS", f"the DKIM key, at 127.0.0.1:{self.dns.port}")
            stack.enter_context(self.postfix)
            show_part("Postfix", f"private; submission at 127.0.0.1:{self.smtp_port}")
            began = time.monotonic()
            stack.enter_context(self.daemons.running())
            show_part("Postroom", f"all daemons, by `postroom serve`; ready after {time.monotonic() - began:.1f} s")
            show_part("senders", f"you and root may write From {DOMAIN}; mail of others is not signed")
            yield

    def _prepare_postfix(self) -> None:
        self.smtp_port, self.inbound_port = free_port(), free_port()
        maps = [WIRING["transport_maps"], self.recipients.transport_maps]
        self.postfix = PrivatePostfix(
            self.folder / "postfix",
            self.recipients.relay,
            smtp_ports={
                self.smtp_port: {"syslog_name": "postfix/submission", **service_options()},
                self.inbound_port: WORLD_OPTIONS,
            },
            settings={**WORDS, **WIRING, "transport_maps": ", ".join(maps)},
            milter=MILTER,
            door_port=free_port(),
        )
        self.postfix.write()
        sockets = (self.postfix.queue_directory / MILTER).parent
        sockets.mkdir(mode=0o750)
        shutil.chown(sockets, self.daemons.person.uid, "postfix")
        # For the watcher: a log that Postfix 3.9 or newer makes itself is root's alone.
        self.postfix.maillog.touch(mode=0o640)
        os.chown(self.postfix.maillog, 0, self.daemons.person.gid)

    def _prepare_state(self) -> tuple[str, ...]:
        """Configuration, store and key; the records Postroom asks to publish."""
        uids = sorted({0, self.daemons.person.uid})
        self.config.write_text(configuration(self.folder, self.postfix, uids), encoding="utf-8")
        for name in ("state", "run"):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, self.daemons.person.uid, -1)
        self.daemons.command("store", "init")
        return tuple(self.daemons.command("dkim", "key", "--domain", DOMAIN, "--selector", SELECTOR).splitlines())

    def try_mails(self) -> list[Row]:
        """Send all mails and judge what became of each."""
        evidence = Evidence(
            api=self.socket,
            smtp_port=self.smtp_port,
            inbound_port=self.inbound_port,
            daemons=self.daemons,
            postfix=self.postfix,
            recipients=self.recipients,
            dns=self.dns,
            folder=self.folder / "verified",
        )
        try:
            return evidence.try_mails()
        except BedError:
            # Whoever does not answer may have ended, and has said why.
            self.daemons.check()
            raise

    def how_to_go_on(self, colour: bool) -> str:
        """What to type now."""
        logs = [self.postfix.maillog, self.daemons.log, self.dns.log]
        return report.how_to_go_on(
            shown(self.socket.parent),
            self.smtp_port,
            shown(self.config),
            shown(self.postfix.config_directory),
            shown(self.recipients.folder),
            map(shown, logs),
            "" if self.daemons.person.uid == 0 else "sudo ",
            colour,
        )


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


def show_part(name: str, text: str) -> None:
    print(f"  {name:<11} {text}", flush=True)


@contextlib.contextmanager
def only_one_in(folder: Path) -> Iterator[None]:
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
    with only_one_in(folder):
        quickstart = Quickstart(folder, person)
        quickstart.clear()
        print(f"Postroom quickstart, in {shown(folder)}", flush=True)
        with quickstart.running():
            rows = quickstart.try_mails()
            print(f"\n{report.table(rows, colour)}\n\n{report.verdict(rows, colour)}", flush=True)
            wrong = any(row.faults for row in rows)
            quickstart.daemons.check()
            if once:
                return int(wrong)
            print(f"\n{quickstart.how_to_go_on(colour)}", flush=True)
            try:
                quickstart.daemons.stay()
            except Interrupted:
                print("\nstopping", flush=True)
                return int(wrong)


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
