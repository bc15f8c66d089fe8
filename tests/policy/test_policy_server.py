"""The policy socket around its decisions: what is logged when there is no answer."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from postroom.policy.decisions import Answer
from postroom.policy.protocol import PolicyRequest
from postroom.policy.server import PolicyServer
from postroom.runtime.log import Field, Level, Log
from postroom.runtime.metrics import Metrics
from sandbox.policy import end_of_message


async def broken(_: PolicyRequest) -> Answer:
    raise LookupError("jane@example.org")


async def slow(_: PolicyRequest) -> Answer:
    await asyncio.sleep(3600)
    raise AssertionError("unreachable")


@pytest.mark.parametrize(
    ("decide", "budget_s", "error", "faulty"),
    [(broken, 1.0, "LookupError", "raise LookupError"), (slow, 0.05, "TimeoutError", "await asyncio.sleep")],
)
def test_a_question_without_an_answer_is_logged_with_its_place(
    bed: Path, decide: Callable[[PolicyRequest], Awaitable[Answer]], budget_s: float, error: str, faulty: str
) -> None:
    """Kind, file and line of the fault, or of what took too long; never its words, which may quote an address."""
    written: list[tuple[str, dict[str, Field]]] = []

    def write(_: Level, event: str, fields: dict[str, Field]) -> None:
        written.append((event, fields))

    async def ask() -> bytes:
        server = PolicyServer(decide, budget_s, frozenset(), Log("info", write), Metrics())
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(bed / "policy"))
        accepting = server.serve(listener)
        reader, writer = await asyncio.open_unix_connection(str(bed / "policy"))
        writer.write(end_of_message("1"))
        answer = await reader.read()
        writer.close()
        accepting.close()
        return answer

    assert asyncio.run(ask()) == b"", "it hangs up"
    ((event, fields),) = written
    line = next(n for n, text in enumerate(Path(__file__).read_text().splitlines(), 1) if faulty in text)
    assert (event, fields["error"], fields["where"]) == ("policy.unanswered", error, f"{__file__}:{line}")
    assert "jane" not in str(fields)
