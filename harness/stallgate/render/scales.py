"""The scales of figures: where an axis begins and ends, its ticks, and units that fit."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stallgate.formatting import rounded
from stallgate.model import FrozenStruct
from stallgate.render.sheet import AXIS, FAINT, GRID, SMALL, Box, Sheet, Style, text_width


class Scale(FrozenStruct, frozen=True):
    """An axis from one value to another over some pixels."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Where a value lies; what lies outside is at the edge."""
        inside = min(max(value, self.low), self.high)
        if self.logarithmic:
            share = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            share = (inside - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Whether a value lies on it."""
        slack = 1e-9 * (self.high - self.low)
        return self.low - slack <= value <= self.high + slack


def ticks(scale: Scale, most: int = 5) -> list[float]:
    """Round values on a scale, at most so many."""
    if scale.logarithmic:
        return _powers(scale, most)
    step = _round_step((scale.high - scale.low) / most)
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(times * power for times in (1, 2, 2.5, 5, 10) if times * power >= least * (1 - 1e-9))


def _powers(scale: Scale, most: int) -> list[float]:
    """Powers of ten on a logarithmic scale; also 2 and 5 of each where it holds few powers."""
    low, high = math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high))
    for times in ((1, 2, 5), (1, 3), (1,)):
        found = [each * 10.0**power for power in range(low, high + 1) for each in times]
        found = [value for value in found if scale.holds(value)]
        if len(found) <= most:
            return found
    return found[:: -(-len(found) // most)]


def draw_ticks(sheet: Sheet, scale: Scale, top: float, bottom: float) -> None:
    """Grid lines over a panel with their values below it; a value that would touch its neighbour is left out."""
    style = Style(size=SMALL, anchor="middle")
    free = -math.inf
    group, sheet.group = sheet.group, AXIS
    for value in ticks(scale, max(2, int((scale.end - scale.start) / 45))):
        x, words = scale.at(value), tick_text(value)
        sheet.line([(x, top), (x, bottom)], GRID)
        half = text_width(words, SMALL) / 2
        centre = min(max(x, scale.start - 4 + half), scale.end + 4 - half)
        if centre - half > free:
            sheet.write(centre, bottom + SMALL + 4, words, style)
            free = centre + half + 6
    sheet.line([(scale.start, bottom), (scale.end, bottom)], FAINT)
    sheet.group = group


def draw_side_ticks(sheet: Sheet, scale: Scale, panel: Box) -> None:
    """Grid lines over a panel with their values to the left of it."""
    group, sheet.group = sheet.group, AXIS
    for value in ticks(scale, 5):
        y = scale.at(value)
        sheet.line([(panel.left, y), (panel.right, y)], GRID)
        sheet.write(panel.left - 5, y + 0.36 * SMALL, tick_text(value), Style(size=SMALL, anchor="end"))
    sheet.group = group


def tick_text(value: float) -> str:
    """The value of a tick, which is round: in few characters."""
    for by, name in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= max(by, _LONG):
            return f"{rounded(value / by, 4)}{name}"
    return rounded(round(value, 12), 4) if abs(value) >= _SHORT or not value else f"{value:.3g}"


_SHORT, _LONG = 1e-3, 1e5
"""Between these, a tick is written out."""


_FITTING: dict[str, Sequence[tuple[float, str]]] = {
    "byte": ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")),
    "byte/s": ((1e12, "TB/s"), (1e9, "GB/s"), (1e6, "MB/s")),
    "ns": ((1e9, "s"), (1e6, "ms"), (1e3, "µs")),
}


def fitting_unit(unit: str, largest: float) -> tuple[float, str]:
    """What values of a unit are divided by so that they are short, and the unit that they then have."""
    scales = _FITTING.get(unit, ())
    if not scales and unit not in ("%", ""):
        scales = ((1e9, f"10⁹ {unit}"), (1e6, f"10⁶ {unit}"))
    return next(((each, name) for each, name in scales if largest >= each), (1.0, unit))


def spread_over(values: Sequence[float], *, margin: float) -> tuple[float, float]:
    """The ends of an axis around some values."""
    low, high = min(values), max(values)
    room = margin * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room
