"""Secrets that `postroom store init` made, read at a daemon's start."""

from pathlib import Path

from postroom.mail.tokens import KEY_OCTETS
from postroom.runtime.lifecycle import StartRefused


def read_key(path: Path) -> bytes:
    """The secret in this file.

    Raises:
        StartRefused: it cannot be read, or is none.
    """
    try:
        key = path.read_bytes()
    except OSError as error:
        raise StartRefused(
            f"{path}: cannot be read ({error.strerror}); mend: `postroom store init`, and check owner and mode"
        ) from error
    if len(key) != KEY_OCTETS:
        raise StartRefused(f"{path}: is no key of {KEY_OCTETS} octets; mend: restore it from a backup")
    return key
