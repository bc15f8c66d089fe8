"""Subordinate uids: those a user may take on in a user namespace of its own, as rootless containers do.

Each user has 65,536 of them where newuidmap(1) is installed, and the kernel tells them as they are: whoever could
choose among them would have as many counts. So they stand for the user they were given to.

Source:  subuid(5), newuidmap(1).
Limits:  /etc/subuid alone; ranges from elsewhere (`subid:` of nsswitch.conf(5)) are not known.
"""

import pwd
from contextlib import suppress
from pathlib import Path

SUBUID = Path("/etc/subuid")


class SubordinateUids:
    """The ranges of a file, read again when it has changed."""

    def __init__(self, path: Path = SUBUID) -> None:
        self._path = path
        self._read_at: int | None = None
        self._ranges: list[tuple[range, int]] = []

    def user_of(self, uid: int) -> int:
        """The user that this uid was given to; the uid itself where it is nobody's subordinate."""
        try:
            changed_at = self._path.stat().st_mtime_ns
        except OSError:
            return uid
        if changed_at != self._read_at:
            self._read_at, self._ranges = changed_at, _ranges(self._path)
        return next((owner for uids, owner in self._ranges if uid in uids), uid)


def _ranges(path: Path) -> list[tuple[range, int]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with suppress(ValueError, KeyError):  # a line that newuidmap cannot use either
            name, first, count = line.strip().split(":")
            owner = int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid
            found.append((range(int(first), int(first) + int(count)), owner))
    return found
