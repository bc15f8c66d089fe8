"""What the parts of the outbox share."""

from collections.abc import Callable

from postroom.store.sqlite.thread import StoreThread


class Part:
    """One part of the outbox's operations: each runs in the store's thread, and tells the fault points it passes."""

    def __init__(self, thread: StoreThread, recipient_key: bytes, reach: Callable[[str], None]) -> None:
        self._thread = thread
        self._recipient_key = recipient_key
        self._reach = reach
