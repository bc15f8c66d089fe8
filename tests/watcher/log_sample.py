"""The log lines of other projects and the complete log of tests/data/postfix-log (see the NOTICE there)."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "data" / "postfix-log"
LOG = FOLDER / "lab-r3.txt"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def cases() -> list[dict[str, Any]]:
    """Single lines, each with the parse that is expected."""
    return [json.loads(line) for line in (FOLDER / "lines.jsonl").read_text(encoding="utf-8").splitlines()]


def lab() -> dict[str, Any]:
    """What is known of the complete log: lines, messages, and what was injected (the ground truth)."""
    known: dict[str, Any] = json.loads((FOLDER / "lab-r3.expected.json").read_text(encoding="utf-8"))
    return known


def lab_lines() -> list[str]:
    """The complete log."""
    return LOG.read_text(encoding="utf-8").splitlines()
