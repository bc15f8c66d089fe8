"""A daemon with nothing to do, for the tests of its life.

some_daemon.py HOW

serves    until it is stopped
refuses   to start
breaks    with an error that quotes an address
loses     its store
reloads   at SIGHUP: says so, then stands still until a line comes; the word on it decides how it goes on
"""

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from postroom.runtime.lifecycle import Life, StartRefused, run
from postroom.runtime.log import open_log
from postroom.store.errors import StoreFull


async def serves(life: Life) -> None:
    life.ready("at your service")
    await life.stopping.wait()
    print("drained", flush=True)


async def refuses(_life: Life) -> None:
    raise StartRefused(f"{Path('/etc/postroom/postroom.yaml')}: no such thing; mend: write one")


async def breaks(_life: Life) -> None:
    raise ValueError("jane.doe@example.net is no mailbox")


async def loses(_life: Life) -> None:
    raise StoreFull("mail.db: no space left; mend: free space on its file system")


async def reloads(life: Life) -> None:
    def read() -> str:
        print("reloading", flush=True)
        return sys.stdin.readline()

    def take(word: str) -> Sequence[str]:
        if word == "stand still\n":
            # On the loop itself: nothing else runs.
            print("standing still", flush=True)
            sys.stdin.readline()
        if word == "fail\n":
            raise ValueError("jane.doe@example.net is no mailbox")
        if word == "refuse\n":
            raise StartRefused("postroom.yaml:3: log.level: 'loud' is none", "postroom.yaml:5: x: is no setting")
        print("reloaded", flush=True)
        return ["policy.socket", "log"] if word == "half\n" else []

    life.on_reload(read, take)
    await serves(life)


HOW: dict[str, Callable[[Life], Awaitable[None]]] = {
    main.__name__: main for main in (serves, refuses, breaks, loses, reloads)
}
sys.exit(run(HOW[sys.argv[1]], open_log("policy", "info", "stderr")))
