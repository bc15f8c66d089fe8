"""The witness request: a file that submission touches while deliveries are in doubt, and the watcher looks at.

It is the only message from submission to the watcher. It may be lost or come twice, since it is repeated as long as
there are doubts; a file outlives both daemons, needs no listener and no shared store that answers.
"""

import os
from pathlib import Path

from postroom.store.errors import StoreUnavailable


def request_witness(path: Path, now: float) -> None:
    """Ask the watcher to find out what became of attempts that ended before `now` (Unix seconds).

    Raises:
        StoreUnavailable: the file cannot be made.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640))
        os.utime(path, (now, now), follow_symlinks=False)
    except OSError as error:
        raise StoreUnavailable(
            f"{path}: cannot be touched ({error.strerror}); mend: `postroom store init`, and check owner and mode"
        ) from error


def requested_at(path: Path) -> float:
    """When the last request was made (Unix seconds); 0 when never."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0
