"""The milter over a longer time and in worse times; and what it asks of Postfix.

In the stage with Postfix: the quick one has no postconf(1), and no seconds to spare.
"""

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest
from tests.milter.conftest import MakeMilter
from tests.milter.scripted_client import MilterClient
from tests.milter.test_milter_life import QUIET, open_sockets

from sandbox.milter import MilterDaemon
from sandbox.process import BedError, until

pytestmark = pytest.mark.postfix


def test_networks_are_asked_of_postfix_when_none_are_written(bed: Path) -> None:
    """postconf(1) of the configuration that $MAIL_CONFIG names; one that cannot be followed refuses the start."""
    daemon = MilterDaemon(bed / "m", settings=QUIET)
    daemon.write()
    daemon.config.write_text(daemon.config.read_text().replace("networks: [127.0.0.0/8]", "networks: null"))
    postfix = bed / "etc"
    postfix.mkdir()
    main = postfix / "main.cf"
    main.write_text("ours = 192.0.2.0/24\nmynetworks = $ours\n")
    os.utime(main, (0, 0))  # else postconf(1) waits 2 s for a file as young as that to be complete
    daemon.start({"MAIL_CONFIG": str(postfix)})
    try:
        for address, answer in (("192.0.2.1", "c"), ("127.0.0.1", "a")):
            with MilterClient(daemon.socket, address=address) as client:
                assert client.begin() == answer
    finally:
        daemon.stop()
    main.write_text("mynetworks = hash:/etc/postfix/networks\n")
    os.utime(main, (0, 0))
    with pytest.raises(BedError):
        daemon.start({"MAIL_CONFIG": str(postfix)})
    assert (
        "cannot be interpreted: 'hash:/etc/postfix/networks' is not a network; mend: write the networks" in daemon.log()
    )


def test_the_drain_has_a_bound(make_milter: MakeMilter) -> None:
    """A session that does not end is cut after `drain`, with a warning; the daemon ends well."""
    daemon = make_milter(settings="socket_group: null\n  drain: 1s")
    with MilterClient(daemon.socket) as client:
        client.begin()
        began = time.monotonic()
        assert daemon.stop(10) == 0
        assert time.monotonic() - began > 0.9
        with pytest.raises(ConnectionError):
            client.step("N")
    assert " warning: milter.drain_cut " in daemon.log()


def test_a_killed_worker_is_replaced(make_milter: MakeMilter) -> None:
    """Each of them, again and again; the socket takes connections all the while, and they are served."""
    daemon = make_milter(settings=QUIET)

    def new_workers(killed: list[int]) -> bool:
        return len(set(daemon.workers()) - set(killed)) == 2

    for _ in range(2):
        killed = daemon.workers()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        with MilterClient(daemon.socket) as client:  # waits in the socket until somebody is there again
            assert len(client.message()) == 2
        until(partial(new_workers, killed), 10, "two new workers", daemon.alive)
    died = [line for line in daemon.log().splitlines() if " error: milter.worker_died " in line]
    assert len(died) == 4
    assert all("signal=SIGKILL" in line for line in died)


def resident_kb(pid: int) -> int:
    """Its memory that no other process shares, and is in use (proc_pid_status(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0])


def test_two_thousand_messages_leave_memory_and_descriptors_as_they_were(make_milter: MakeMilter) -> None:
    """In sessions of 20, as smtpd's are, after as many that warm up."""
    daemon = make_milter(settings="socket_group: null\n  workers: 1", dkim=None)
    (worker,) = daemon.workers()

    def send(count: int) -> None:
        for _ in range(count // 20):
            with MilterClient(daemon.socket) as client:
                for _ in range(20):
                    assert len(client.message(b"a line of text\r\n" * 500)) == 2

    send(200)
    memory, sockets = resident_kb(worker), open_sockets(worker)
    send(2000)
    until(lambda: open_sockets(worker) <= sockets, 10, "the sockets closed", daemon.alive)
    assert resident_kb(worker) - memory < 1500


def test_a_large_message_takes_no_memory(make_milter: MakeMilter) -> None:
    """50 MB through one worker: the body is hashed as it comes."""
    daemon = make_milter(settings="socket_group: null\n  workers: 1")
    (worker,) = daemon.workers()
    with MilterClient(daemon.socket) as client:
        client.message(b"a line  of text \r\n" * 30_000)
        before = resident_kb(worker)
        client.message(b"a line  of text \r\n" * 2_800_000)
        assert resident_kb(worker) - before < 10_000
