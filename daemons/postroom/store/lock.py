"""The lock beside a store file that one process at a time may open; it ends with the process."""

import fcntl
import os
from pathlib import Path

from postroom.store.errors import StoreUnavailable


def lock_file(path: Path, daemon: str) -> int:
    """Lock the file at `path` for this process; returns the descriptor that holds the lock.

    Args:
        daemon: who has it open as a rule, for the message.

    Raises:
        StoreUnavailable: another process has it, or the lock cannot be opened.
    """
    lock = path.with_suffix(".lock")
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable(
            f"{lock}: cannot be opened ({error.strerror}); mend: `postroom store init`, and check owner and mode"
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise StoreUnavailable(
            f"{path}: another process has it open; mend: stop the other postroom-{daemon} first"
        ) from error
    return fd
