"""The figure of two runs: how much each variant's time changed, and whether that exceeds the noise."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from stallgate.compare.words import Word
from stallgate.model import FrozenStruct
from stallgate.render.figures import BOUND, FAINT, INK, INKS, Drawing, FigureRow, blank_figure, rendered, strip_axis

SLOWER = BOUND
FASTER = INKS["candidate"]
LEAST_REACH = 0.01
"""The axis reaches at least this far to both sides, so that noise does not look like a change."""

TITLE_WIDTH = 90
"""Characters; a longer finding takes another line."""


class Shift(FrozenStruct, frozen=True):
    """The relative change of a variant's time, or why there is none.

    A change without a range is one that nothing is said of: it is neither faster nor slower.
    """

    change: float | None
    low: float | None
    """The least change that the noise allows."""
    high: float | None
    said: str
    """Text beside the bar, or in its place."""
    word: Word = "same"

    @property
    def colour(self) -> str:
        """That of the word: faint where nothing changed; without a range that of text."""
        if self.low is None or self.high is None:
            return INK
        return {"slower": SLOWER, "worse": SLOWER, "faster": FASTER, "better": FASTER}.get(self.word, FAINT)


def times_drawing(title: str, rows: Sequence[FigureRow], shifts: Sequence[Shift]) -> Drawing:
    """A row for each variant: a dot at its change in per cent, a bar over what the noise allows."""
    figure = blank_figure(textwrap.fill(title, TITLE_WIDTH), 10.0, 1.25 + 0.36 * len(rows))
    axis = figure.subplots()
    axis.axvline(0, color=INK, linewidth=1.2, zorder=1)
    for place, shift in enumerate(shifts):
        if shift.change is not None and shift.low is not None and shift.high is not None:
            span = [100 * shift.low, 100 * shift.high]
            axis.plot(span, [place, place], color=shift.colour, linewidth=6, alpha=0.45, zorder=3)
        if shift.change is not None:
            axis.plot(100 * shift.change, place, "o", color=shift.colour, markersize=6, zorder=4)
        aside = axis.get_yaxis_transform()  # the words stand to the right of the panel, each at the height of its row
        axis.text(1.01, place, shift.said, transform=aside, va="center", fontsize=8.5, color=INK)
    axis.set_yticks(range(len(rows)), [row.name for row in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xlim(-_reach(shifts), _reach(shifts))
    sides = (
        "faster to the left, slower to the right" if any(s.low is not None for s in shifts) else "conditions unknown"
    )
    axis.set_xlabel(f"change of time [%]: {sides}", fontsize=9, color=INK)
    strip_axis(axis)
    return rendered(figure)


def _reach(shifts: Sequence[Shift]) -> float:
    """How far the axis goes to either side, in per cent."""
    ends = [abs(end) for shift in shifts for end in (shift.low, shift.change, shift.high) if end is not None]
    return 110 * max([*ends, LEAST_REACH])
