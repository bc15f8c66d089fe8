"""What set-up and uninstallation must bring about, asked of a booted Debian with a Postfix that works.

python3 -m tests.setup.installed, in the machine of test_set_up_host.py, with the system's Python alone, at its first
boot and again at its second. Each function is one truth; the first that does not hold ends it with an AssertionError.
"""

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.setup import attackers, late_bounces, logins, ordinary_user, rebooted, rights, upgraded
from tests.setup.doors import arrived, post, sendmail, smtp, state, wait_arrived
from tests.setup.scripts import BEFORE, FILES, SET_UP, SIGNED_AND_DELIVERED, nothing_is_left, script
from tests.systemd.asking import (
    API,
    CONFIG,
    LMTP,
    MILTER,
    MONITOR,
    POLICY,
    SPOOL,
    connected,
    events,
    pids,
    run,
    unit,
    user,
    wait_active,
    world,
)

from postroom.config.daemons import DAEMONS
from postroom.setup.queued_mail import at_the_door
from sandbox.process import until

WHOLE = ("/etc", "/opt/postroom", "/var/lib/postroom")


def tree() -> dict[str, str]:
    """Every file of the places set-up writes to, with its digest, mode and time of change."""
    found = {}
    for place in WHOLE:
        for path in Path(place).rglob("*"):
            if path.is_file() and "shared" not in path.parts and path.suffix not in {".db-wal", ".db-shm", ".db"}:
                status = path.stat()
                octets = hashlib.sha256(path.read_bytes()).hexdigest()
                found[str(path)] = f"{status.st_mode:o} {status.st_uid} {status.st_mtime_ns} {octets}"
    return found


def differing(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def a_dry_run_shows_all_and_changes_nothing() -> None:
    before = tree()
    shown = script(*SET_UP, "--dry-run")
    assert differing(before, tree()) == []
    assert "+smtpd_milters = $postroom_milter" in shown
    assert "+    -o content_filter=postroom-door:[127.0.0.1]:10587" in shown
    assert "+relay_domains = $postroom_return_domains, partner.test" in shown
    assert "+++ /etc/systemd/system/postroom-milter.service" in shown
    assert "$ systemctl enable --now --quiet postroom.target" in shown


def one_command_sets_up_and_proves_it() -> None:
    shown = script(*SET_UP)
    print(shown[-1500:])
    assert re.findall(SIGNED_AND_DELIVERED, shown) == ["socket", "smtp", "sendmail"]
    assert "._domainkey.example.org" in shown
    assert "bounces.example.org. IN MX 10 mail.example.org." in shown
    assert "\n  every address of example.org: uids 0-999; clients operators\n" in shown
    assert "\nnote: " not in shown
    wait_active()
    assert run("postfix", "check") == ""
    assert subprocess.run(["which", "gcc", "pkg-config"], capture_output=True, check=False).stdout == b""


def a_second_run_changes_nothing() -> None:
    before = tree()
    running = pids()
    shown = script(*SET_UP, "--no-test-mail")
    assert differing(before, tree()) == []
    assert pids() == running
    assert not re.search(r"^(\$|---|\+\+\+)", shown, re.MULTILINE), shown
    # For what comes: ada may send by the API.
    text = CONFIG.read_text().replace("  clients:\n", "  clients:\n    shop: {users: [ada]}\n")
    CONFIG.write_text(text.replace("clients: [operators]", "clients: [operators, shop]"))
    run("usermod", "--append", "--groups", "postroom-submit", "ada")
    run("systemctl", "reload", unit("submission"))
    until(lambda: bool(events("daemon.reloaded")), 20, "reloaded", every_s=0.2)


def every_door_refuses_whom_it_should() -> None:
    """A table: who may connect where."""
    rows = {
        API: {"ada"},
        MONITOR: set[str](),
        POLICY: set[str](),
        MILTER: set[str](),
        LMTP: set[str](),
        SPOOL / "public/postroom-in": set[str](),
        SPOOL / "public/postroom-probe": set[str](),
        SPOOL / "public/showq": set[str](),
        rights.RUN / "showq.sock": set[str](),
        rights.RUN / "probe.sock": set[str](),
        SPOOL / "private/postroom-door": set[str](),
    }
    print(f"{'socket':<45} {'ada, a client':<14} ben, any user")
    for path, may in rows.items():
        words = {}
        for name in ("ada", "ben"):
            try:
                connected(path, name).close()
            except PermissionError:
                words[name] = "refused"
            else:
                words[name] = "connects"
            assert (words[name] == "connects") == (name in may), (path, name)
        print(f"{path!s:<45} {words['ada']:<14} {words['ben']}")
    for folder in (f"/var/lib/postroom/{name}" for name in ("keys", "dkim", "submission", "shared")):
        with user("ben"):
            try:
                os.listdir(folder)
            except PermissionError:
                print(f"{folder:<45} {'refused':<14} refused")
            else:
                raise AssertionError(folder)
    # The listener of the sendmail door hangs up on anybody but Postfix.
    with user("ben"):
        sock = socket.create_connection(("127.0.0.1", 10587), timeout=60)
    file = sock.makefile("rwb", buffering=0)
    said, rest = file.readline(), file.readline()
    print(f"{'127.0.0.1:10587':<45} {'refused':<14} refused: {said.decode().strip()}")
    assert (said[:9], rest) == (b"421 4.7.1", b""), said
    listening = run("ss", "-Hltn") if Path("/usr/bin/ss").exists() else ""
    assert not re.search(r"(0\.0\.0\.0|\*|\[::\]):10587", listening)


def a_user_is_limited_and_another_is_not() -> None:
    good = CONFIG.read_text()
    CONFIG.write_text(good.replace("rate: 1000/1h", "rate: 5/1h"))
    before = len(events(r"daemon\.reloaded"))
    run("systemctl", "reload", unit("milter"))
    until(lambda: len(events(r"daemon\.reloaded")) > before, 20, "reloaded", every_s=0.2)
    for number in range(7):
        sendmail("ada", f"ada {number}")
    sendmail("ben", "ben 0")
    wait_arrived({"ben 0"})
    until(lambda: run("postqueue", "-p").count("Over the limit per-user") == 2, 60, "two that wait", every_s=0.3)
    assert sum(subject.startswith("ada ") for subject in arrived()) == 5
    CONFIG.write_text(good)
    run("systemctl", "reload", unit("milter"))
    until(lambda: len(events(r"daemon\.reloaded")) > before + 1, 20, "reloaded", every_s=0.2)
    run("postqueue", "-f")
    wait_arrived({f"ada {number}" for number in range(7)})


KNOCK = """
import select, socket, sys
while not select.select([sys.stdin], [], [], 0.02)[0]:
    for path in sys.argv[1:]:
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(20)
                sock.connect(path)
        except OSError as error:
            print(path, error, flush=True)
"""


@contextmanager
def knocking() -> Iterator[list[str]]:
    """All the while root connects to each socket; at the end the list has what was refused.

    In a process of its own: here a client's user is that of the whole process for the time of its connection.
    """
    refused: list[str] = []
    words = [sys.executable, "-c", KNOCK, *map(str, (API, POLICY, MILTER, MONITOR, LMTP))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as knocker:
        try:
            yield refused
        finally:
            refused += knocker.communicate(timeout=60)[0].splitlines()


def a_killed_daemon_costs_no_mail_and_no_connection() -> None:
    sent = set()
    with knocking() as refused:
        for word in DAEMONS:
            pid = pids()[word]
            os.kill(pid, signal.SIGKILL)
            for door, send in (("api", post), ("sendmail", lambda subject: sendmail("ben", subject))):
                sent.add(f"{word} killed, {door}")
                send(f"{word} killed, {door}")
            until(partial(_is_back, word, pid), 30, f"{word} is back", every_s=0.2)
            wait_active()
            sent.add(f"{word} killed, smtp")
            smtp(f"{word} killed, smtp")
    assert refused == [], (len(refused), Counter(refused).most_common(5))
    run("postqueue", "-f")
    until(lambda: _flushed(sent), 90, "all mails in the world", every_s=2.0)
    wait_arrived(sent)


def _is_back(word: str, before: int) -> bool:
    return pids()[word] not in {0, before}


def _flushed(sent: set[str]) -> bool:
    run("postqueue", "-f")
    return sent <= arrived().keys()


def uninstalling_loses_none_of_the_mails_that_wait() -> None:
    """50 at the door, 20 in the outbox, a bounce; milter and watcher away: those at the door go on, the others stay."""
    ((recipient, (bounced, return_address)),) = late_bounces.delivered({"gone-at-last@example.net"}).items()
    late_bounces.the_watcher_is_away()
    late_bounces.bounce(recipient, return_address)
    run("systemctl", "stop", "postroom-milter.socket", unit("milter"))
    at_door = {f"waits at the door {number}" for number in range(50)}
    in_outbox = {f"waits in the outbox {number}" for number in range(20)}
    for subject in sorted(at_door):
        sendmail("ben", subject)
    for subject in sorted(in_outbox):
        post(subject)
    until(lambda: len(at_the_door("deferred")) == 50, 120, "50 at the door", every_s=0.5)
    shown = script("scripts/uninstall.sh", "--dry-run")
    assert "deferred 50" in shown
    assert "in the outbox: 20" in shown
    assert "waits for the watcher: deferred 1" in shown
    output = script("scripts/uninstall.sh", "--wait", "2", "--purge", status=1)
    assert "1 mails to the return path wait for the watcher and would be lost: " in output
    assert late_bounces.refused(return_address)[:1] in {"4", "5"}
    run("systemctl", "start", "postroom-watcher.socket", unit("watcher"))
    output = script("scripts/uninstall.sh", "--wait", "3", "--purge", status=1)
    print(output)
    assert "20 deliveries could not be handed over. They are kept" in output
    assert {path: path.read_bytes() for path in FILES} == BEFORE
    wait_arrived(at_door)
    assert not in_outbox & arrived().keys()
    assert not [name for name in os.listdir("/etc/systemd/system") if "postroom" in name]
    # Set up again, as the operator is asked to: what was kept goes out.
    script(*SET_UP)
    wait_arrived(in_outbox, 120)
    assert state(bounced) == "bounced"


def uninstalling_hands_over_what_it_can_and_leaves_nothing() -> None:
    for number in range(20):
        post(f"the last {number}")
    output = script("scripts/uninstall.sh", "--purge")
    print(output)
    wait_arrived({f"the last {number}" for number in range(20)})
    assert "as it was before set-up" in output
    nothing_is_left()
    smtp("without Postroom")
    sendmail("ben", "without Postroom, sendmail")
    wait_arrived({"without Postroom", "without Postroom, sendmail"})
    assert "postroom" not in run("systemctl", "list-units", "--all", "--no-legend", "postroom*")


FIRST: tuple[Callable[[], None], ...] = (
    a_dry_run_shows_all_and_changes_nothing,
    one_command_sets_up_and_proves_it,
    a_second_run_changes_nothing,
    partial(late_bounces.postroom_yaml_decides_which_domains_are_wired, *SET_UP),
    every_door_refuses_whom_it_should,
    rights.each_daemon_reaches_what_it_needs_and_no_more,
    rights.what_they_need_serves_them,
    a_user_is_limited_and_another_is_not,
    ordinary_user.eve_writes_from_the_domain_and_it_is_not_signed,
    *attackers.ALL,
    logins.a_login_is_asked_for_counted_and_signed,
    late_bounces.a_late_bounce_comes_to_the_api,
    late_bounces.a_watcher_killed_under_bounces_loses_none,
    a_killed_daemon_costs_no_mail_and_no_connection,
    rebooted.bounce_that_waits,
)

SECOND: tuple[Callable[[], None], ...] = (
    *rebooted.AFTER,
    uninstalling_loses_none_of_the_mails_that_wait,
    upgraded.wheels_are_kept,
    uninstalling_hands_over_what_it_can_and_leaves_nothing,
    *upgraded.Upgrade().truths(),
)


def ask(truths: Iterable[Callable[[], None]]) -> None:
    for truth in truths:
        began = time.monotonic()
        truth()
        print(f"{time.monotonic() - began:6.1f} s  {getattr(truth, 'func', truth).__name__}", flush=True)


if __name__ == "__main__":
    if os.environ["POSTROOM_FRESH"] == "1":
        with world():
            ask(FIRST)
        ask([rebooted.before])
        print("Rebooting.", flush=True)
        run("systemctl", "reboot")
        sys.exit()
    with world():
        ask(SECOND)
    print("All as it should be: installed.py")
