"""The policy socket around its decisions: what is logged when there is no answer."""

import asyncio
import socket
from pathlib import Path

from postroom.policy.decisions import Answer
from postroom.policy.protocol import PolicyRequest
from postroom.policy.server import PolicyServer
from postroom.runtime.log import Field, Level, Log
from postroom.runtime.metrics import Metrics
from sandbox.policy import end_of_message


async def broken(_: PolicyRequest) -> Answer:
    raise LookupError("jane@example.org")


def test_a_question_without_an_answer_is_logged_with_its_place(bed: Path) -> None:
    """Kind, file and line of the fault; never its words, which may quote an address."""
    written: list[tuple[str, dict[str, Field]]] = []

    def write(_: Level, event: str, fields: dict[str, Field]) -> None:
        written.append((event, fields))

    async def ask() -> bytes:
        server = PolicyServer(broken, 1.0, Log("info", write), Metrics())
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(bed / "policy"))
        accepting = await server.serve(listener)
        reader, writer = await asyncio.open_unix_connection(str(bed / "policy"))
        writer.write(end_of_message("1"))
        answer = await reader.read()
        writer.close()
        accepting.close()
        return answer

    assert asyncio.run(ask()) == b"", "it hangs up"
    ((event, fields),) = written
    line = next(n for n, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "raise LookupError" in text)
    assert (event, fields["error"], fields["where"]) == ("policy.unanswered", "LookupError", f"{__file__}:{line}")
    assert "jane" not in str(fields)
