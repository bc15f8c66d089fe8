"""Where things lie: what is shipped with the program, and the files of its state.

Shipped folders are looked for beside the sources first (a checkout), then below
the prefix Python runs in (an installation; setup.py puts them there).
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from postroom.config.model import Config

_HERE = Path(__file__).resolve()


class ShippedMissing(FileNotFoundError):
    """A folder that comes with Postroom is not there: the installation is incomplete."""


def templates_dir() -> Path:
    """Give the folder of the shipped e-mail templates.

    Raises:
        ShippedMissing: it is nowhere.
    """
    return shipped("templates", _HERE, Path(sys.prefix))


def shipped(name: str, source: Path, prefix: Path) -> Path:
    """Give the shipped folder `name` for the program whose source file is `source`, installed below `prefix`.

    Raises:
        ShippedMissing: neither the checkout nor the prefix has it.
    """
    for folder in source.parents:
        if (folder / "setup.py").is_file() and (folder / "templates").is_dir():
            found = folder / name
            break
    else:
        found = prefix / "share" / "postroom" / name
    if not found.is_dir():
        raise ShippedMissing(f"{found} is missing; install Postroom again: pip install --force-reinstall .")
    return found


def default_config(environment: Mapping[str, str] = os.environ) -> Path:
    """Give the file to read when none is named: $POSTROOM_CONFIG, else /etc/postroom/postroom.yaml."""
    return Path(environment.get("POSTROOM_CONFIG") or "/etc/postroom/postroom.yaml")


def is_config_named(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether $POSTROOM_CONFIG names the file."""
    return bool(environment.get("POSTROOM_CONFIG"))


def mail_db(config: Config) -> Path:
    """Give the file of the outbox; its folder is 0700 of postroom-submission."""
    return config.state_dir / "submission" / "mail.db"


def track_db(config: Config) -> Path:
    """Give the file of what Postfix's log says; its folder is 2750 of postroom-watcher, others of the group read it."""
    return config.state_dir / "watcher" / "track.db"


def witness_request(config: Config) -> Path:
    """Give the file submission touches while it wants the watcher to find out what became of a hand-over."""
    return config.state_dir / "shared" / "witness.wish"


def limits_db(config: Config) -> Path:
    """Give the file of the limits' counts, shared by the daemons of this host."""
    return config.state_dir / "shared" / "limits.db"


def shared_db(config: Config) -> Path:
    """Give the file of suppression, figures and summaries, shared by the daemons of this host."""
    return config.state_dir / "shared" / "shared.db"


def return_path_key(config: Config) -> Path:
    """Give the file of the secret that signs return addresses."""
    return config.state_dir / "keys" / "return-path.key"


def dkim_key(config: Config, domain: str, selector: str) -> Path:
    """Give the file where a new signing key is put, unless the operator names another."""
    return config.state_dir / "dkim" / f"{selector}.{domain}.pem"


def store_files(config: Config) -> tuple[Path, ...]:
    """Give the files that `postroom store init` makes, and without which no daemon starts."""
    return (
        mail_db(config),
        track_db(config),
        limits_db(config),
        shared_db(config),
        return_path_key(config),
        recipient_hash_key(config),
    )


def recipient_hash_key(config: Config) -> Path:
    """Give the file of the secret under which recipients are hashed; all hosts of one store share it."""
    return config.state_dir / "keys" / "recipient-hash.key"
