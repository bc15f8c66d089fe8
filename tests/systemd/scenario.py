"""What the units must bring about, asked of a booted Debian on which they were installed.

python -m tests.systemd.scenario, in the machine of test_installed.py: Postfix runs, postroom.yaml is the one beside
this file. Each function is one truth; the first that does not hold ends it with an AssertionError.
"""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.systemd.asking import (
    API,
    CONFIG,
    LMTP,
    MILTER,
    MONITOR,
    POLICY,
    POSTROOM,
    SPOOL,
    STATE,
    WORLD,
    asked,
    connected,
    deliver,
    events,
    health,
    owned,
    pids,
    run,
    show,
    states,
    unit,
    wait_active,
    world,
)

from postroom.config.daemons import DAEMONS
from sandbox.process import until


def sockets_and_folders_are_as_they_should_be() -> None:
    assert owned(POLICY) == ("0660", "postroom-policy", "postfix")
    assert owned(MILTER) == ("0660", "postroom-milter", "postfix")
    assert owned(API) == ("0660", "postroom-submission", "postroom-submit")
    assert owned(MONITOR) == ("0660", "postroom-monitor", "postroom-admin")
    assert owned(LMTP) == ("0660", "postroom-watcher", "postfix")
    assert owned(SPOOL / "postroom") == ("0750", "root", "postfix")
    assert owned(STATE / "submission/mail.db") == ("0600", "postroom-submission", "postroom-submission")
    assert owned(STATE / "submission") == ("0700", "postroom-submission", "postroom-submission")
    assert owned(STATE / "watcher/track.db") == ("0640", "postroom-watcher", "postroom-watcher")
    assert owned(STATE / "watcher") == ("2750", "postroom-watcher", "postroom-watcher")
    assert owned(STATE / "keys") == ("0700", "root", "root")
    assert owned(STATE / "shared") == ("2770", "root", "postroom")
    assert owned(Path("/run/postroom/showq.sock")) == ("0660", "root", "postroom-queue")
    assert owned(Path("/run/postroom/probe.sock")) == ("0600", "postroom-watcher", "postroom-watcher")
    for name in ("limits.db", "shared.db"):
        assert owned(STATE / "shared" / name) == ("0660", "root", "postroom")
    for path in (POLICY, MILTER, API, MONITOR, LMTP):
        try:
            connected(path, "nobody").close()
        except PermissionError:
            continue
        raise AssertionError(f"{path}: nobody may connect")
    assert run("postfix", "check") == ""


def each_daemon_is_confined() -> None:
    for word, pid in pids().items():
        status = Path(f"/proc/{pid}/status").read_text()
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE), word
        assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE), word
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE), word
        assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE), word
        keys = Path(f"/proc/{pid}/root/run/credentials/{unit(word)}")
        # The monitor hashes nobody and signs nothing.
        assert keys.is_dir() == (word != "monitor"), word


def a_reload_takes_a_new_signing_key() -> None:
    run(POSTROOM, "dkim", "key", "--domain", "example.org", "--selector", "2026a", "--group", "postroom-milter")
    key = STATE / "dkim/2026a.example.org.pem"
    assert owned(key)[2] == "postroom-milter"
    dkim = f"    dkim: [{{selector: 2026a, key_file: {key}}}]\n"
    CONFIG.write_text(CONFIG.read_text().replace("  example.org:\n", f"  example.org:\n{dkim}"))
    before = pids()
    for word in DAEMONS:
        run("systemctl", "reload", unit(word))
    until(lambda: len(events("daemon.reloaded")) >= len(DAEMONS), 20, "all reloaded", every_s=0.2)
    assert pids() == before


def a_reload_with_a_fault_keeps_what_was() -> None:
    good = CONFIG.read_text()
    CONFIG.write_text(good.replace("rate: 3/1h", "rate: often"))
    before = pids()
    for word in DAEMONS:
        run("systemctl", "reload", unit(word))
    refused = rf"daemon.reload_refused .*{CONFIG}:\d+: limits"
    until(lambda: len(events(refused)) >= len(DAEMONS), 20, "all refused", every_s=0.2)
    assert pids() == before
    CONFIG.write_text(good)


def a_message_is_signed_and_delivered() -> None:
    deliver()
    mail = max(WORLD.glob("mail.*"), key=lambda path: path.stat().st_mtime)
    assert "DKIM-Signature" in mail.read_text()
    record = "".join(re.findall(r'"(.*?)"', run(POSTROOM, "dkim", "dns")))
    # smtp-sink puts lines of its own before the message.
    text = mail.read_text()
    received = mail.with_suffix(".eml")
    received.write_text(text[text.index("DKIM-Signature:") :])
    verified = run(POSTROOM, "dkim", "verify", "--key-record", record, received)
    assert "example.org 2026a rsa-sha256 verifies" in verified


def the_monitor_reads_all_it_looks_at() -> None:
    seen: dict[str, Any] = {}

    def is_well() -> bool:
        seen.update(health())
        return not seen["findings"]

    until(is_well, 30, "nothing found", every_s=0.2)
    assert {word: seen["daemons"][word]["state"] for word in DAEMONS} == dict.fromkeys(DAEMONS, "ok")
    assert seen["stores"] == {"shared": True, "limits": True, "track": True}
    assert seen["queue"]["is_whole"]


def postfix_is_answered_and_limited() -> None:
    assert [asked(str(number)) for number in range(4)] == [
        *["action=DUNNO"] * 3,
        "action=450 4.7.1 Over the limit per-sender, try again later",
    ]


def killed_daemons_come_back() -> None:
    before = pids()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    until(lambda: all(pid not in before.values() and pid for pid in pids().values()), 60, "all restarted", every_s=0.2)
    wait_active()
    assert {word: show(word, "NRestarts") for word in DAEMONS} == dict.fromkeys(DAEMONS, "1")
    assert asked("3") == "action=450 4.7.1 Over the limit per-sender, try again later"
    deliver()


def hanging_daemons_are_killed_and_come_back() -> None:
    drop_in = Path("/etc/systemd/system/postroom-.service.d/20-test.conf")
    drop_in.write_text("[Service]\nWatchdogSec=3s\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", *map(unit, DAEMONS))
    wait_active()
    before = pids()
    for pid in before.values():
        os.kill(pid, signal.SIGSTOP)
    until(lambda: all(pid not in before.values() and pid for pid in pids().values()), 60, "all restarted", every_s=0.2)
    wait_active()
    drop_in.unlink()
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", *map(unit, DAEMONS))
    wait_active()
    deliver()


def one_that_cannot_start_stays_down_and_is_mended_as_the_unit_says() -> None:
    good = CONFIG.read_text()
    CONFIG.write_text(good.replace("rate: 3/1h", "rate: often"))
    run("systemctl", "restart", unit("policy"), ok=False)
    assert show("policy", "ExecMainStatus") == "78"

    # Postfix goes on to connect; each connection starts it again, and that has an end.
    def is_over() -> bool:
        try:
            connected(POLICY, "postfix").close()
        except ConnectionRefusedError:
            pass
        except FileNotFoundError:
            return True
        return run("systemctl", "is-failed", "postroom-policy.socket", ok=False) == "failed\n"

    until(is_over, 60, "the socket given up", every_s=0.1)
    CONFIG.write_text(good)
    run("systemctl", "reset-failed", "postroom-*")
    run("systemctl", "start", "postroom.target")
    wait_active()
    assert asked("3") == "action=450 4.7.1 Over the limit per-sender, try again later"


def the_target_stops_all_of_it() -> None:
    run("systemctl", "stop", "postroom.target")
    # What is part of the target stops with it, but systemctl(1) waits for the target alone.
    gone = (POLICY, MILTER, API, MONITOR, LMTP)
    until(lambda: not any(path.exists() for path in gone), 60, "the sockets gone", every_s=0.2)
    until(lambda: "deactivating" not in states().values(), 60, "the daemons ended", every_s=0.2)
    assert states() == dict.fromkeys(DAEMONS, "inactive")
    run("systemctl", "start", "postroom.target")
    wait_active()
    deliver()


TRUTHS: tuple[Callable[[], None], ...] = (
    wait_active,
    sockets_and_folders_are_as_they_should_be,
    each_daemon_is_confined,
    a_reload_takes_a_new_signing_key,
    a_message_is_signed_and_delivered,
    the_monitor_reads_all_it_looks_at,
    postfix_is_answered_and_limited,
    a_reload_with_a_fault_keeps_what_was,
    killed_daemons_come_back,
    hanging_daemons_are_killed_and_come_back,
    one_that_cannot_start_stays_down_and_is_mended_as_the_unit_says,
    the_target_stops_all_of_it,
)


if __name__ == "__main__":
    with world():
        for truth in TRUTHS:
            began = time.monotonic()
            truth()
            print(f"{time.monotonic() - began:6.1f} s  {truth.__name__}", flush=True)
    unexpected = events(r"daemon\.failed|library\.warned|store\.unavailable|Operation not permitted")
    assert unexpected == [], unexpected
    print("All as it should be.")
