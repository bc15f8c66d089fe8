"""The loss of a store, as the log has it: once when it is lost, once when it is back, nothing in between.

Diagnostics: store.unavailable (effect says what that means), store.available.
"""

from postroom.runtime.log import Log
from postroom.runtime.log_once import LogOnce


class StoreLoss:
    """Whether a store is lost, as one user of it sees that.

    Args:
        store:   its word in the log.
        effect:  what it means for the mail that the store is lost.
        retry_s: seconds until the next try.
    """

    def __init__(self, store: str, effect: str, retry_s: float, log: Log) -> None:
        self._store = store
        self._effect = effect
        self._retry_s = retry_s
        self._log = log
        self._loss = LogOnce()

    def lost(self, error: str) -> None:
        """The store gave no answer; the first time is logged."""
        if self._loss.is_new():
            self._log.warning(
                "store.unavailable",
                store=self._store,
                error=error,
                effect=self._effect,
                next=f"{self._retry_s:g} s",
            )

    def back(self) -> None:
        """The store answered; after a loss that is logged."""
        if self._loss.clear():
            self._log.info("store.available", store=self._store)
