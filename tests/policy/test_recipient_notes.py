"""The recipients of messages under way, whichever process asks for them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from postroom.policy.recipient_notes import RecipientNotes
from postroom.runtime.circuit_breaker import CircuitBreaker
from postroom.runtime.log import Log
from postroom.store.sqlite_store import init_sqlite_store, open_sqlite_store

QUIET = Log("error", lambda _level, _event, _fields: None)


def with_two(
    folder: Path, use: Callable[[RecipientNotes, RecipientNotes], Awaitable[None]], max_notes: int = 100
) -> None:
    """Two processes' notes on one store."""

    async def run() -> None:
        stores = [open_sqlite_store(folder) for _ in range(2)]
        await use(
            *(RecipientNotes(store.notes, CircuitBreaker("limits", "", QUIET, 0.0), 1.0, max_notes) for store in stores)
        )
        for store in stores:
            await store.close()

    asyncio.run(run())


def test_another_process_knows_what_was_noted_here(tmp_path: Path) -> None:
    """smtpd connects anew, and meets another daemon: nothing is lost."""

    async def use(one: RecipientNotes, other: RecipientNotes) -> None:
        await one.add("1", "smtp", "#a", "example.org")
        await other.add("1", "smtp", "#b", "example.net")
        expected = {"#a": "example.org", "#b": "example.net"}
        assert await one.of("1", "smtp") == await other.of("1", "smtp") == expected
        assert await one.of("2", "smtp") == {}

    init_sqlite_store(tmp_path / "shared")
    with_two(tmp_path / "shared", use)


def test_without_a_store_each_process_has_its_own(tmp_path: Path) -> None:
    """Counted by what this process was told; never more is kept than asked for."""

    async def use(one: RecipientNotes, other: RecipientNotes) -> None:
        for number in range(5):
            await one.add(f"{number}", "smtp", "#a", "example.org")
        assert await one.of("4", "smtp") == {"#a": "example.org"}
        assert await other.of("4", "smtp") == {}
        assert await one.of("0", "smtp") == {}
        assert len(one._here) == 3

    with_two(tmp_path / "not-there", use, max_notes=3)
