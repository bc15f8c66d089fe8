"""Waiting for an event, at most so long."""

import asyncio


async def wait(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for the event, at most `timeout_s` seconds; returns whether it is set."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass
    return event.is_set()
