"""The daemons' words: the commands that run them, and what `postroom serve` runs.

A file of its own, by the standard library alone: what looks at a host from outside imports it where nothing is
installed.
"""

from typing import Literal, get_args

Word = Literal["watcher", "policy", "milter", "submission", "monitor"]

DAEMONS: tuple[Word, ...] = get_args(Word)
"""In the order of the way of a message, seen from its end: `postroom serve` stops them in the opposite one, so that
submission's last hand-overs are still signed, and the watcher reads what became of them."""
