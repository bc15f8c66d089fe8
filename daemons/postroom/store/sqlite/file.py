"""Opening SQLite files: one place for the library, the pragmas and the schema version.

Source:  SQLite "WAL mode" and "PRAGMA synchronous"; ARCHITECTURE.md, "The store".
Limits:  SQLite before 3.51.3 can corrupt a WAL that several processes write and
         checkpoint, so the library apsw brings is checked here, and the stdlib's
         sqlite3 must never open these files.
"""

import ctypes
import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw

from postroom.store.errors import StoreBroken, StoreFull, StoreUnavailable

OLDEST_SQLITE = (3, 51, 3)

BUSY_TIMEOUT_MS = 5_000
"""How long a transaction waits for another process's write."""

_QUOTA = (errno.EDQUOT, errno.EFBIG)
"""SQLite itself takes only ENOSPC for full; a quota (EDQUOT, EFBIG) it calls an I/O error."""

_library = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
if _library < OLDEST_SQLITE:
    raise ImportError(
        f"apsw brings SQLite {apsw.sqlite_lib_version()}, which can corrupt files shared by several "
        "processes; mend: install apsw 3.51.3 or newer from requirements.lock"
    )


def open_file(
    path: Path,
    schema: Sequence[str],
    *,
    synchronous: str,
    busy_timeout_ms: int = BUSY_TIMEOUT_MS,
    secure_delete: bool = False,
    keeps_wal: bool = False,
) -> apsw.Connection:
    """Open a store file and bring its schema up to date.

    Args:
        path:        the file; an empty one becomes a store.
        schema:      the migrations; `PRAGMA user_version` counts those already applied.
        synchronous: FULL (a commit is on the disk) or NORMAL (a power cut may cost the last commits).
        busy_timeout_ms: how long to wait for another process's write.
        secure_delete:   overwrite deleted rows with zeros.
        keeps_wal:       leave the WAL, copied back and emptied, and its index when the last process closes the file:
                         who may only read cannot make them (open_file_to_read).

    Raises:
        StoreUnavailable: missing, or not ours to open or to write.
        StoreBroken:      not a SQLite file, damaged, or of a newer Postroom.
        StoreFull:        no room to migrate it.
    """
    with _connected(path, apsw.SQLITE_OPEN_READWRITE, busy_timeout_ms) as connection:
        if connection.readonly("main"):
            # SQLite opens for reading what it may not write, and would say so only at the first write.
            raise StoreUnavailable(_not_writable(path))
        connection.pragma("journal_mode", "wal")
        if keeps_wal:
            yes = ctypes.c_int(1)  # it reads an int at this address
            connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(yes))
        connection.pragma("synchronous", synchronous)
        connection.pragma("foreign_keys", True)
        connection.pragma("secure_delete", secure_delete)
        # The WAL is cut back after a checkpoint, so that a burst does not keep its space for ever.
        connection.pragma("journal_size_limit", 64 * 1024 * 1024)
        _migrate(connection, path, schema)
    return connection


def open_file_to_read(path: Path, schema: Sequence[str], *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> apsw.Connection:
    """Open a store file that others write, for one who may not write it; its folder may be read-only as well.

    Raises:
        StoreUnavailable: missing, not ours to read, or not yet of this Postroom's schema.
        StoreBroken:      not a SQLite file, damaged, or of a newer Postroom.
    """
    with _connected(path, apsw.SQLITE_OPEN_READONLY, busy_timeout_ms) as connection:
        version = connection.pragma("user_version")
        if version > len(schema):
            raise _newer(path, version, schema)
        if version < len(schema):
            raise StoreUnavailable(f"{path}: is of an older Postroom; mend: `postroom store init`")
    return connection


@contextmanager
def _connected(path: Path, flags: int, busy_timeout_ms: int) -> Iterator[apsw.Connection]:
    """A connection, closed again where it cannot be made ready; the library's errors in the store's words."""
    connection = None
    try:
        connection = apsw.Connection(str(path), flags=flags, statementcachesize=200)
        connection.set_busy_timeout(busy_timeout_ms)
        yield connection
    except apsw.Error as error:
        trouble = translated(error, path, connection)
        if connection is not None:
            connection.close()
        raise trouble from error
    except StoreUnavailable:
        assert connection is not None
        connection.close()
        raise


def translated(error: apsw.Error, path: Path, connection: apsw.Connection | None = None) -> StoreUnavailable:
    """The store's word for an error of the library; `connection`, still open, tells a quota from a bad disk."""
    match error:
        case apsw.FullError():
            return StoreFull(f"{path}: no space left; mend: free space on its file system")
        case apsw.IOError() if connection is not None and connection.system_errno in _QUOTA:
            return StoreFull(f"{path}: its quota is used up; mend: raise it (quota(1), LimitFSIZE=), or free space")
        case apsw.CorruptError() | apsw.NotADBError():
            return StoreBroken(f"{path}: {error}; mend: restore it from a backup")
        case apsw.CantOpenError():
            return StoreUnavailable(
                f"{path}: cannot be opened ({error}); mend: `postroom store init`, and check its owner and mode"
            )
        case apsw.ReadOnlyError() | apsw.PermissionsError():
            return StoreUnavailable(_not_writable(path))
        case _:
            return StoreUnavailable(f"{path}: {error}")


def identity_of(path: Path) -> tuple[int, int] | None:
    """Which file lies at this path (device and inode); None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _newer(path: Path, version: int, schema: Sequence[str]) -> StoreBroken:
    return StoreBroken(
        f"{path}: was written by a newer Postroom (schema {version}, this one knows {len(schema)}); "
        "mend: upgrade Postroom, or restore the backup made before the upgrade"
    )


def _not_writable(path: Path) -> str:
    return f"{path}: cannot be written; mend: check its owner and mode, and its file system"


def _migrate(connection: apsw.Connection, path: Path, schema: Sequence[str]) -> None:
    if connection.pragma("user_version") == len(schema):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again: another process may have migrated while we waited for the lock.
        version = connection.pragma("user_version")
        if version > len(schema):
            raise _newer(path, version, schema)
        for statements in schema[version:]:
            # Fetched to the end: apsw stops at a statement that gives a row (a PRAGMA) until somebody asks for it.
            connection.execute(statements).fetchall()
        connection.pragma("user_version", len(schema))
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
