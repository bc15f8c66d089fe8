"""Mails built to cost a reader time or memory, at the watcher's LMTP socket: each is taken, and bounces still count.

POSTROOM_BOMBS sets how many of each (scripts/soak: 20).
"""

import base64
import os
import re
import time
from pathlib import Path

import pytest
from tests.watcher.conftest import MakeWatcher, make_watcher
from tests.watcher.log_lines import active, in_file, tried

from postroom.mail.tokens import NAME_OCTETS, mint
from sandbox.bounce_mails import dsn
from sandbox.lmtp import deliver
from sandbox.process import until
from sandbox.watcher import WatcherDaemon

pytestmark = pytest.mark.process
__all__ = ["make_watcher"]

EACH = int(os.environ.get("POSTROOM_BOMBS", "1"))
MAX_RESIDENT_KB = 400_000
"""A mail of 50 MB may be held once, and once more while it is taken apart."""
HEAD = b"From: <>\r\nTo: hello@example.org\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n"
REPORT = b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
STATUS = b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.world.test\r\n\r\n"
FAILED = b"Final-Recipient: rfc822; %d@world.test\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
MB = 1_000_000


def nested(levels: int) -> bytes:
    """A multipart in a multipart in …"""
    opened = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (level, level) for level in range(levels)
    )
    return HEAD + opened + b"\r\nx\r\n"


BOMBS = {
    "50 MB in a report": HEAD + REPORT + STATUS + FAILED % 1 + b"--b\r\n\r\n" + b"x" * 78 + b"\r\n" * (25 * MB),
    "50 MB on one line": HEAD + b"\r\n" + b"x" * (50 * MB) + b"\r\n",
    "100,000 parts": HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 100_000,
    "2,000 levels": nested(2_000),
    "100,000 recipients": HEAD
    + REPORT
    + STATUS
    + b"".join(FAILED % number for number in range(100_000))
    + b"--b--\r\n",
    "a header of 5 MB": HEAD + b"X-Long: " + b"y \r\n " * MB + b"\r\n\r\nx\r\n",
    "100,000 headers": HEAD + b"X: y\r\n" * 100_000 + b"\r\nx\r\n",
    "encoded words": HEAD + b"Subject: " + b"=?utf-8?q?=41?= \r\n " * 200_000 + b"\r\n\r\nx\r\n",
    "a boundary of blanks": HEAD + b'Content-Type: multipart/mixed; boundary="' + b" " * 500_000 + b'"\r\n\r\nx\r\n',
    "open comments": HEAD + b"Content-Type: text/plain" + b"(" * 500_000 + b"\r\n\r\nx\r\n",
    "base64 of HTML": HEAD
    + b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(b"<p" * (5 * MB)).replace(b"\n", b"\r\n"),
    "quoted-printable": HEAD + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=\r\n" * (2 * MB),
    "NUL and CR": HEAD + REPORT + STATUS + b"\0\r" * MB + b"\r\n",
}


def peak_kb(daemon: WatcherDaemon) -> int:
    """The most memory the process had at once."""
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{daemon.pid}/status").read_text())[0])


def test_bombs_are_taken_and_a_bounce_counts_after_them(bed: Path, make_watcher: MakeWatcher) -> None:
    """The watcher lives on within its memory, and knows a bounce when it comes."""
    log = bed / "mail.log"
    log.touch()
    daemon = make_watcher(bed, f"source: {log}")
    daemon.start()
    key = (daemon.state_dir / "keys" / "return-path.key").read_bytes()

    def address(number: int) -> str:
        return f"{mint(key, number.to_bytes(NAME_OCTETS, 'big'), time.time())}@bounces.example.org"

    last = EACH * len(BOMBS) + 1
    with log.open("a", encoding="utf-8") as lines:
        for number in range(1, last + 1):
            queue_id = f"A{number:05X}"
            lines.write(in_file("qmgr", active(queue_id, address(number))))
            lines.write(in_file("smtp", tried(queue_id, f"u{number}@world.test")))
            lines.write(in_file("qmgr", f"{queue_id}: removed"))
    number = 0
    for _ in range(EACH):
        for name, octets in BOMBS.items():
            number += 1
            began = time.monotonic()
            (reply,) = deliver(daemon.socket, octets, address(number))
            print(f"{len(octets) / MB:6.1f} MB  {time.monotonic() - began:5.2f} s  {reply:<40}  {name}")
            assert reply[:4] in {"250 ", "552 "}, (name, reply)
            assert daemon.alive(), name
    assert deliver(daemon.socket, dsn(f"u{last}@world.test"), address(last)) == ["250 2.0.0 Taken"]
    until(lambda: "watcher.bounced" in daemon.log(), 20.0, "the bounce", daemon.alive)
    print(f"at most {peak_kb(daemon) / 1_000:.0f} MB of memory")
    assert peak_kb(daemon) < MAX_RESIDENT_KB
