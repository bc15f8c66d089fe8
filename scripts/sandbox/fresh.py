"""A script of bash run by scripts/fresh, for tests: on a bare, booted Debian, in a clone of HEAD."""

import subprocess

from sandbox.postfix import CHECKOUT


def run_on_fresh_debian(
    script: str, suite: str = "bookworm", timeout_s: float = 600.0
) -> subprocess.CompletedProcess[str]:
    """Run a script of bash on a bare Debian; it ends at the first line that fails."""
    # Not `set -e`: it does not see a `! command` that fails.
    lines = [line if line.startswith("if ") else f"{line} || exit 1" for line in script.strip().splitlines() if line]
    return subprocess.run(
        [CHECKOUT / "scripts" / "fresh", "--suite", suite, "bash", "-xc", "\n".join(lines)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
