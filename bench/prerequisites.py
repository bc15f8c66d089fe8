"""What a bench needs of the machine, asked before it begins: what is missing is said in one line, and it ends with 2.

Only the standard library is imported here, for the first question is whether the rest is there.
"""

import os
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

PROGRAMS = {
    "opendkim": "/usr/sbin/opendkim",
    "pflogsumm": "/usr/sbin/pflogsumm",
    "postfix": "/usr/sbin/smtp-sink",
    "postfwd": "/usr/sbin/postfwd2",
    "systemd": "/lib/systemd/systemd-journald",
    "systemd-journal-remote": "/lib/systemd/systemd-journal-remote",
}
"""By Debian package, a program of it that a bench starts."""
LIBRARIES = ("apsw", "cryptography", "jinja2", "Milter")
"""Some that are in .venv and in few other Pythons."""


def need_environment() -> None:
    """End the bench where this Python lacks Postroom's libraries."""
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        _end(f"this Python lacks {', '.join(missing)}. Mend: run .venv/bin/python, which scripts/quickstart makes")


def need(packages: Iterable[str] = (), *, root: bool = False) -> None:
    """End the bench where a program of one of these Debian packages is missing, or root's rights."""
    missing = [package for package in packages if not os.access(PROGRAMS[package], os.X_OK)]
    if missing:
        _end(f"needs {', '.join(missing)}. Mend: apt-get install {' '.join(missing)}")
    if root and os.geteuid() != 0:
        _end("needs root, for a Postfix or journal of its own. Mend: run it with sudo")


def _end(text: str) -> NoReturn:
    print(f"{Path(sys.argv[0]).name}: {text}", file=sys.stderr)
    sys.exit(2)
