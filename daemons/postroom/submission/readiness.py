"""Whether mail would be accepted now, for those who ask /readyz: what stands against it, by cause.

Whoever looks after a cause sets it and takes it back; the API shows them. That the disk has room is looked at here.
"""

import asyncio
import errno
import os
from dataclasses import dataclass
from pathlib import Path

LOOK_S = 2.0
ROOM_OCTETS = 256 * 1024
"""What a mail of usual size needs in mail.db and its log; with less there is no room."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why no mail is accepted: a code of the API's problems, and what is wrong in words."""

    code: str
    detail: str


class Readiness:
    """What stands in the way of accepting mail."""

    def __init__(self) -> None:
        self._obstacles: dict[str, Obstacle] = {}

    def report(self, cause: str, obstacle: Obstacle | None) -> None:
        """Say what a cause stands in the way with; None takes it back."""
        if obstacle is None:
            self._obstacles.pop(cause, None)
        else:
            self._obstacles[cause] = obstacle

    @property
    def obstacles(self) -> list[Obstacle]:
        """All there are now; none means ready."""
        return list(self._obstacles.values())


async def watch_disk(folder: Path, readiness: Readiness) -> None:
    """Look every LOOK_S seconds whether the disk under the outbox has room, until cancelled."""
    while True:
        # On a thread: a disk in trouble may take its time, and one look follows the other.
        readiness.report("disk", await asyncio.to_thread(_disk_obstacle, folder))
        await asyncio.sleep(LOOK_S)


def _disk_obstacle(folder: Path) -> Obstacle | None:
    full = Obstacle(
        "storage_full", f"the disk under the outbox is full; mend: free space on the file system of {folder}"
    )
    try:
        disk = os.statvfs(folder)
        if disk.f_bavail * disk.f_frsize < ROOM_OCTETS:
            return full
        # A quota shows only in the attempt, with less than all the room there is: a mail may need it at this moment.
        # The file has no name and goes with its descriptor.
        fd = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, ROOM_OCTETS // 4)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in _FULL:
            return full
        if error.errno in {errno.EROFS, errno.EIO}:
            return Obstacle("unavailable", f"{folder}: cannot be written ({error.strerror}); mend: look after its disk")
        # Not every file system has files without a name.
    return None
