"""A systemd-journald of its own, in a mount namespace where /run is empty and /dev/log leads to it.

Without root it runs in a user namespace too.
"""

import os
import subprocess
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2] / "daemons"
WHOEVER = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]

JOURNALD = """
    mount -t tmpfs tmpfs /run
    mkdir -p /run/dev /run/systemd/journal
    for node in null urandom random; do : >/run/dev/$node; mount --bind /dev/$node /run/dev/$node; done
    ln -s null /run/dev/kmsg
    ln -s /run/systemd/journal/dev-log /run/dev/log
    mount --rbind /run/dev /dev
    /lib/systemd/systemd-journald 2>/run/journald.err &
    journald=$!
    trap 'kill $journald; wait $journald || :' EXIT
    tries=0
    until [ -S /run/systemd/journal/socket ] && [ -S /run/systemd/journal/stdout ] && journalctl --sync 2>/dev/null
    do
        tries=$((tries + 1)); [ $tries -lt 500 ] || { cat /run/journald.err >&2; exit 1; }
        sleep 0.01
    done
"""
"""Shell commands that start it; it ends with the shell."""


def in_a_namespace(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell script in a mount namespace of its own; `arguments` are its $1 and so on."""
    return subprocess.run(
        ["unshare", "--mount", "--fork", "--kill-child", *WHOEVER, "sh", "-euc", script, "sh", *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
