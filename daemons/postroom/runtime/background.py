"""Tasks that run beside a daemon's work as long as it lives: beats, sweeps, followers.

One that ends before it is asked to has failed. The daemon then ends too, with its fault, and systemd restarts it: a
daemon that goes on without its sweep or its beat looks well and is not.

What such a task waits for it waits for with a limit (`set_within`).
"""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Background:
    """The tasks of one daemon."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task beside the daemon's work, until `end`."""
        self._tasks.append(asyncio.create_task(work))

    async def until_stopped(self, stopping: asyncio.Event, *others: "asyncio.Task[None]") -> None:
        """Wait until the daemon is to stop, or one of its tasks, or of the others, has ended."""
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait([stopped, *self._tasks, *others], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()

    async def end(self) -> None:
        """End all tasks; raises the error of one that had ended by itself."""
        ended = [task for task in self._tasks if task.done()]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for task in ended:
            task.result()


async def set_within(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for the event, at most `timeout_s` seconds; returns whether it is set."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass
    return event.is_set()
