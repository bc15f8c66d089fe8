"""A process that takes from one key as fast as it can, for the tests to race and to kill.

    taker.py FOLDER WORD COUNT LIMIT

Says "ready", waits for a line, and prints each instance that was allowed, when it knows.
"""

import asyncio
import sys
from pathlib import Path

from postroom.store.errors import StoreUnavailable
from postroom.store.limits.interface import Demand
from postroom.store.sqlite_store import open_sqlite_store


async def main(folder: Path, word: str, count: int, limit: int) -> None:
    store = open_sqlite_store(folder)
    demands = [Demand(f"rule{window_s}", "client:192.0.2.1", 1, limit, window_s) for window_s in (86_400, 90_000)]
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(count):
        instance = f"{word}{number}"
        try:
            verdict = await store.takes.take(instance, "smtp", demands)
        except StoreUnavailable as error:
            print(type(error).__name__, error, flush=True)
            break
        if verdict.allowed:
            print(instance, flush=True)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
