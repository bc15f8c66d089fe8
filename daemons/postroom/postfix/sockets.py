"""Which of Postfix's sockets a daemon connects to, where the configuration names none.

Postfix guards all sockets of its folder public/ by one group, postdrop, which may also hand over mail. So the units
offer two of them apart, to those who need no more (systemd/system/postroom-showq.socket, postroom-probe.socket). Where
all daemons run as one user, in a container or a checkout, there are no such units, or they are not for us, and
Postfix's own sockets are used.
"""

import os
from pathlib import Path

PUBLIC_SHOWQ = Path("/var/spool/postfix/public/showq")


def showq_socket(configured: Path | None, run_dir: Path) -> Path:
    """Where showq(8) is asked."""
    return configured or _there(run_dir / "showq.sock", PUBLIC_SHOWQ)


def probe_socket(configured: Path | None, run_dir: Path, handover: Path) -> Path:
    """Where the watcher has sessions of its own: the listener that takes no mail, else the hand-over listener."""
    return configured or _there(run_dir / "probe.sock", handover)


def _there(first: Path, otherwise: Path) -> Path:
    # Connecting takes the right to write (unix(7)). A container beside such units may see their sockets.
    return first if first.is_socket() and os.access(first, os.W_OK) else otherwise
