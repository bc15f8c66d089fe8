"""The loop a test's coroutines run on, one after the other."""

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Run(Protocol):
    """Runs one coroutine on the test's loop to its end; asyncio.Runner.run."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> T: ...
