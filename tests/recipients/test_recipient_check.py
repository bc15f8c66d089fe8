"""One check for all doors, with a real store."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from postroom.mail.recipients import recipient_hash
from postroom.recipients.check import RecipientCheck, RecipientRefusal
from postroom.recipients.resolver import RecipientResolver
from postroom.runtime.circuit_breaker import CircuitBreaker
from postroom.runtime.log import Log
from postroom.store.shared.values import Suppression
from postroom.store.shared_store import SharedStore
from postroom.store.sqlite_store import init_sqlite_store, open_sqlite_store

NOW = 1_790_000_000.0  # 2026-09-21
KEY = b"k" * 32
JANE = Suppression(
    recipient_hash(KEY, "jane@example.net"),
    "example.net",
    "j…@example.net",
    "invalid_recipient",
    "5.1.10",
    "",
    "bounce",
    NOW,
    None,
)


def checked(folder: Path, ask: Callable[[SharedStore, RecipientCheck], Awaitable[None]]) -> None:
    async def run() -> None:
        store = open_sqlite_store(folder)
        log = Log("error", lambda _level, _event, _fields: None)
        resolver = RecipientResolver(KEY, None)
        await ask(store, RecipientCheck(store.suppressions, resolver, CircuitBreaker("shared", "", log, 0.0), 1.0))
        await store.close()

    asyncio.run(run())


def test_each_address_has_its_own_answer(tmp_path: Path) -> None:
    """In order: bad syntax, suppressed (however it is written), and those that may get mail."""

    async def ask(store: SharedStore, check: RecipientCheck) -> None:
        await store.suppressions.suppress([JANE], now=NOW)
        bad, jane, other = await check.refusals(["jane@", "Jane@EXAMPLE.net", "john@example.net"], now=NOW)
        assert bad is not None
        assert (bad.code, bad.enhanced_status, bad.rule) == (553, "5.1.3", "recipient_syntax")
        assert jane == RecipientRefusal(
            550,
            "5.1.10",
            "recipient_suppressed",
            "recipient is suppressed: invalid_recipient, since 2026-09-21",
        )
        assert str(jane) == "550 5.1.10 recipient is suppressed: invalid_recipient, since 2026-09-21"
        assert other is None

    init_sqlite_store(tmp_path / "shared")
    checked(tmp_path / "shared", ask)


def test_the_status_is_of_the_class_of_the_code(tmp_path: Path) -> None:
    """Suppressed by hand, or after many temporary failures: 5.1.1."""

    async def ask(store: SharedStore, check: RecipientCheck) -> None:
        for status in (None, "4.2.2"):
            await store.suppressions.suppress([replace(JANE, enhanced_status=status)], now=NOW)
            (refusal,) = await check.refusals(["jane@example.net"], now=NOW)
            assert refusal is not None
            assert refusal.enhanced_status == "5.1.1"

    init_sqlite_store(tmp_path / "shared")
    checked(tmp_path / "shared", ask)


def test_without_a_store_only_syntax_is_checked(tmp_path: Path) -> None:
    """Mail goes on; the address that is none is refused all the same."""

    async def ask(_store: SharedStore, check: RecipientCheck) -> None:
        bad, jane = await check.refusals(["jane@", "jane@example.net"], now=NOW)
        assert bad is not None
        assert jane is None

    checked(tmp_path / "not-there", ask)
