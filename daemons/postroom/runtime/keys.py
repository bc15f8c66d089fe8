"""Secrets that `postroom store init` made, read at a daemon's start.

A unit hands them over as credentials of the same name (LoadCredential=), so that the files themselves
are root's alone; without them the file is read.

Source:  systemd.exec(5), "CREDENTIALS".
"""

import os
from collections.abc import Mapping
from pathlib import Path

from postroom.mail.tokens import KEY_OCTETS
from postroom.runtime.lifecycle import StartRefused


def read_key(path: Path, environment: Mapping[str, str] = os.environ) -> bytes:
    """The secret in this file, or in the credential of its name where there is one.

    Raises:
        StartRefused: it cannot be read, or is none.
    """
    credentials = environment.get("CREDENTIALS_DIRECTORY")
    if credentials is not None and (Path(credentials) / path.name).exists():
        path = Path(credentials) / path.name
    try:
        key = path.read_bytes()
    except OSError as error:
        raise StartRefused(
            f"{path}: cannot be read ({error.strerror}); mend: `postroom store init`, and check owner and mode"
        ) from error
    if len(key) != KEY_OCTETS:
        raise StartRefused(f"{path}: is not a key of {KEY_OCTETS} octets; mend: restore it from a backup")
    return key
