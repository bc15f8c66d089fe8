"""Taking Postroom out again, without a mail stranded or lost.

    1. pickup no longer leads to the door; what waits there is requeued and goes on without it
    2. the API takes no more; what is in the outbox is handed over, as long as there is patience
    3. Postfix takes no mail for the return-path domains; what waits for the watcher is brought to it
    4. main.cf and master.cf as they were; Postfix reloads
    5. the units stop and go; with --purge also state, configuration and users

What could not be handed over stays in the outbox, is told, and keeps the state from being purged.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from postroom.setup import bounce_mail
from postroom.setup.door_mail import WAITING, at_the_door, requeue
from postroom.setup.host import SPOOL, SetupFailed, run, succeeds
from postroom.setup.installation import CONFIG, FILES, SERVICES, SYSTEMD
from postroom.setup.postfix_edits import ENTRANCE, unwoven
from postroom.setup.record import SetupRecord, digest, octets_of, write
from postroom.setup.return_path_edits import REGIONS, return_domains
from postroom.setup.steps import diff
from postroom.setup.trial_mail import API, ask

STATE, PROGRAM = Path("/var/lib/postroom"), Path("/opt/postroom")
SOCKETS = tuple(f"postroom-{word}.socket" for word in ("policy", "milter", "submission", "watcher", "monitor"))
UNITS = (*SERVICES, *SOCKETS, "postroom.target")
IN_OUTBOX = ("accepted", "deferred", "in_doubt")


@contextmanager
def _api_shut() -> Iterator[None]:
    """The API's socket is root's alone, so clients keep what they would send; after a failure it is as before."""
    if not succeeds("systemctl", "is-active", "--quiet", "postroom-submission.service"):
        raise SetupFailed(
            "postroom-submission does not run, so what is in its outbox cannot be handed over; "
            "mend: systemctl start postroom.target"
        )
    mode = os.stat(API).st_mode & 0o777
    os.chmod(API, 0o600)
    try:
        yield
    except SetupFailed:
        with suppress(FileNotFoundError):
            os.chmod(API, mode)
        raise


class Removal:
    """One uninstallation.

    Args:
        record: what set-up changed.
        patience_s: how long is waited for the door, and for the outbox.
        say: tells the operator.
    """

    def __init__(self, record: SetupRecord, patience_s: float, say: Callable[[str], None]) -> None:
        self._record = record
        self._patience_s = patience_s
        self._say = say

    def show(self) -> None:
        """What would be done, as diffs and commands."""
        for path in FILES:
            if (octets := octets_of(path)) is not None:
                self._say(diff(path, octets, self._without(path)))
        counts = ", ".join(f"{queue} {len(at_the_door(queue))}" for queue in (*WAITING, "hold"))
        self._say(f"# mail that has the sendmail door before it: {counts}")
        waiting = bounce_mail.on_the_way(self._return_domains())
        counts = ", ".join(f"{queue} {len(ids)}" for queue, ids in waiting.items()) or "none"
        self._say(f"# mail to the return path that waits for the watcher: {counts}")
        try:
            self._say(f"# in the outbox: {self._in_outbox()}")
        except SetupFailed as failed:
            self._say(f"# in the outbox: {failed}")
        self._say(f"$ systemctl disable --now {' '.join(UNITS)}")
        for path in self._own_files():
            self._say(diff(path, octets_of(path), self._record.before(path)).partition("\n@@")[0])

    def perform(self, purge: bool) -> int:
        """Do it; the exit status: 0, or 1 when mail is left in the outbox.

        Raises:
            SetupFailed: something stands against it; nothing is stranded, and it can be run again.
        """
        if held := at_the_door("hold"):
            raise SetupFailed(
                f"{len(held)} mails on hold have the sendmail door before them and would be stranded: "
                f"{' '.join(held[:5])}; mend: release or delete them (postsuper -H, -d), and run it again"
            )
        if held := bounce_mail.on_the_way(self._return_domains()).get("hold", []):
            raise SetupFailed(
                f"{len(held)} mails on hold are for the return path and would be lost: "
                f"{' '.join(held[:5])}; mend: release or delete them (postsuper -H, -d), and run it again"
            )
        self._shut_the_door()
        with _api_shut():
            left = self._drain_outbox()
            self._drain_bounces()
            self._give_back()
            self._stop()
        for path in self._own_files():
            self._remove(path)
        run("systemctl", "daemon-reload")
        if left:
            self._say(
                f"{left} deliveries could not be handed over. They are kept in {STATE}/submission; "
                "scripts/setup-postfix.sh, run again, sends them."
            )
        elif purge:
            self._purge()
        return 1 if left else 0

    def _without(self, path: Path, only: tuple[str, ...] | None = None) -> bytes:
        try:
            return unwoven(path.read_bytes().decode("latin-1"), only).text.encode("latin-1")
        except ValueError as broken:
            raise SetupFailed(f"{path}: {broken}") from None

    def _shut_the_door(self) -> None:
        master = FILES[1]
        if (shut := self._without(master, (ENTRANCE,))) != octets_of(master):
            write(master, shut)
            run("postfix", "reload")
            self._say("sendmail door: shut; new mail of sendmail(1) goes its way without it")
        until = time.monotonic() + self._patience_s
        requeued = 0
        while any(waiting := {queue: at_the_door(queue) for queue in WAITING}.values()):
            # Of those being delivered now Postfix alone decides; they come through, or come back to deferred.
            if deferred := at_the_door("deferred"):
                requeue(deferred)
                requeued += len(deferred)
            elif time.monotonic() > until:
                count = sum(map(len, waiting))
                raise SetupFailed(f"{count} mails are at the sendmail door still; mend: look at them, run it again")
            time.sleep(0.2)
        self._say(f"sendmail door: {requeued} mails that waited there were requeued")

    def _drain_outbox(self) -> int:
        until = time.monotonic() + self._patience_s
        while (left := self._in_outbox()) and time.monotonic() < until:
            time.sleep(0.5)
        self._say(f"outbox: {'empty' if not left else f'{left} deliveries left'}")
        return left

    def _return_domains(self) -> frozenset[str]:
        return return_domains((octets_of(FILES[0]) or b"").decode("latin-1"))

    def _drain_bounces(self) -> None:
        if not (domains := self._return_domains()):
            return
        main = FILES[0]
        # The world first, so that none comes after the last look.
        if (shut := self._without(main, REGIONS)) != octets_of(main):
            write(main, shut)
            run("postfix", "reload")
        until = time.monotonic() + self._patience_s
        while waiting := bounce_mail.on_the_way(domains):
            if time.monotonic() > until:
                ids = [queue_id for queue in waiting.values() for queue_id in queue]
                raise SetupFailed(
                    f"{len(ids)} mails to the return path wait for the watcher and would be lost: {' '.join(ids[:5])}; "
                    "mend: see in `postqueue -p` why (systemctl start postroom.target), or delete them (postsuper -d), "
                    "and run it again"
                )
            bounce_mail.deliver(waiting.get("deferred", ()))
            time.sleep(1.0)
        self._say(f"return path: no mail waits; take the DNS records of {' '.join(sorted(domains))} back")

    def _in_outbox(self) -> int:
        try:
            status, answer = ask("GET", "/v1/stats")
        except OSError as error:
            raise SetupFailed(f"{API}: {error.strerror}; mend: systemctl start postroom.target") from None
        if status != 200:
            raise SetupFailed(
                f"submission does not tell what is in its outbox: {answer.get('detail')}; mend: in {CONFIG}, under "
                "submission.clients, `operators: {users: [root], admin: true}`; systemctl reload postroom-submission"
            )
        return sum(answer["deliveries"][state] for state in IN_OUTBOX)

    def _give_back(self) -> None:
        # master.cf first: with main.cf's words gone our listeners would take mail past milter and limits.
        for path in reversed(FILES):
            before = self._record.before(path)
            now = self._without(path)
            if now != octets_of(path):
                write(path, now)
                run("postfix", "reload")
            self._record.forget(path)
            same = before is not None and digest(before) == digest(now)
            self._say(f"{path}: {'as it was before set-up' if same else 'ours is out; what was edited since is kept'}")
        # Postfix leaves the sockets and locks of services that are gone.
        for name in ("public/postroom-in", "pid/unix.postroom-in", "private/postroom-door", "pid/unix.postroom-door"):
            (SPOOL / name).unlink(missing_ok=True)
        run("postfix", "check")

    def _stop(self) -> None:
        run("systemctl", "disable", "--now", "--quiet", *UNITS)
        # What starts one is gone, and what runs is stopped: systemctl(1) waited for the jobs it made.
        if still := [unit for unit in UNITS if succeeds("systemctl", "is-active", "--quiet", unit)]:
            raise SetupFailed(f"{' '.join(still)}: runs still; mend: systemctl stop it, and run this again")

    def _own_files(self) -> list[Path]:
        return [path for path in self._record.changes if path not in {CONFIG, *FILES}]

    def _remove(self, path: Path) -> None:
        octets = octets_of(path)
        if octets is not None and digest(octets) != self._record.changes[path].written:
            kept = STATE / "setup" / "edited" / path.name
            write(kept, octets, 0o600)
            self._say(f"{path}: was edited since; the edited one is kept as {kept}")
        if (before := self._record.before(path)) is not None:
            write(path, before)
        else:
            path.unlink(missing_ok=True)
        if path.parent.suffix == ".d" and path.parent.parent == SYSTEMD and not any(path.parent.iterdir()):
            path.parent.rmdir()
        self._record.forget(path)

    def _purge(self) -> None:
        for path in (STATE, CONFIG.parent, PROGRAM, Path("/run/postroom"), SPOOL / "postroom"):
            shutil.rmtree(path, ignore_errors=True)
        users = [f"postroom-{word}" for word in ("policy", "milter", "submission", "watcher", "monitor")]
        for user in users:
            if succeeds("getent", "passwd", user):
                run("userdel", user)
        for group in ("postroom", "postroom-submit", "postroom-admin", *users):
            if succeeds("getent", "group", group):
                run("groupdel", group)
        self._say("purged: state, configuration, program, users and groups")
