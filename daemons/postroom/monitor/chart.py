"""The bars of the last hour as numbers for an SVG: where each piece stands and how high it is. Pure.

The drawing has WIDTH to HEIGHT units and is stretched to the room there is, so it holds bars and lines only; its
words stand around it, in the page. Heights are true to the counts from a ground line of 0, but that even one
delivery among thousands is to be seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from postroom.mail.states import State
from postroom.monitor.figures import Bar

BAR, GAP = 100, 18
HEIGHT = 200
LEAST = 1.5
"""Height of the smallest piece."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A rectangle of one bar."""

    state: State
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn, and the counts its lines stand for: at the top, in the middle, on the ground."""

    width: int
    height: int
    pieces: Sequence[Piece]
    counts: tuple[int, int, int]


def chart(bars: Sequence[Bar]) -> Chart:
    """Lay out the bars from left to right, their pieces from the ground up."""
    top = ceiling(max((sum(bar.counts.values()) for bar in bars), default=0))
    pieces = []
    for number, bar in enumerate(bars):
        y = float(HEIGHT)
        for state, count in bar.counts.items():
            if count:
                height = max(LEAST, count / top * HEIGHT)
                y -= height
                pieces.append(Piece(state, number * BAR + GAP / 2, round(y, 2), BAR - GAP, round(height, 2)))
    return Chart(len(bars) * BAR, HEIGHT, pieces, (top, top // 2, 0))


def ceiling(count: int) -> int:
    """The least round and even number that is not below `count`: 4, 6, 8, and 10 to 80 times a power of ten."""
    if count <= 8:
        return max(4, count + count % 2)
    power = 1
    while True:
        for digits in (10, 12, 16, 20, 30, 40, 60, 80):
            if digits * power >= count:
                return digits * power
        power *= 10
