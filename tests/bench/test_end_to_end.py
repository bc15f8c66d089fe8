"""The bench of the SMTP doors runs as it is documented, and its own checks hold."""

import re
import subprocess
import sys

import pytest

from sandbox.postfix import CHECKOUT

pytestmark = pytest.mark.postfix


def test_a_short_trial_measures_all_three_set_ups() -> None:
    """Signatures hold, every message is counted on both sides, and each set-up has its rates and its CPU time."""
    done = subprocess.run(
        [sys.executable, CHECKOUT / "bench" / "end_to_end.py", "--rounds", "1", "--messages", "50"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "signatures verified; every message counted" in done.stdout
    rates = re.findall(r"^(accepted|arrived) +(\w+) +([0-9]+) ", done.stdout, re.MULTILINE)
    setups = ("bare", "postroom", "debian")
    assert [rate[:2] for rate in rates] == [(what, name) for what in ("accepted", "arrived") for name in setups]
    cpu = re.findall(r"^cpu +(\w+) .*   (postfix [0-9.]+.*)$", done.stdout, re.MULTILINE)
    assert [(name, re.findall("[a-z]+", parts)) for name, parts in cpu] == [
        ("bare", ["postfix"]),
        ("postroom", ["postfix", "policy", "milter"]),
        ("debian", ["postfix", "postfwd", "opendkim"]),
    ]
