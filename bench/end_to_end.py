"""bench/end_to_end: what limits and signatures cost a message that comes by SMTP, beside two programs of Debian's.

    sudo .venv/bin/python bench/end_to_end.py [--rounds N] [--messages M] [--keep]

Three listeners of one Postfix take the same load, in each round one after the other and each round in another
order, so that a slow minute of the machine, or a queue directory that grew, meets all three:

    bare       nothing is asked
    postroom   postroom-policy (RCPT and END-OF-MESSAGE) and postroom-milter (two workers)
    debian     postfwd2 (the same two questions) and opendkim

One Postfix and not three, so that queue, cleanup, delivery and the far end are literally the same ones; only what
the listener itself is told differs. Both sides limit by sender, by recipient and for the whole server, with limits
that are never reached, and sign with the same RSA key of 2048 bits. postfwd counts in memory, postroom-policy in
a file on the disk, as their operators have it.

The load: smtp-source(1) with SESSIONS sessions, 4 KB, each message to a recipient of its own, a connection for
each message (with --keep, messages follow each other on one connection). Two times are taken: until smtp-source
ends, when all are accepted, and until smtp-sink(1) has them all. The CPU seconds are those of the process and
its children, by /proc/PID/stat.

Checked before the rounds: a few messages through each listener, whose signatures dkimpy verifies as they came to
the far end; and after them: the limiters have counted every message.

Exit:   0 measured, 1 a check failed, 2 something it needs is missing.
Limits: as root, best in a network namespace of its own (scripts/soak); postfwd's cache has a fixed port.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "daemons"), str(ROOT / "scripts"), str(ROOT)]

from bench.prerequisites import need, need_environment  # noqa: E402 - the checkout's own packages

need_environment()

from postroom.ctl.verification import verify  # noqa: E402
from postroom.milter.keys import read_key, record_value  # noqa: E402
from sandbox.daemon import DEFAULTS  # noqa: E402
from sandbox.milter import RSA_SELECTOR, MilterDaemon  # noqa: E402
from sandbox.opendkim import OpenDkim  # noqa: E402
from sandbox.policy import PolicyDaemon  # noqa: E402
from sandbox.postfix import CHECKOUT, PrivatePostfix, main_settings  # noqa: E402
from sandbox.postfwd import Postfwd  # noqa: E402
from sandbox.process import until  # noqa: E402
from sandbox.process_tree import cpu_s  # noqa: E402
from sandbox.sink import Sink, StoredMail, free_port  # noqa: E402

SESSIONS, OCTETS = 10, 4096
CHECKED = 2 * SESSIONS
"""Messages of each set-up whose signatures are verified; they also start what each listener keeps running."""
SENDER, RECIPIENT = "bench@example.org", "jane@world.test"
SETUPS = ("bare", "postroom", "debian")
POLICY_PIECE = CHECKOUT / "postfix-conf" / "policy.main.cf"

OUR_LIMITS = """
limits:
  - {name: per-sender, key: sender, rate: 1000000/1h}
  - {name: per-recipient, key: recipient, rate: 1000000/1d}
  - {name: whole-server, key: server, rate: 1000000/1d}
"""
# The recipient is counted where it is named: at the end Postfix names none when there are several. What the whole
# server sends is counted under an attribute that is always the same.
THEIR_LIMITS = """\
id=recipient; protocol_state==RCPT; action=rate(recipient/1000000/86400/450 4.7.1 over the limit)
id=sender; protocol_state==END-OF-MESSAGE; action=rate(sender/1000000/3600/450 4.7.1 over the limit)
id=server; protocol_state==END-OF-MESSAGE; action=rate(protocol_state/1000000/86400/450 4.7.1 over the limit)
"""


@dataclass(frozen=True)
class Bed:
    """All that runs, and how it is asked."""

    ports: Mapping[str, int]
    arrived: Callable[[], int]
    parts: Mapping[str, Sequence[tuple[str, int]]]
    """Of each set-up, the name and first process of each part."""
    counted: Mapping[str, Callable[[], int]]
    """How many messages its limiter has counted."""
    stored: Callable[[], list[StoredMail]]
    txt: str
    """The record of the key."""


@dataclass(frozen=True)
class Turn:
    """One set-up under load: messages a second, and milliseconds of CPU a message of each part."""

    accepted: float
    arrived: float
    cpu_ms: Mapping[str, float]


@contextmanager
def running(folder: Path) -> Iterator[Bed]:
    """Everything started, in a folder that every user may enter."""
    ports = {name: free_port() for name in SETUPS}
    asks_us = main_settings(POLICY_PIECE.read_text(encoding="ascii"))["postroom_policy_smtp"]
    with ExitStack() as stack:
        world = stack.enter_context(Sink(folder / "world", stores=False))
        checked = stack.enter_context(Sink(folder / "checked"))
        milter = MilterDaemon(
            folder / "milter", settings="socket_group: postfix\n  workers: 2", dkim=_one_key(folder / "milter")
        )
        stack.enter_context(milter)
        postfwd = stack.enter_context(Postfwd(folder / "postfwd", THEIR_LIMITS))
        opendkim = stack.enter_context(OpenDkim(folder / "opendkim", milter.rsa_key, "example.org", RSA_SELECTOR))
        asks_them = f"check_policy_service inet:127.0.0.1:{postfwd.port}"
        postfix = PrivatePostfix(
            folder / "postfix",
            ("127.0.0.1", world.port),
            handover=False,
            smtp_ports={
                ports["bare"]: {},
                ports["postroom"]: _listener(asks_us, milter.socket),
                ports["debian"]: _listener(asks_them, opendkim.socket),
            },
            settings={"transport_maps": f"inline:{{check.test=smtp:[127.0.0.1]:{checked.port}}}"},
        )
        policy = PolicyDaemon(
            folder / "policy", postfix.queue_directory / "postroom" / "policy.sock", DEFAULTS + OUR_LIMITS
        )
        stack.enter_context(policy)
        stack.enter_context(postfix)
        queueing = ("postfix", postfix.master_pid)
        yield Bed(
            ports,
            world.count,
            {
                "bare": [queueing],
                "postroom": [queueing, ("policy", policy.pid), ("milter", milter.pid)],
                "debian": [queueing, ("postfwd", postfwd.pid), ("opendkim", opendkim.pid)],
            },
            {
                "postroom": lambda: _used(policy),
                "debian": lambda: postfwd.counted(f"sender={SENDER}"),
            },
            checked.messages,
            record_value(read_key(milter.rsa_key)),
        )


def _one_key(folder: Path) -> str:
    return f"[{{selector: {RSA_SELECTOR}, key_file: {folder / 'rsa.pem'}}}]"


def _listener(asks: str, milter: Path) -> dict[str, str]:
    """The lines of postfix-conf/policy.master.cf and milter.main.cf, for clients known by their address."""
    return {
        "smtpd_recipient_restrictions": f"{asks}, permit_mynetworks, reject",
        "smtpd_end_of_data_restrictions": asks,
        "smtpd_milters": f"unix:{milter}",
        "milter_default_action": "tempfail",
    }


def _used(policy: PolicyDaemon) -> int:
    used: int = json.loads(policy.command("limits", "show", f"sender:{SENDER}", "--json").stdout)[0]["used"]
    return used


def load(port: int, messages: int, keep: bool, recipient: str = RECIPIENT) -> None:
    """Have smtp-source send so many messages; it ends when all are accepted, and fails when one is not."""
    subprocess.run(
        ["/usr/sbin/smtp-source", *(["-d"] if keep else []), "-N", "-s", str(min(SESSIONS, messages)),
         "-m", str(messages), "-l", str(OCTETS), "-f", SENDER, "-t", recipient, f"inet:127.0.0.1:{port}"],
        check=True,
    )  # fmt: skip


def check(bed: Bed) -> None:
    """Send CHECKED messages through each set-up to the far end that stores, and look at their signatures."""
    for name in SETUPS:
        load(bed.ports[name], CHECKED, False, f"{name}@check.test")
    until(lambda: len(bed.stored()) == CHECKED * len(SETUPS), 30.0, "the mail to be checked")
    for mail in bed.stored():
        (name,) = [name for name in SETUPS if mail.recipients[0].endswith(f"{name}@check.test")]
        holds = [found.holds for found in verify(mail.raw, lambda _: bed.txt)]
        if holds != ([] if name == "bare" else [True]):
            raise SystemExit(f"{name}: these signatures hold: {holds}")


def turn(bed: Bed, name: str, messages: int, keep: bool) -> Turn:
    """Load one set-up and wait until all has arrived."""
    before, cpu = bed.arrived(), {part: cpu_s(pid) for part, pid in bed.parts[name]}
    began = time.perf_counter()
    load(bed.ports[name], messages, keep)
    accepted_s = time.perf_counter() - began
    until(lambda: bed.arrived() >= before + messages, 300.0, f"all mail through {name} arrived")
    arrived_s = time.perf_counter() - began
    return Turn(
        messages / accepted_s,
        messages / arrived_s,
        {part: (cpu_s(pid) - cpu[part]) * 1000 / messages for part, pid in bed.parts[name]},
    )


def spread(values: Sequence[float], places: int) -> str:
    """Median, and the least and the greatest."""
    return f"{median(values):6.{places}f} ({min(values):.{places}f} to {max(values):.{places}f})"


def report(rounds: Sequence[Mapping[str, Turn]]) -> None:
    """Print the figures."""
    for what in ("accepted", "arrived"):
        for name in SETUPS:
            rates = [getattr(turns[name], what) for turns in rounds]
            ratios = [getattr(turns[name], what) / getattr(turns["bare"], what) for turns in rounds]
            print(f"{what:<9} {name:<9} {spread(rates, 0):<24} messages/s   of bare {spread(ratios, 2)}")
    for name in SETUPS:
        parts = {part: median(turns[name].cpu_ms[part] for turns in rounds) for part in rounds[0][name].cpu_ms}
        words = "   ".join(f"{part} {ms:.2f}" for part, ms in parts.items())
        print(f"cpu       {name:<9} {sum(parts.values()):.2f} ms/message   {words}")


def main() -> None:
    """Check, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=2000, help="messages through each set-up in each round")
    parser.add_argument("--keep", action="store_true", help="send messages one after the other on a connection")
    arguments = parser.parse_args()
    need(("postfix", "postfwd", "opendkim"), root=True)
    with tempfile.TemporaryDirectory(prefix="postroom-bench-", dir="/var/tmp") as place:
        folder = Path(place)
        folder.chmod(0o755)
        with running(folder) as bed:
            check(bed)
            rounds = []
            for number in range(arguments.rounds):
                order = [SETUPS[(number + place) % len(SETUPS)] for place in range(len(SETUPS))]
                rounds.append({name: turn(bed, name, arguments.messages, arguments.keep) for name in order})
            sent = CHECKED + arguments.rounds * arguments.messages
            counts = {setup: counted() for setup, counted in bed.counted.items()}
            if any(count != sent for count in counts.values()):
                raise SystemExit(f"of {sent} messages the limiters have counted {counts}")
    how = "several messages on a connection" if arguments.keep else "a connection for each message"
    print(f"{arguments.rounds} rounds of {arguments.messages} messages of {OCTETS} octets, {SESSIONS} sessions, {how}")
    print("signatures verified; every message counted")
    report(rounds)


if __name__ == "__main__":
    main()
