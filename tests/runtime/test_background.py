"""background.py: a task that ends by itself ends the daemon, with its fault."""

import asyncio

import pytest

from postroom.runtime.background import Background


async def forever(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("forever")


async def failing() -> None:
    raise ValueError("the sweep")


def test_all_end_when_the_daemon_stops() -> None:
    """Cancelled, and waited for."""

    async def main() -> list[str]:
        background, stopping, ended = Background(), asyncio.Event(), list[str]()
        background.start(forever(ended))
        asyncio.get_running_loop().call_soon(stopping.set)
        await background.until_stopped(stopping)
        assert ended == []
        await background.end()
        return ended

    assert asyncio.run(main()) == ["forever"]


def test_the_fault_of_one_that_fails_is_raised_at_the_end() -> None:
    """Nobody waits for the daemon to be stopped; the others have ended when its fault is raised."""

    async def main(ended: list[str]) -> None:
        background = Background()
        background.start(forever(ended))
        background.start(failing())
        await background.until_stopped(asyncio.Event())
        await background.end()

    ended = list[str]()
    with pytest.raises(ValueError, match="the sweep"):
        asyncio.run(main(ended))
    assert ended == ["forever"]


def test_the_work_itself_may_end_first() -> None:
    """It is the caller's to look at."""

    async def main() -> None:
        background = Background()
        work = asyncio.create_task(failing())
        await background.until_stopped(asyncio.Event(), work)
        await background.end()
        with pytest.raises(ValueError, match="the sweep"):
            await work

    asyncio.run(main())
