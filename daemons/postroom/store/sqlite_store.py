"""The shared store of a single host: two SQLite files in one folder.

limits.db  counters, takes, notes and who waits (limits/)
shared.db  beats, suppressions and what led to them (shared/)

They are apart so that nobody who writes knowledge makes Postfix wait for a limit. Both
are synchronous=NORMAL: a power cut may cost the last counts, the end of a process none.

Several unix users write these files: `init_sqlite_store` makes them 0660 in a folder 2770
whose group all of them share. The monitor only reads them (its unit gives it no more): that
takes a WAL and its index that are there already, so they are kept when everybody has closed
the file. The files are opened at the first use and again after a
fault, so a daemon starts, and recovers, without its store.

Diagnostics: StoreUnavailable and its kinds, with path and how to mend.
"""

import os
import stat
from pathlib import Path

from postroom.store.clock import SYSTEM, TimeSources
from postroom.store.errors import StoreUnavailable
from postroom.store.limits.file import LimitsFile
from postroom.store.limits.notes import SqliteNotes
from postroom.store.limits.schema import LIMITS
from postroom.store.limits.takes import SqliteTakes
from postroom.store.limits.waiting import SqliteWaiting
from postroom.store.shared.beats import SqliteBeats
from postroom.store.shared.evidence import SqliteEvidence
from postroom.store.shared.file import SharedFile
from postroom.store.shared.schema import SHARED
from postroom.store.shared.suppressions import SqliteSuppressions
from postroom.store.shared.waves import SqliteWaves
from postroom.store.shared_store import SharedStore
from postroom.store.sqlite.file import open_file

LIMITS_FILE = "limits.db"
SHARED_FILE = "shared.db"


def open_sqlite_store(folder: Path, sources: TimeSources = SYSTEM, *, read_only: bool = False) -> SharedStore:
    """The store in this folder, for one event loop.

    Args:
        folder:    where `init_sqlite_store` made the files.
        sources:   what the store's clock is made of; tests bring their own.
        read_only: for a process that may read the folder and not write it; what writes raises StoreUnavailable.
    """
    limits = LimitsFile(folder / LIMITS_FILE, sources, read_only=read_only)
    takes, notes, waiting = SqliteTakes(limits), SqliteNotes(limits), SqliteWaiting(limits)
    shared = SharedFile(folder / SHARED_FILE, sources, read_only=read_only)
    beats, suppressions, evidence = SqliteBeats(shared), SqliteSuppressions(shared), SqliteEvidence(shared)
    waves = SqliteWaves(shared)
    return SharedStore(
        takes=takes,
        notes=notes,
        waiting=waiting,
        suppressions=suppressions,
        evidence=evidence,
        waves=waves,
        beats=beats,
        sweep_parts=(
            takes.sweep,
            notes.sweep,
            waiting.sweep,
            beats.sweep,
            suppressions.sweep,
            evidence.sweep,
            waves.sweep,
        ),
        close_parts=(limits.close, shared.close),
    )


def init_sqlite_store(folder: Path, group: int | None = None) -> None:
    """Make the folder (2770) and its files (0660), or mend their modes; what is in them stays.

    Args:
        folder: its parent must exist.
        group:  gid whose members may use the store; None leaves it as it is.

    Raises:
        StoreUnavailable: not allowed, or something else lies in the way.
    """
    try:
        folder.mkdir(mode=0o770, exist_ok=True)
        if group is not None:
            os.chown(folder, -1, group)
        folder.chmod(0o2770)
    except OSError as error:
        raise StoreUnavailable(
            f"{folder}: {error.strerror}; mend: make the folder above it, and run `postroom store init` as root"
        ) from error
    for name, schema in ((LIMITS_FILE, LIMITS), (SHARED_FILE, SHARED)):
        _make(folder / name, group)
        open_file(folder / name, schema, synchronous="NORMAL", keeps_wal=True).close()


def _make(path: Path, group: int | None) -> None:
    """Make the file, or mend its mode and group, without following a link.

    The folder belongs to a group: a link laid there must not turn root's chmod on another file.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o660)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                raise StoreUnavailable(f"{path}: is not a plain file of one name; mend: move away what lies there")
            if group is not None:
                os.fchown(descriptor, -1, group)
            os.fchmod(descriptor, 0o660)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreUnavailable(
            f"{path}: {error.strerror}; mend: move away what lies there, and run `postroom store init` as root"
        ) from error
