"""The figure of two runs: how much each variant's time changed, and whether that exceeds the noise."""

from __future__ import annotations

from collections.abc import Sequence

from stallgate.compare.words import Word
from stallgate.model import FrozenStruct
from stallgate.render.figures import INKS, FigureRow, name_rows, names_width, row_heights
from stallgate.render.scales import Scale, draw_ticks
from stallgate.render.sheet import BOUND, FAINT, INK, SMALL, WIDE, Box, Sheet, Style, wrapped

SLOWER = BOUND
FASTER = INKS["candidate"]
LEAST_REACH = 0.01
"""The axis reaches at least this far to both sides, so that noise does not look like a change."""


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


def times_figure(title: str, rows: Sequence[FigureRow], shifts: Sequence[Shift], width: float = WIDE) -> Sheet:
    """A row for each variant: a dot at its change in per cent, a bar over what the noise allows, and its word."""
    sheet = Sheet(title, width)
    names, style = names_width(rows, width), Style(size=SMALL)
    room, reach = 0.26 * width, _reach(shifts)
    scale = Scale(low=-reach, high=reach, start=6 + names, end=width - room - 12)
    said = [wrapped(shift.said, room, style) for shift in shifts]
    heights = [max(h, 6 + style.line * len(w)) for h, w in zip(row_heights(rows, names), said, strict=True)]
    top, bottom = sheet.height, sheet.height + sum(heights)
    draw_ticks(sheet, scale, top, bottom)
    sheet.line([(scale.at(0), top), (scale.at(0), bottom)], INK, 1.2)
    name_rows(sheet, rows, top, heights)
    for row, shift, words, height in zip(rows, shifts, said, heights, strict=True):
        middle = top + height / 2
        _draw_shift(sheet, scale, middle, (row, shift))
        sheet.paragraph((scale.end + 10, middle - style.line * len(words) / 2, room), words, style)
        top += height
    sheet.height = bottom + SMALL + 10
    what = f"change of time [%]: {_sides(shifts)}"
    sheet.height += sheet.paragraph((scale.start, sheet.height, width - scale.start - 6), what, style) + 6
    return sheet


def _draw_shift(sheet: Sheet, scale: Scale, y: float, of: tuple[FigureRow, Shift]) -> None:
    row, shift = of
    if shift.change is None:
        return
    hover = f"{row.name}: {shift.said}"
    if shift.low is not None and shift.high is not None:
        ends = scale.at(100 * shift.low), scale.at(100 * shift.high)
        sheet.bar(Box(min(ends), y - 4, max(ends), y + 4), shift.colour, alpha=0.45, hover=hover)
    sheet.dot(scale.at(100 * shift.change), y, 4.5, fill=shift.colour, hover=hover)


def _sides(shifts: Sequence[Shift]) -> str:
    known = any(shift.low is not None for shift in shifts)
    return "faster to the left, slower to the right" if known else "conditions unknown"


def _reach(shifts: Sequence[Shift]) -> float:
    """How far the axis goes to either side, in per cent."""
    ends = [abs(end) for shift in shifts for end in (shift.low, shift.change, shift.high) if end is not None]
    return 110 * max([*ends, LEAST_REACH])
