"""`postroom store init`: make the files of the store, each for the user whose folder it lies in."""

import os
import secrets
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from postroom.ctl.context import CommandContext


SQLITE_SUFFIXES = ("-wal", "-shm")
"""What SQLite puts beside a file that is open."""


@click.group()
def store() -> None:
    """The files in which Postroom keeps what it knows."""


@store.command()
@click.pass_obj
def init(context: "CommandContext") -> None:
    """Make the store's files where they are missing. Safe to repeat.

    Run it as root where each daemon has a user of its own: a file made new gets owner and group of its folder. Else
    run it as the user of all daemons.
    """
    from postroom.config import paths
    from postroom.store.configured import init_shared_store
    from postroom.store.errors import StoreUnavailable
    from postroom.store.outbox.mail_store import MailStore
    from postroom.store.track.track_store import TrackStore

    config = context.config
    mail_db, track_db, shared = paths.mail_db(config), paths.track_db(config), paths.shared_db(config).parent
    keys = (paths.return_path_key(config), paths.recipient_hash_key(config))
    try:
        MailStore.init(mail_db)
        TrackStore.init(track_db)
        init_shared_store(config)
        for key in keys:
            key.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            _make_key(key)
        if os.geteuid() == 0:
            for path in paths.store_files(config):
                for made in (path, *(path.with_name(path.name + suffix) for suffix in SQLITE_SUFFIXES)):
                    _hand_over(made)
    except StoreUnavailable as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except OSError as error:
        failed = error.filename or keys[0].parent
        click.echo(f"{failed}: {error.strerror}; mend: check owner, mode and free space of its folder", err=True)
        sys.exit(1)
    for path in (mail_db, track_db, shared, *keys):
        click.echo(f"{path}: ready")


def _hand_over(path: Path) -> None:
    """Give a file that root made to the owner and group of its folder; one that is somebody's already stays so."""
    owner = path.parent.stat()
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        status = os.fstat(fd)
        # The folder is another user's, who may have put something there that is root's for a reason: a second name of
        # a file of root's does not become theirs.
        if status.st_uid == 0 and status.st_nlink == 1 and stat.S_ISREG(status.st_mode):
            os.fchown(fd, owner.st_uid, owner.st_gid)
    finally:
        os.close(fd)


def _make_key(path: Path) -> None:
    """Make the secret whole or not at all; one that is there stays, for mail in flight bears its signature."""
    from postroom.mail.tokens import KEY_OCTETS

    if path.exists():
        return
    fd, draft = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(file.fileno(), 0o640)
            file.write(secrets.token_bytes(KEY_OCTETS))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)  # never over one that another process made meanwhile
    finally:
        os.unlink(draft)
