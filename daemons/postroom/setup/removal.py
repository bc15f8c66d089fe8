"""Taking Postroom out again, without a mail stranded or lost.

    1. pickup no longer sends mail through the door; what waits there is requeued and goes on without it
    2. the API takes no more; what is in the outbox is handed over, as long as the operator waits
    3. Postfix takes no mail for the return-path domains; what waits for the watcher is brought to it
    4. main.cf and master.cf are restored; Postfix reloads
    5. the units stop and go; with --purge also state, configuration and users

What could not be handed over stays in the outbox, is reported, and keeps the state from being purged.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from postroom.postfix import commands
from postroom.postfix.commands import PostfixCommandFailed
from postroom.postfix.queue_commands import deliver_now, requeue_deferred
from postroom.setup.host import SPOOL, SetupFailed, run, succeeds
from postroom.setup.installation import CONFIG, DAEMONS, MAIN_CF, MASTER_CF, PROXY_SOCKETS, SERVICES, SYSTEMD
from postroom.setup.main_cf_edits import RETURN_PATH_REGIONS, wired_return_domains
from postroom.setup.master_cf_edits import ENTRANCE_REGION
from postroom.setup.postfix_edits import restored
from postroom.setup.queued_mail import QUEUES_ON_THE_WAY, at_the_door, to_the_return_path
from postroom.setup.record import SetupRecord, digest, read_octets, write_whole
from postroom.setup.steps import diff
from postroom.setup.trial_mail import API, request_api

STATE, PROGRAM = Path("/var/lib/postroom"), Path("/opt/postroom")
UNITS = (
    *SERVICES,
    *(f"postroom-{word}.socket" for word in DAEMONS),
    *PROXY_SOCKETS,
    *(f"{Path(socket).stem}.service" for socket in PROXY_SOCKETS),
    "postroom.target",
)
IN_OUTBOX = ("accepted", "deferred", "in_doubt")


@contextmanager
def _api_closed() -> Iterator[None]:
    """Make the API's socket root's alone, so that clients keep what they would send; a failure gives it back."""
    if not succeeds("systemctl", "is-active", "--quiet", "postroom-submission.service"):
        raise SetupFailed(
            "postroom-submission is not running, so what is in its outbox cannot be handed over; "
            "mend: systemctl start postroom.target"
        )
    mode = os.stat(API).st_mode & 0o777
    os.chmod(API, 0o600)
    try:
        yield
    except (SetupFailed, PostfixCommandFailed):
        with suppress(FileNotFoundError):
            os.chmod(API, mode)
        raise


class Removal:
    """One uninstallation.

    Args:
        record: what set-up changed.
        wait_s: how long to wait for the door, for the outbox and for the return path, each.
        report: takes lines for the operator.
    """

    def __init__(self, record: SetupRecord, wait_s: float, report: Callable[[str], None]) -> None:
        self._record = record
        self._wait_s = wait_s
        self._report = report

    def preview(self) -> None:
        """Report what would be done, as diffs and commands."""
        for path in (MAIN_CF, MASTER_CF):
            if (octets := read_octets(path)) is not None:
                self._report(diff(path, octets, _restored_octets(path)))
        counts = ", ".join(f"{queue} {len(at_the_door(queue))}" for queue in (*QUEUES_ON_THE_WAY, "hold"))
        self._report(f"# mail that has the sendmail door before it: {counts}")
        waiting = to_the_return_path(_return_domains())
        counts = ", ".join(f"{queue} {len(ids)}" for queue, ids in waiting.items()) or "none"
        self._report(f"# mail to the return path that waits for the watcher: {counts}")
        try:
            self._report(f"# in the outbox: {self._in_outbox()}")
        except SetupFailed as failed:
            self._report(f"# in the outbox: {failed}")
        self._report(f"$ systemctl disable --now {' '.join(UNITS)}")
        for path in self._other_files():
            self._report(diff(path, read_octets(path), self._record.before(path)).partition("\n@@")[0])

    def perform(self, purge: bool) -> int:
        """Do it; the exit status: 0, or 1 when mail is left in the outbox.

        Raises:
            SetupFailed, PostfixCommandFailed: something stands against it; nothing is stranded, it can be run again.
        """
        if held := at_the_door("hold"):
            raise SetupFailed(
                f"{len(held)} mails on hold have the sendmail door before them and would be stranded: "
                f"{' '.join(held[:5])}; mend: release or delete them (postsuper -H, -d), and run it again"
            )
        if held := to_the_return_path(_return_domains()).get("hold", []):
            raise SetupFailed(
                f"{len(held)} mails on hold are for the return path and would be lost: "
                f"{' '.join(held[:5])}; mend: release or delete them (postsuper -H, -d), and run it again"
            )
        self._drain_door()
        with _api_closed():
            left = self._drain_outbox()
            self._drain_return_path()
            self._restore_postfix_files()
            self._stop_units()
        for path in self._other_files():
            self._remove(path)
        run("systemctl", "daemon-reload")
        if left:
            self._report(
                f"{left} deliveries could not be handed over. They are kept in {STATE}/submission; "
                "scripts/setup-postfix.sh, run again, sends them."
            )
        elif purge:
            self._purge()
        return 1 if left else 0

    def _drain_door(self) -> None:
        if _write_and_reload(MASTER_CF, _restored_octets(MASTER_CF, (ENTRANCE_REGION,))):
            self._report("sendmail door: shut; new mail of sendmail(1) goes its way without it")
        until = time.monotonic() + self._wait_s
        requeued = 0
        while any(waiting := {queue: at_the_door(queue) for queue in QUEUES_ON_THE_WAY}.values()):
            # Of those being delivered now Postfix alone decides; they come through, or come back to deferred.
            if deferred := at_the_door("deferred"):
                requeue_deferred(deferred)
                requeued += len(deferred)
            elif time.monotonic() > until:
                count = sum(map(len, waiting))
                raise SetupFailed(
                    f"{count} mails are still waiting at the sendmail door; mend: look at them, run it again"
                )
            time.sleep(0.2)
        self._report(f"sendmail door: {requeued} mails that waited there were requeued")

    def _drain_outbox(self) -> int:
        until = time.monotonic() + self._wait_s
        while (left := self._in_outbox()) and time.monotonic() < until:
            time.sleep(0.5)
        self._report(f"outbox: {'empty' if not left else f'{left} deliveries left'}")
        return left

    def _drain_return_path(self) -> None:
        if not (domains := _return_domains()):
            return
        # The world first, so that none comes after the last look.
        _write_and_reload(MAIN_CF, _restored_octets(MAIN_CF, RETURN_PATH_REGIONS))
        until = time.monotonic() + self._wait_s
        while waiting := to_the_return_path(domains):
            if time.monotonic() > until:
                ids = [queue_id for queue in waiting.values() for queue_id in queue]
                raise SetupFailed(
                    f"{len(ids)} mails to the return path wait for the watcher and would be lost: {' '.join(ids[:5])}; "
                    "mend: see in `postqueue -p` why (systemctl start postroom.target), or delete them (postsuper -d), "
                    "and run it again"
                )
            for queue_id in waiting.get("deferred", ()):
                deliver_now(queue_id)
            time.sleep(1.0)
        self._report(f"return path: no mail waits; take the DNS records of {' '.join(sorted(domains))} back")

    def _in_outbox(self) -> int:
        try:
            status, answer = request_api("GET", "/v1/stats")
        except OSError as error:
            raise SetupFailed(f"{API}: {error.strerror}; mend: systemctl start postroom.target") from None
        if status != 200:
            raise SetupFailed(
                f"submission does not tell what is in its outbox: {answer.get('detail')}; mend: in {CONFIG}, under "
                "submission.clients, `operators: {users: [root], admin: true}`; systemctl reload postroom-submission"
            )
        return sum(answer["deliveries"][state] for state in IN_OUTBOX)

    def _restore_postfix_files(self) -> None:
        # master.cf first: with main.cf's words gone our listeners would take mail past milter and limits.
        for path in (MASTER_CF, MAIN_CF):
            before = self._record.before(path)
            now = _restored_octets(path)
            _write_and_reload(path, now)
            self._record.forget(path)
            is_same = before is not None and digest(before) == digest(now)
            text = "as it was before set-up" if is_same else "ours is out; what was edited since is kept"
            self._report(f"{path}: {text}")
        # Postfix leaves the sockets and locks of services that are gone.
        for name in ("public/postroom-in", "public/postroom-probe", "private/postroom-door", "private/postroom-return"):
            (SPOOL / name).unlink(missing_ok=True)
            (SPOOL / "pid" / f"unix.{Path(name).name}").unlink(missing_ok=True)
        commands.run("postfix", "check")

    def _stop_units(self) -> None:
        run("systemctl", "disable", "--now", "--quiet", *UNITS)
        # What starts one is gone, and what runs is stopped: systemctl(1) waited for the jobs it made.
        if still := [unit for unit in UNITS if succeeds("systemctl", "is-active", "--quiet", unit)]:
            raise SetupFailed(f"{' '.join(still)}: is still running; mend: systemctl stop it, and run this again")

    def _other_files(self) -> list[Path]:
        return [path for path in self._record.changes if path not in {CONFIG, MAIN_CF, MASTER_CF}]

    def _remove(self, path: Path) -> None:
        octets = read_octets(path)
        if octets is not None and digest(octets) != self._record.changes[path].written:
            kept = STATE / "setup" / "edited" / path.name
            write_whole(kept, octets, 0o600)
            self._report(f"{path}: was edited since; the edited one is kept as {kept}")
        if (before := self._record.before(path)) is not None:
            write_whole(path, before)
        else:
            path.unlink(missing_ok=True)
        if path.parent.suffix == ".d" and path.parent.parent == SYSTEMD and not any(path.parent.iterdir()):
            path.parent.rmdir()
        self._record.forget(path)

    def _purge(self) -> None:
        for path in (STATE, CONFIG.parent, PROGRAM, Path("/run/postroom"), SPOOL / "postroom"):
            shutil.rmtree(path, ignore_errors=True)
        users = [f"postroom-{word}" for word in (*DAEMONS, "proxy")]
        for user in users:
            if succeeds("getent", "passwd", user):
                run("userdel", user)
        for group in ("postroom", "postroom-submit", "postroom-admin", "postroom-queue", *users):
            if succeeds("getent", "group", group):
                run("groupdel", group)
        self._report("purged: state, configuration, program, users and groups")


def _restored_octets(path: Path, only: tuple[str, ...] | None = None) -> bytes:
    """What main.cf or master.cf is without our part, or without these regions of it."""
    try:
        return restored(path.read_bytes().decode("latin-1"), only).text.encode("latin-1")
    except ValueError as broken:
        raise SetupFailed(f"{path}: {broken}") from None


def _write_and_reload(path: Path, octets: bytes) -> bool:
    """Write what is new and have Postfix take it up; returns whether it was new."""
    if octets == read_octets(path):
        return False
    write_whole(path, octets)
    commands.run("postfix", "reload")
    return True


def _return_domains() -> frozenset[str]:
    return wired_return_domains((read_octets(MAIN_CF) or b"").decode("latin-1"))
