"""Our scripts on the booted host, and what Postfix's files were before them."""

import os
import subprocess
from pathlib import Path

from tests.setup import late_bounces, rebooted

OPTIONS = {"--domain": "example.org", "--recipient": "jane@example.net", "--return-path": late_bounces.DOMAIN}
ARGUMENTS = tuple(word for option in OPTIONS.items() for word in option)
SET_UP = ("scripts/setup-postfix.sh", *ARGUMENTS)
FILES = (Path("/etc/postfix/main.cf"), Path("/etc/postfix/master.cf"))
BEFORE = {path: (rebooted.KEPT / path.name).read_bytes() for path in FILES}
SIGNED_AND_DELIVERED = r"(?m)^(socket|smtp|sendmail) +yes +(?:sent|delivered) "
"""The rows of set-up's table that are as they should be."""


def script(*command: str | Path, status: int = 0) -> str:
    """What one of our scripts prints; with this exit status."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def nothing_is_left() -> None:
    """After `uninstall.sh --purge`: Postfix's files are those of before, and no file, user or group is ours."""
    assert {path: path.read_bytes() for path in FILES} == BEFORE
    for place in ("/etc", "/opt", "/var/lib", "/run", "/var/spool/postfix"):
        assert list(Path(place).rglob("*postroom*")) == []
    assert "postroom" not in Path("/etc/passwd").read_text() + Path("/etc/group").read_text()
    assert not [name for name in os.listdir("/etc/systemd/system") if "postroom" in name]
