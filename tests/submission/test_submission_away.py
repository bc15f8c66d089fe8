"""The daemon while Postfix cannot be used: what clients and operators are told, and that it is over when it is over."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.submission.api.http_bed import PLAIN, WELCOME, resident_octets
from tests.submission.conftest import MakeDaemon
from tests.submission.handover.scripted_postfix import SILENCE, ScriptedPostfix, Seen

from sandbox.daemon import SubmissionDaemon

pytestmark = pytest.mark.process

QUICK = "reply_timeout: 1s\naway_retry_max: 1s\nretry_first: 1s"


async def shown(daemon: SubmissionDaemon, message: str, *, state: str, reason: str | None = None) -> dict[str, Any]:
    """The only delivery of a message, once it is in this state, with this reason."""
    async with asyncio.timeout(15):
        while True:
            document = await asyncio.to_thread(daemon.message, message)
            delivery: dict[str, Any] = document["deliveries"][0]
            if delivery["state"] == state and (reason is None or reason in delivery.get("reason", "")):
                return delivery
            await asyncio.sleep(0.02)


async def test_the_reason_is_shown_until_postfix_is_back(make_daemon: MakeDaemon, bed: Path) -> None:
    """In the message, in `postroom status`, and in one line of the log; then the mail goes out, once."""
    daemon = await asyncio.to_thread(make_daemon, handover_settings=QUICK)
    reason = "no answer within 1 s"

    def greets(_seen: Seen, command: str) -> bytes | None:
        return SILENCE if command == "" else None

    async with ScriptedPostfix(bed / "postroom-in", greets) as postfix:
        message = (await asyncio.to_thread(daemon.post, WELCOME)).document["id"]
        delivery = await shown(daemon, message, state="accepted", reason=reason)
        assert delivery["attempts"] == 0
        assert delivery["next_try"]
        status = await asyncio.to_thread(daemon.command, "status")
        assert status.returncode == 1
        assert reason in status.stdout
        assert "next try" in status.stdout
        one = await asyncio.to_thread(daemon.command, "status", message)
        assert (one.returncode, reason in one.stdout, "z…@example.net" in one.stdout) == (0, True, True)
        assert daemon.log().count("handover.unavailable") >= 1

        postfix.script = lambda _seen, _command: None
        delivery = await shown(daemon, message, state="queued")
        assert (delivery["attempts"], delivery["queue_id"]) == (1, "4XyZ1k2bQvz6Qb")
        assert len(postfix.queued) == 1
        status = await asyncio.to_thread(daemon.command, "status")
        assert (status.returncode, "Postfix accepts mail" in status.stdout) == (0, True)


async def test_a_peer_that_floods_costs_no_memory(make_daemon: MakeDaemon, bed: Path) -> None:
    """Octets, lines and replies without end, in the greeting, at EHLO and at MAIL."""
    daemon = await asyncio.to_thread(make_daemon, handover_settings=QUICK)
    before = resident_octets(daemon.pid)
    floods = [
        ("", b"\0" * 10_000_000),
        ("", b"220-mail.example.org\r\n" * 500_000),
        ("EHLO", b"250-X\r\n" * 1_000_000),
        ("MAIL", b"250 2.1.0 Ok\r\n" * 1_000_000),
    ]
    flooded: set[int] = set()

    def flood(seen: Seen, command: str) -> bytes | None:
        which = (seen.number - 1) % len(floods)
        verb, octets = floods[which]
        if command.split(" ", maxsplit=1)[0] != verb or len(flooded) == len(floods):
            return None
        flooded.add(which)
        return octets

    async with ScriptedPostfix(bed / "postroom-in", flood):
        messages = [(await asyncio.to_thread(daemon.post, PLAIN)).document["id"] for _ in range(3)]
        async with asyncio.timeout(15):
            while len(flooded) < len(floods):
                await asyncio.sleep(0.02)
        for message in messages:
            await shown(daemon, message, state="queued")
    assert resident_octets(daemon.pid) - before < 40_000_000
