"""Twelve processes that begin mails with the milter behind Postfix and break off anywhere, beside an honest client.

POSTROOM_BREAKING_S sets for how many seconds (scripts/soak: 60).
"""

import os
import smtplib
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.milter.conftest import MakeMilter, make_milter
from tests.milter.verifiers import dkimpy_verdicts

from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.process_tree import process_tree
from sandbox.sink import Sink, free_port
from sandbox.verifiers import with_crlf

pytestmark = pytest.mark.postfix
__all__ = ["make_milter"]

SECONDS = float(os.environ.get("POSTROOM_BREAKING_S", "6"))
PROCESSES = 12
BREAKS_OFF = """
import random, socket, sys, time
port, seed, end = int(sys.argv[1]), int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
random.seed(seed)
words = [b"EHLO x", b"MAIL FROM:<eve@example.org>", b"RCPT TO:<jane@example.net>", b"DATA", b"From: eve@example.org"]
words += [b"To: jane@example.net", b"", b"Hello. " * 2_000]
while time.monotonic() < end:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.recv(1000)
            for word in words[: random.randrange(len(words) + 1)]:
                sock.sendall(word + b"\\r\\n")
                if word[:1] in b"EMRD" and word.isupper():
                    sock.recv(1000)
    except OSError:
        pass
"""
MAIL = "From: boss@example.org\r\nTo: jane@example.net\r\nSubject: {}\r\n\r\nHello.\r\n"


def descriptors(pid: int) -> int:
    return sum(len(os.listdir(f"/proc/{member}/fd")) for member in process_tree(pid))


def test_who_breaks_off_holds_up_nobody(bed: Path, sink: Sink, make_milter: MakeMilter) -> None:
    """All honest mails are taken and signed meanwhile; then the same workers serve, with no descriptor more."""
    milter, port = make_milter(networks=("127.0.0.1",), settings="socket_group: postfix"), free_port()
    with (
        PrivatePostfix(
            bed / "postfix", ("127.0.0.1", sink.port), smtp_ports={port: {}}, milter=milter.socket
        ) as postfix,
        ExitStack() as running,
    ):
        workers, before = set(process_tree(milter.pid)), descriptors(milter.pid)
        for seed in range(PROCESSES):
            words = [sys.executable, "-I", "-c", BREAKS_OFF, str(port), str(seed), str(SECONDS)]
            child = running.enter_context(subprocess.Popen(words))
            running.callback(child.kill)
        sent, end = 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
                client.sendmail("boss@example.org", ["jane@example.net"], MAIL.format(sent))
            sent += 1
        until(lambda: len(sink.messages()) >= sent, 60, f"{sent} mails", postfix.alive)
        until(lambda: descriptors(milter.pid) <= before + 2, 60, "its sessions ended", milter.alive, 0.5)
        assert set(process_tree(milter.pid)) == workers
    arrived = [with_crlf(mail.raw) for mail in sink.messages()]
    assert len(arrived) == sent
    assert all(all(verdicts) and verdicts for verdicts in map(dkimpy_verdicts, arrived))
    print(f"\n{sent} honest mails signed in {SECONDS:g} s beside {PROCESSES} processes")
