"""bench/submission: how fast messages are accepted, and how fast they are handed over beside smtp-source.

    sudo .venv/bin/python bench/submission.py [--seconds S] [--rounds N] [--messages M]

Accepted: 16 clients on keep-alive connections post the template welcome to the real daemon, Postfix being away, so
nothing else runs; the disk's fsync time is measured in the same folder, before and after.

Handed over: in each round, M waiting messages go through the hand-over listener into Postfix's queue; then
smtp-source(1), Postfix's own load generator, sends the same message as often with as many sessions into the same
listener. Postfix discards both. The two take turns in one run, so that a slow minute of the machine meets both.
Each of our messages has an envelope sender of its own, each of smtp-source's a recipient of its own, for an address
that is new costs Postfix a look. The CPU milliseconds are a message's: Postfix's in both cases, and our daemon's.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "daemons"), str(ROOT / "scripts"), str(ROOT)]

from bench.prerequisites import need, need_environment  # noqa: E402 - the checkout's own packages

need_environment()

import apsw  # noqa: E402

from sandbox.daemon import SubmissionDaemon  # noqa: E402
from sandbox.postfix import PrivatePostfix  # noqa: E402
from sandbox.process import until  # noqa: E402
from sandbox.process_tree import cpu_s  # noqa: E402

CLIENTS = 16
SESSIONS = 4
BODY = {
    "from": "Example <hello@example.org>",
    "to": ["jane@world.test"],
    "template": {"name": "welcome", "data": {"first_name": "Jane", "action_url": "https://example.org/start"}},
}


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def fsync_ms(folder: Path, times: int = 300) -> list[float]:
    """How long it takes to append 4 KB and fsync, in milliseconds."""
    took = []
    fd = os.open(folder / "fsync", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for number in range(times):
            began = time.perf_counter()
            os.pwrite(fd, b"x" * 4096, number * 4096)
            os.fsync(fd)
            took.append((time.perf_counter() - began) * 1000)
    finally:
        os.close(fd)
        (folder / "fsync").unlink()
    return took


class Poster:
    """One keep-alive connection that posts the template welcome."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @staticmethod
    async def connect(socket: Path) -> "Poster":
        return Poster(*await asyncio.open_unix_connection(str(socket)))

    async def post(self) -> str:
        """Post once; the id of the accepted message."""
        body = json.dumps(BODY).encode("utf-8")
        self._writer.write(
            b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        answer = await self._reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
        if not head.startswith(b"http/1.1 202 "):
            raise SystemExit(f"not accepted: {answer.decode()}")
        message: str = json.loads(answer)["id"]
        return message

    def close(self) -> None:
        self._writer.close()


async def post_for(socket: Path, seconds: float) -> list[float]:
    """Post from CLIENTS connections for so long; the time of each accepted message in milliseconds."""
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def client() -> None:
        poster = await Poster.connect(socket)
        while (began := time.perf_counter()) < end:
            await poster.post()
            took.append((time.perf_counter() - began) * 1000)
        poster.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return took


async def post_count(socket: Path, count: int) -> str:
    """Have so many messages accepted; the id of the last one."""
    poster = await Poster.connect(socket)
    messages = [await poster.post() for _ in range(count)]
    poster.close()
    return messages[-1]


def accepting(folder: Path, seconds: float) -> None:
    """Print accepted messages a second and their times beside the disk's."""
    with SubmissionDaemon(folder, folder / "nowhere", submission="max_waiting: 10000000") as daemon:
        asyncio.run(post_for(daemon.socket, 1.0))
        disk = fsync_ms(folder)
        began = time.perf_counter()
        took = asyncio.run(post_for(daemon.socket, seconds))
        rate = len(took) / (time.perf_counter() - began)
        disk += fsync_ms(folder)
    print(f"fsync of 4 KB      p50 {median(disk):6.2f} ms   p99 {quantile(disk, 0.99):6.2f} ms")
    print(
        f"accepted           {rate:6.0f} messages/s   p50 {median(took):6.2f} ms   p99 {quantile(took, 0.99):6.2f} ms"
        f"   ({CLIENTS} clients, template welcome, {len(took)} messages)"
    )


def rate_of_ours(daemon: SubmissionDaemon) -> float:
    """Deliveries a second, from the first that is queued to the last that waits."""
    until(lambda: daemon.deliveries()["queued"] > 0, 30.0, "the first is queued")
    began, counts = time.perf_counter(), daemon.deliveries()
    until(lambda: daemon.deliveries()["accepted"] == 0, 300.0, "all are queued")
    return counts["accepted"] / (time.perf_counter() - began)


def content(daemon: SubmissionDaemon, file: Path) -> int:
    """Write one of the messages that wait to a file, as smtp-source wants it; its octets."""
    with closing(apsw.Connection(str(daemon.state_dir / "submission" / "mail.db"))) as mail:
        octets = bytes(mail.execute("SELECT octets FROM body LIMIT 1").get)
    file.write_bytes(octets.replace(b"\r\n", b"\n"))
    return len(octets)


def rate_of_smtp_source(listener: Path, messages: int, file: Path) -> float:
    """Messages a second of Postfix's own load generator."""
    began = time.perf_counter()
    subprocess.run(
        ["/usr/sbin/smtp-source", "-d", "-N", "-s", str(SESSIONS), "-m", str(messages), "-F", str(file),
         "-f", "bench@example.org", "-t", "jane@world.test", f"unix:{listener}"],
        check=True,
    )  # fmt: skip
    return messages / (time.perf_counter() - began)


@dataclass(frozen=True)
class Round:
    """Messages a second and CPU milliseconds a message."""

    ours: float
    theirs: float
    daemon_ms: float
    postfix_ms: float
    postfix_ms_theirs: float
    octets: int


def one_round(place: Path, messages: int) -> Round:
    """Hand over and send as many messages, one after the other, on a Postfix of their own."""
    place.mkdir(mode=0o755)
    postfix = PrivatePostfix(place / "postfix", ("127.0.0.1", 9), settings={"default_transport": "discard:"})
    postfix.write()
    daemon = SubmissionDaemon(
        place / "postroom",
        postfix.handover_socket.parent,
        submission="max_waiting: 10000000",
        handover_settings=f"sessions: {SESSIONS}\naway_retry_max: 1s",
    )
    with daemon:
        asyncio.run(post_count(daemon.socket, messages))
        octets = content(daemon, place / "content")
        with postfix:
            used = [cpu_s(daemon.pid), cpu_s(postfix.master_pid)]
            ours = rate_of_ours(daemon)
            until(lambda: not postfix.queue(), 120.0, "Postfix is idle")
            used += [cpu_s(daemon.pid), cpu_s(postfix.master_pid)]
            theirs = rate_of_smtp_source(postfix.handover_socket, messages, place / "content")
            until(lambda: not postfix.queue(), 120.0, "Postfix is idle")
            used.append(cpu_s(postfix.master_pid))
    daemon_ms, postfix_ms, postfix_ms_theirs = (
        (after - before) * 1000 / messages
        for before, after in ((used[0], used[2]), (used[1], used[3]), (used[3], used[4]))
    )
    return Round(ours, theirs, daemon_ms, postfix_ms, postfix_ms_theirs, octets)


def handing_over(folder: Path, rounds: int, messages: int) -> None:
    """Print the hand-over rate beside smtp-source's."""
    results = [one_round(folder / f"round{number}", messages) for number in range(rounds)]
    ratios = [result.ours / result.theirs for result in results]
    for name, rates, parts in (
        ("handed over", [result.ours for result in results], ("daemon_ms", "postfix_ms")),
        ("smtp-source", [result.theirs for result in results], ("postfix_ms_theirs",)),
    ):
        cpu = ", ".join(f"{part.split('_')[0]} {median(getattr(one, part) for one in results):.2f}" for part in parts)
        print(f"{name:<18} {median(rates):6.0f} messages/s   from {min(rates):.0f} to {max(rates):.0f}   cpu ms: {cpu}")
    print(
        f"ratio              {median(ratios):6.2f}   from {min(ratios):.2f} to {max(ratios):.2f}   ({rounds} rounds of"
        f" {messages} messages of {results[0].octets} octets, {SESSIONS} sessions each)"
    )


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="how long messages are posted")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=2000, help="messages in each round")
    arguments = parser.parse_args()
    need(("postfix",), root=True)
    with tempfile.TemporaryDirectory(prefix="postroom-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        accepting(folder / "accept", arguments.seconds)
        handing_over(folder, arguments.rounds, arguments.messages)


if __name__ == "__main__":
    main()
