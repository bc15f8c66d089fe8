"""Many connections of one user to a Unix socket, held open by a process of their own.

    with Crowd(path, 3_000, uid=54321) as crowd: …      crowd.connected, crowd.refused

python -m sandbox.crowd PATH COUNT TRICKLE is that process: it connects, says how many, and holds them until its
standard input ends; with a TRICKLE each connection sends an octet of that hexadecimal text each second.
"""

import os
import resource
import select
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.process import BedError

CHECKOUT = Path(__file__).resolve().parents[2]
WITHIN_S = 60.0
SETTLED_S = 1.0


class Crowd:
    """The connections; ended with the `with` block.

    Args:
        uid:     whose they are; None is our own.
        trickle: what each of them sends, an octet a second.

    Attributes:
        connected: how many the kernel took.
        refused:   how many of these the daemon closed within a moment.
    """

    def __init__(self, path: Path, count: int, uid: int | None = None, trickle: bytes = b"") -> None:
        as_user = [] if uid is None else ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        more = ["prlimit", f"--nofile={count + 100}"]
        self._argv = [*more, *as_user, sys.executable, "-m", "sandbox.crowd", str(path), str(count), trickle.hex()]
        self._child: subprocess.Popen[str] | None = None
        self.connected = self.refused = 0

    def open_still(self) -> int:
        """How many the daemon has not closed by now."""
        return int(self._asked("count"))

    def _asked(self, word: str) -> str:
        assert self._child is not None
        assert self._child.stdin is not None
        self._child.stdin.write(f"{word}\n")
        self._child.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._child is not None
        assert self._child.stdout is not None
        if not select.select([self._child.stdout], [], [], WITHIN_S)[0] or not (line := self._child.stdout.readline()):
            raise BedError("the crowd says nothing")
        return line

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            self._argv,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT / "scripts")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.connected, self.refused = map(int, self._line().split())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        assert self._child is not None
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            pipe.close()


def _connected(path: str, count: int) -> list[socket.socket]:
    made = []
    for _ in range(count):
        one = socket.socket(socket.AF_UNIX)
        one.connect(path)  # without a timeout: with one it would not wait for its turn (unix(7), EAGAIN)
        one.setblocking(False)
        made.append(one)
    return made


def _open(connections: list[socket.socket], wait_s: float) -> list[socket.socket]:
    """Those at which nothing ends within `wait_s` of the last one that did."""
    looked = select.poll()
    by_number = {one.fileno(): one for one in connections}
    for number in by_number:
        looked.register(number, select.POLLIN)
    while came := looked.poll(wait_s * 1000):
        for number, _ in came:
            try:
                is_over = not by_number[number].recv(65_536)
            except ConnectionResetError:
                is_over = True
            if is_over:
                looked.unregister(number)
                del by_number[number]
    return list(by_number.values())


def main(path: str, count: int, trickle: bytes) -> None:
    """Connect, tell, and hold."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft > count, f"{soft} descriptors ({hard}) are too few"
    alive = _open(_connected(path, count), SETTLED_S)
    print(count, count - len(alive), flush=True)
    while True:
        if select.select([sys.stdin], [], [], 1.0 if trickle else None)[0]:
            if not sys.stdin.readline():
                return
            alive = _open(alive, 0)
            print(len(alive), flush=True)
        octet, trickle = trickle[:1], trickle[1:]
        for one in list(alive):
            try:
                one.send(octet)
            except OSError:
                alive.remove(one)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3] if len(sys.argv) > 3 else ""))
