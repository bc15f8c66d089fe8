"""The shared store that the configuration names; nobody else names an engine."""

from postroom.config import paths
from postroom.config.model import Config
from postroom.store.shared_store import SharedStore
from postroom.store.sqlite_store import init_sqlite_store, open_sqlite_store


def open_shared_store(config: Config) -> SharedStore:
    """The shared store, for one event loop. It is reached at the first use, and again after a fault."""
    return open_sqlite_store(paths.shared_db(config).parent)


def open_shared_store_to_read(config: Config) -> SharedStore:
    """The same for who may not write it; what writes raises StoreUnavailable."""
    return open_sqlite_store(paths.shared_db(config).parent, read_only=True)


def init_shared_store(config: Config) -> None:
    """Make what the shared store needs where it is missing; safe to repeat.

    Raises:
        StoreUnavailable: not allowed, or something else lies in the way.
        OSError:          the folder above cannot be made.
    """
    folder = paths.shared_db(config).parent
    folder.mkdir(parents=True, exist_ok=True)
    init_sqlite_store(folder)
