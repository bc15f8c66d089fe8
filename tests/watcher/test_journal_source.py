"""journal_source.py with a real journald: whose lines count, each once, and which gaps are found when some are gone.

Needs root, to speak as several users.
"""

import json
import sys
from pathlib import Path

import pytest

from sandbox.journald import JOURNALD, Limit, in_a_namespace

pytestmark = pytest.mark.postfix

READER = Path(__file__).with_name("journal_reader.py")


def test_only_root_and_postfix_speaking_through_postfixs_programs_count(bed: Path) -> None:
    """Neither a stranger nor another program; a cursor goes on behind its line; a cut or emptied journal is a gap."""
    folder = bed / "programs"
    folder.mkdir()
    for above in (folder, bed):
        above.chmod(0o755)
    done = in_a_namespace(JOURNALD + '"$1" "$2" "$3"', sys.executable, str(READER), str(folder))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "first": [["root in Postfix's folder", "postfix in Postfix's folder"], []],
        "later": [["later"], []],
        "of_unit": ["any program in the unit"],
        "cut": [["after the cut"], ["journal entries were removed before they were read"]],
        "emptied": [[], ["journal entries were removed before they were read"]],
    }


def test_lines_that_journald_suppressed_are_a_gap_and_counted(bed: Path) -> None:
    """Those of Postfix's unit, as many as journald says; another unit's are no matter of ours."""
    limit = Limit(burst=20, interval_s=1)
    done = in_a_namespace(
        JOURNALD + '"$1" "$2" "$3" suppressed', sys.executable, str(READER), str(bed / "none"), limit=limit
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "other.service": {"gaps": 0, "stored or missing": 0, "missing": False},
        "postfix@-.service": {"gaps": 1, "stored or missing": 300, "missing": True},
    }
