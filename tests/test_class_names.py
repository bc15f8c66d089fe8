"""One noun, one meaning: a public class name stands for one thing in all that is installed."""

import re
from collections import defaultdict
from pathlib import Path

import postroom

ROOMS = Path(postroom.__file__).parent

USED_TWICE: dict[str, str] = {}
"""Name -> why two rooms may share it. A new entry needs a reason that a reader of either room would accept."""


def test_no_two_rooms_share_the_name_of_a_class() -> None:
    """Whoever greps a class name finds one class; what is listed as an exception is still used twice."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(ROOMS.rglob("*.py")):
        for name in re.findall(r"^ *class ([A-Za-z]\w*)", path.read_text(encoding="utf-8"), re.MULTILINE):
            found[name].append(str(path.relative_to(ROOMS)))
    shared = {name: places for name, places in found.items() if len(places) > 1}
    assert {name: places for name, places in shared.items() if name not in USED_TWICE} == {}
    assert set(USED_TWICE) <= set(shared)
