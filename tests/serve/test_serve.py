"""`postroom serve` with real children: ready, lost, hanging, reloaded, refused, ended."""

import os
import re
import select
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from postroom.config.daemons import DAEMONS
from postroom.runtime.log import Field, Level, Log
from postroom.serve.children import MOST_HEARD, Children
from sandbox.policy import PolicyClient, request
from sandbox.process import Identity, until
from sandbox.serve import ServeDaemon

pytestmark = pytest.mark.process

WITHIN_S = 30.0

MakeServe = Callable[..., ServeDaemon]


@pytest.fixture
def make_serve(bed: Path) -> Iterator[MakeServe]:
    """Makes and starts one, with ServeDaemon's arguments; stopped at the end."""
    made: list[ServeDaemon] = []

    def make(settings: str = "drain: 30s") -> ServeDaemon:
        daemon = ServeDaemon(bed / f"s{len(made)}", settings)
        made.append(daemon)
        daemon.init()
        daemon.start()
        # READY=1 goes out before its line is written: who counts lines, or stops a daemon, waits for that too.
        until(lambda: len(logged(daemon, r"daemon\.ready")) == len(daemon.children()) + 1, WITHIN_S, "all lines of it")
        return daemon

    yield make
    for daemon in made:
        daemon.kill()


def logged(daemon: ServeDaemon, pattern: str) -> list[str]:
    """The lines of the log with this in them, from word and pid on."""
    return [line.split(" ", 1)[1] for line in daemon.log().splitlines() if re.search(pattern, line)]


def wait_for(daemon: ServeDaemon, pattern: str, count: int = 1) -> None:
    until(lambda: len(logged(daemon, pattern)) >= count, WITHIN_S, pattern, daemon.alive)


def test_the_words_are_those_of_all_rooms_with_a_daemon() -> None:
    """A new daemon joins config/values.py, and with that `serve` and the commands."""
    rooms = Path(__file__).parents[2] / "daemons" / "postroom"
    mains = {main.parent.name for main in rooms.glob("*/main.py") if 'WORD = "' in main.read_text(encoding="utf-8")}
    assert set(DAEMONS) == mains - {"serve"}


def test_ready_means_that_all_are(make_serve: MakeServe) -> None:
    """Each runs once and can be reached, and its lines are in our stderr as they are."""
    daemon = make_serve()
    assert set(daemon.children()) == set(DAEMONS)
    with PolicyClient(daemon.policy_socket) as client:
        assert client.ask(request()) == "DUNNO"
    assert daemon.submission_socket.is_socket()
    assert daemon.milter_socket.is_socket()
    assert daemon.monitor_socket.is_socket()
    for word, pid in daemon.children().items():
        assert f"postroom-{word}[{pid}] info: daemon.ready pid={pid}" in logged(daemon, "daemon.ready")


def test_only_the_configured_daemons_run(make_serve: MakeServe) -> None:
    """As on a host where another one watches."""
    daemon = make_serve("daemons: [submission, policy]")
    assert set(daemon.children()) == {"policy", "submission"}
    assert daemon.stop() == 0


def test_a_killed_daemon_is_started_again_and_the_others_stay(make_serve: MakeServe) -> None:
    """After a second; and it serves."""
    daemon = make_serve("daemons: [policy, watcher]")
    before = daemon.children()
    os.kill(before["policy"], signal.SIGKILL)
    wait_for(daemon, r"postroom-policy.* daemon\.ready", 2)
    after = daemon.children()
    assert {word for word in before if before[word] != after[word]} == {"policy"}
    assert logged(daemon, "serve.lost") == [
        f"postroom-serve[{daemon.pid}] error: serve.lost daemon=policy signal=SIGKILL restart_in_s=1"
    ]
    with PolicyClient(daemon.policy_socket) as client:
        assert client.ask(request()) == "DUNNO"


def test_a_daemon_that_hangs_is_killed_and_started_again(make_serve: MakeServe) -> None:
    """It gave no sign of life within serve.watchdog; the milter has no event loop, the watcher has one."""
    daemon = make_serve("watchdog: 4s, daemons: [milter, watcher]")
    for pid in daemon.children().values():
        os.kill(pid, signal.SIGSTOP)
    for word in ("milter", "watcher"):
        wait_for(daemon, rf"postroom-{word}.* daemon\.ready", 2)
        (line, *_) = logged(daemon, f"serve.killed daemon={word}")
        assert line.endswith('reason="no sign of life for 4 s"')
    assert daemon.stop() == 0


def test_at_the_end_submission_goes_first_and_the_watcher_last(make_serve: MakeServe) -> None:
    """Exit 0: what submission hands over last is still signed, and what becomes of it still read."""
    daemon = make_serve()
    assert daemon.stop() == 0
    stopped = [re.match(r"postroom-(\w+)", line) for line in logged(daemon, r"daemon\.stopped")]
    assert [word[1] for word in stopped if word] == [*reversed(DAEMONS), "serve"]


def test_asked_a_second_time_it_waits_for_nobody(make_serve: MakeServe) -> None:
    """A child that hangs in its end is killed with the rest."""
    daemon = make_serve("daemons: [policy, submission]")
    os.kill(daemon.children()["submission"], signal.SIGSTOP)
    os.kill(daemon.pid, signal.SIGTERM)
    wait_for(daemon, r"postroom-serve.* daemon\.stopping")
    os.kill(daemon.pid, signal.SIGTERM)
    assert daemon.wait(WITHIN_S) == 0
    assert len(logged(daemon, 'serve.killed .*"asked a second time"')) == 2


def test_a_child_that_does_not_end_costs_no_more_than_the_drain(make_serve: MakeServe) -> None:
    """Then it is killed, and so are those behind it, which nobody asked yet."""
    daemon = make_serve("drain: 1s, daemons: [policy, submission]")
    os.kill(daemon.children()["submission"], signal.SIGSTOP)
    assert daemon.stop(WITHIN_S) == 0
    assert logged(daemon, 'serve.killed daemon=submission reason="not all ended within 1 s"')


def test_sighup_reaches_all(make_serve: MakeServe) -> None:
    """Each says what came of it."""
    daemon = make_serve()
    daemon.hang_up()
    wait_for(daemon, r"daemon\.reloaded", len(DAEMONS))
    daemon.config.write_text("domains: [", encoding="utf-8")
    daemon.hang_up()
    wait_for(daemon, rf'daemon\.reload_refused reason="{daemon.config}:1: ', len(DAEMONS))
    assert set(daemon.children()) == set(DAEMONS)


def test_a_daemon_that_cannot_start_any_more_ends_all_with_78(make_serve: MakeServe) -> None:
    """A restart would mend nothing; its own line says what would."""
    daemon = make_serve("daemons: [policy, submission]")
    (daemon.state_dir / "keys" / "return-path.key").write_bytes(b"")
    os.kill(daemon.children()["submission"], signal.SIGKILL)
    assert daemon.wait(WITHIN_S) == 78
    assert logged(daemon, r"postroom-submission.* daemon\.refused .*return-path\.key: is not a key of 32 octets; ")
    assert logged(daemon, r"postroom-serve.* daemon\.refused .*postroom-submission cannot start as it is configured")
    assert logged(daemon, r"postroom-policy.* daemon\.stopped")


def test_killed_it_takes_its_children_with_it(make_serve: MakeServe) -> None:
    """Else they would go on without a supervisor, and refuse the next one; that starts at once."""
    daemon = make_serve()
    children = [(os.pidfd_open(pid), Identity.of(pid)) for pid in daemon.children().values()]
    daemon.kill()
    for fd, identity in children:
        assert select.select([fd], [], [], WITHIN_S)[0], f"{identity} lives on"
        os.close(fd)
    daemon.start()
    assert daemon.stop() == 0


def test_only_a_child_itself_can_speak_for_it(make_serve: MakeServe) -> None:
    """There is no name to speak to, and the descriptor is not passed on to what a child runs."""
    daemon = make_serve("daemons: [policy]")
    environment = Path(f"/proc/{daemon.children()['policy']}/environ").read_bytes()
    assert b"NOTIFY_SOCKET=" not in environment
    found = re.search(rb"POSTROOM_NOTIFY_FD=(\d+)", environment)
    assert found is not None
    flags = re.search(
        r"flags:\s+0(\d+)", Path(f"/proc/{daemon.children()['policy']}/fdinfo/{int(found[1])}").read_text("ascii")
    )
    assert flags is not None
    assert int(flags[1], 8) & os.O_CLOEXEC


def unread(path: Path) -> socket.socket:
    """A notification socket that nobody reads, its queue full."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as filling, suppress(BlockingIOError):
        while True:
            filling.sendto(b"STATUS=full", str(path))
    return listening


def test_a_manager_that_does_not_listen_stops_nobody(bed: Path) -> None:
    """The children are lost and started again, as long as it takes; once it reads again it hears READY=1."""
    daemon = ServeDaemon(bed / "s", "daemons: [policy]")
    daemon.init()
    path = bed / "manager"
    with unread(path) as listening:
        daemon.start({"NOTIFY_SOCKET": str(path)})
        try:
            for count in range(1, 5):
                wait_for(daemon, r"postroom-policy.* daemon\.ready", count)
                with PolicyClient(daemon.policy_socket) as client:
                    assert client.ask(request()) == "DUNNO"
                os.kill(daemon.children()["policy"], signal.SIGKILL)
            wait_for(daemon, r"postroom-policy.* daemon\.ready", 5)
            listening.settimeout(WITHIN_S)
            while not listening.recv(4096).startswith(b"READY=1\n"):
                pass
            assert daemon.stop() == 0
        finally:
            daemon.kill()


FLOODER = """
import os, socket
own = socket.socket(fileno=os.dup(int(os.environ["POSTROOM_NOTIFY_FD"])))
own.setblocking(True)
own.send(b"READY=1")
while True:
    own.send(b"WATCHDOG=1")
"""


def test_a_child_that_floods_it_stalls_neither_it_nor_the_others(bed: Path) -> None:
    """The other child's signs of life come through; it ends when it is told to, and starts what died."""
    flooding, quiet = bed / "flooding.py", bed / "quiet.py"
    flooding.write_text(FLOODER, encoding="ascii")
    quiet.write_text(
        "import time\nfrom postroom.runtime.notify import beat, tell_systemd\ntell_systemd('READY=1')\n"
        "while True:\n    beat()\n    time.sleep(0.2)\n",
        encoding="ascii",
    )
    lines: list[str] = []
    heard = Counter[str]()

    def write(_: Level, event: str, fields: dict[str, Field]) -> None:
        lines.append(event)

    sources = str(Path(__file__).parents[2] / "daemons")
    children = Children([sys.executable], 10.0, {"PYTHONPATH": sources}, Log("info", write))
    try:
        children.start(str(flooding))
        children.start(str(quiet))

        def both_are_heard() -> bool:
            looked = list(children.heard())
            heard.update(word for word, _ in looked)
            assert len(looked) <= 2 * MOST_HEARD, "a look ends, however much there is"
            return heard[str(quiet)] >= 5 and heard[str(flooding)] > 10 * MOST_HEARD

        until(both_are_heard, WITHIN_S, "the signs of life of both", every_s=0.001)
    finally:
        for word in (str(flooding), str(quiet)):
            children.send(word, signal.SIGKILL)
        for name in ("one", "the other"):
            until(lambda: next(iter(children.reap()), None) is not None, WITHIN_S, f"the end of {name}")
        children.close()


# What it refuses before it starts anything


def test_a_fault_in_the_configuration_is_told_and_nothing_is_started(bed: Path) -> None:
    """Exit 78 with file and line, also for what only `check` finds."""
    daemon = ServeDaemon(bed)
    daemon.init()
    daemon.change("socket_group: null}\ntemplates", "clients: {shop: {users: [no-such-user]}}}\ntemplates")
    done = daemon.command("serve")
    assert done.returncode == 78
    assert "submission.clients.shop: " in done.stderr
    daemon.change("[no-such-user]", "5")
    done = daemon.command("serve")
    assert done.returncode == 78
    assert re.match(rf"{daemon.config}:\d+: submission\.clients\.shop\.users: ", done.stderr)
    assert "serve.started" not in done.stderr


def test_without_a_store_it_says_how_to_make_it(bed: Path) -> None:
    """Exit 78, each file that is missing with the command."""
    daemon = ServeDaemon(bed)
    daemon.write()
    done = daemon.command("serve")
    assert done.returncode == 78
    assert f"{daemon.state_dir}/submission/mail.db: does not exist; mend: run `postroom store init`" in done.stderr
    assert "serve.started" not in done.stderr
