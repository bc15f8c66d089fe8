"""What set-up changed on this host: each file with its octets before, and the digest of what was written.

    /var/lib/postroom/setup/changes.json    path -> sha256 before (null: there was none), sha256 written
    /var/lib/postroom/setup/before/         the octets before, by their sha256

An entry is on the disk before its file is changed, so whatever was interrupted can be undone.
"""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("/var/lib/postroom/setup")


@dataclass(frozen=True)
class RecordedChange:
    """One file: digests before (None: it was not there) and of what was written."""

    before: str | None
    written: str


def digest(octets: bytes) -> str:
    """The digest by which the record knows a file: SHA-256, in hexadecimal digits."""
    return hashlib.sha256(octets).hexdigest()


def read_octets(path: Path) -> bytes | None:
    """What is in a file; None where there is none."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_whole(path: Path, octets: bytes, mode: int | None = None) -> None:
    """Write a file whole or not at all; mode and owner of one that is there stay, a symbolic link is followed."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    status = path.stat() if path.exists() else None
    fd, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(octets)
            file.flush()
            if status is not None:
                os.fchown(fd, status.st_uid, status.st_gid)
                os.fchmod(fd, status.st_mode & 0o7777)
            else:
                os.fchmod(fd, 0o644 if mode is None else mode)
            os.fsync(fd)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


class SetupRecord:
    """The changes of this host.

    Args:
        folder: where they are kept.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        text = read_octets(folder / "changes.json")
        recorded = {} if text is None else json.loads(text)
        self.changes = {Path(path): RecordedChange(**change) for path, change in recorded.items()}

    def note(self, path: Path, before: bytes | None, written: bytes) -> None:
        """Record that a file is about to be written.

        Args:
            before:  what uninstallation restores; None: it removes the file.
            written: what is written now.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if before is not None:
            write_whole(self._folder / "before" / digest(before), before, 0o600)
        self.changes[path] = RecordedChange(None if before is None else digest(before), digest(written))
        self._save()

    def forget(self, path: Path) -> None:
        """Drop a file from the record: it is as it was."""
        if self.changes.pop(path, None) is not None:
            self._save()

    def before(self, path: Path) -> bytes | None:
        """What a file held before set-up; None where it was not there, or is not in the record."""
        change = self.changes.get(path)
        return None if change is None or change.before is None else read_octets(self._folder / "before" / change.before)

    def _save(self) -> None:
        recorded = {str(path): vars(change) for path, change in sorted(self.changes.items())}
        write_whole(self._folder / "changes.json", json.dumps(recorded, indent=2).encode() + b"\n", 0o600)
