"""What can go wrong with a store, as facts the caller can act on."""


class StoreUnavailable(Exception):
    """The store gave no answer in time, or could not be opened.

    The operation may be repeated as it is: every operation of a store is one
    transaction and safe to repeat.
    """


class StoreFull(StoreUnavailable):
    """The disk (or quota) under the store is full; nothing was written."""


class StoreBroken(StoreUnavailable):
    """The file is damaged, is no SQLite file, or was made by a newer Postroom."""


class StoreReplaced(StoreUnavailable):
    """The file was deleted, moved away, replaced or overwritten while it was open: what is stored now would be lost."""
