"""The recipients' servers: one takes and keeps all mail, the others refuse their recipients, each with its own reply.

Each is an smtp-sink(1). Which recipient is whose is said by local part alone, so that any domain will do:

    busy@   451 4.3.0    gone@   550 5.1.1    shut@   550 5.7.1    all others   250

Source:  transport(5), regexp_table(5): a table written in main.cf itself needs Postfix 3.7.
"""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.sink import Sink, StoredMail

REFUSALS = {
    "busy": ("-r", "RCPT", "-b", "451 4.3.0 Come back later"),
    "gone": ("-f", "RCPT", "-B", "550 5.1.1 User unknown"),
    "shut": ("-f", "RCPT", "-B", "550 5.7.1 Blocked"),
}
"""Local part, and the options of smtp-sink(1) that refuse it."""


class RecipientServers:
    """The servers, started and stopped together.

    Args:
        folder: where the mail goes that is taken (`mail.*`).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._taking = Sink(folder)
        self._refusing = {name: Sink(folder / name, options=options) for name, options in REFUSALS.items()}
        self._running = ExitStack()

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """All of them; the first is the one that takes mail."""
        return (self._taking, *self._refusing.values())

    @property
    def relay(self) -> tuple[str, int]:
        """Where all mail goes that `transport_maps` does not send elsewhere; known once it runs."""
        return "127.0.0.1", self._taking.port

    @property
    def transport_maps(self) -> str:
        """The table for main.cf that sends refused recipients to their servers; known once they run."""
        rules = (f"{{/^{name}@/ smtp:[127.0.0.1]:{sink.port}}}" for name, sink in self._refusing.items())
        return f"regexp:{{{', '.join(rules)}}}"

    def messages(self) -> list[StoredMail]:
        """Every mail taken so far, in no certain order."""
        return self._taking.messages()

    def clear(self) -> None:
        """Stop what a killed run left behind."""
        for sink in self.sinks:
            sink.clear()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for sink in self.sinks:
                stack.enter_context(sink)
            self._running = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()
