"""The samples in the beats: names with labels, as daemons send them. Pure.

A name is `postroom_<word>_…`, alone or with labels as in Prometheus' text: `name{path="/metrics"}`. What ends in
`_total` is a counter, all else a gauge. Anybody of the store's group can write a beat, so whatever is none of
this is passed over, and a value that is not a finite number too.

Source:  Prometheus "Exposition formats", "Text-based format" (escapes: \\\\, \\", \\n).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

_LABEL = r'[a-z_]{1,40}="(?:[^"\\\n]|\\["\\n]){0,200}"'
_NAME = re.compile(rf"(postroom_[a-z][a-z_]{{0,99}})(?:\{{({_LABEL}(?:,{_LABEL}){{0,7}})\}})?")
_PAIR = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Series:
    """One line of the exposition: a name and its labels, sorted by name."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def is_counter(self) -> bool:
        """Whether it only ever grows while its process lives."""
        return self.name.endswith("_total")


def parse_series(written: str) -> Series | None:
    """The series of a sample's name as a daemon wrote it; None when it is none."""
    found = _NAME.fullmatch(written)
    if found is None:
        return None
    labels = {name: _ESCAPE.sub(_unescaped, value) for name, value in _PAIR.findall(found[2] or "")}
    return Series(found[1], tuple(sorted(labels.items())))


def parse_samples(samples: Mapping[str, float]) -> dict[Series, float]:
    """The samples by their series, without those that are none."""
    read = ((parse_series(written), value) for written, value in samples.items())
    return {one: float(value) for one, value in read if one is not None and _is_number(value)}


def _is_number(value: object) -> bool:
    # JSON knows no NaN, but Python reads and writes it; a whole number past all floats is none either.
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    except OverflowError:
        return False


def _unescaped(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]
