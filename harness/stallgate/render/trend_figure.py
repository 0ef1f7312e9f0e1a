"""The figure of a workload over time: a row for each variant, a panel for each metric."""

from __future__ import annotations

from collections.abc import Sequence

from stallgate.formatting import rounded
from stallgate.model import FrozenStruct
from stallgate.render.figures import INKS, Dot, FigureRow, Limit, name_rows, names_width, row_heights
from stallgate.render.scales import Scale, tick_text, ticks
from stallgate.render.sheet import (
    AXIS,
    BOUND,
    FAINT,
    GRID,
    MUTED,
    SMALL,
    WIDE,
    Box,
    Shape,
    Sheet,
    Style,
    text_width,
    wrapped,
)


class Stretch(FrozenStruct, frozen=True):
    """Measurements of one metric under the same conditions, in the order of time."""

    conditions: int
    """Index into the figure's conditions."""
    places: list[int]
    """Index of each measurement among those of the figure."""
    dots: list[Dot]


class Trend(FrozenStruct, frozen=True):
    """One metric of one variant over time; empty if it was measured fewer than twice."""

    stretches: list[Stretch]
    limit: Limit | None
    steps: list[int] = []
    """Index of each measurement that a new level begins with."""


class Trends(FrozenStruct, frozen=True):
    """Small multiples: a row for each variant, a column for each metric."""

    labels: list[str]
    """Every measurement, oldest first."""
    conditions: list[str]
    rows: list[FigureRow]
    columns: list[str]
    """Metrics with their units."""
    panels: list[list[Trend]]
    """One list per row."""


_LEAST_PANEL = 165.0
"""Least width of a panel with its values to the left, in pixels."""

_LEAST_HEIGHT = 62.0
"""Least height of a panel."""

_GAP = 16.0
"""Between panels, in both directions: the values of one do not touch those of the next."""

_DASHES: tuple[tuple[float, ...], ...] = ((), (6.0, 3.0), (1.5, 2.5), (8.0, 3.0, 1.5, 3.0))
_CORNERS = (0, 4, 3, 6)
"""Corners of the mark of each set of conditions; 0 is a dot."""


def trends_figure(title: str, trends: Trends, width: float = WIDE) -> Sheet:
    """A line for each set of conditions in every panel; nothing joins what was measured under different ones.

    Panels stand side by side as far as there is room; further metrics follow below.
    """
    sheet = Sheet(title, width)
    room = width - names_width(trends.rows, width) - 6
    beside = max(1, int(room // _LEAST_PANEL))
    beside = -(-len(trends.columns) // -(-len(trends.columns) // beside))
    for first in range(0, len(trends.columns), beside):
        _metrics_beside(sheet, trends, range(first, min(first + beside, len(trends.columns))), room / beside)
    for number, words in enumerate(trends.conditions):
        _name_conditions(sheet, number, words)
    sheet.height += 6
    return sheet


def _metrics_beside(sheet: Sheet, trends: Trends, columns: range, each: float) -> None:
    """The panels of some metrics, those of a variant beside each other, with the measurements named below."""
    names, style = names_width(trends.rows, sheet.width), Style(bold=True)
    starts = [6 + names + number * each for number in range(len(columns))]
    sides = [_side(trends, column) for column in columns]
    heads = [wrapped(trends.columns[column], each - _GAP, style) for column in columns]
    for start, head in zip(starts, heads, strict=True):
        sheet.paragraph((start, sheet.height, each - _GAP), head, style)
    top = sheet.height + style.line * max(map(len, heads)) + 8
    heights = [max(_LEAST_HEIGHT, height) for height in row_heights(trends.rows, names)]
    for row, panels, height in zip(trends.rows, trends.panels, heights, strict=True):
        name_rows(sheet, [row], top, [height])
        for start, side, column in zip(starts, sides, columns, strict=True):
            box = Box(start + side, top, start + each - _GAP, top + height)
            _panel(sheet, box, row, (panels[column], trends.labels))
        top += height + _GAP
    boxes = [(start + side, start + each - _GAP) for start, side in zip(starts, sides, strict=True)]
    sheet.height = top + max(_name_measurements(sheet, ends, top - _GAP, trends.labels) for ends in boxes)


def _side(trends: Trends, column: int) -> float:
    """Room for the values to the left of a metric's panels."""
    scales = [_upright(row[column], Box(0, 0, 0, _LEAST_HEIGHT)) for row in trends.panels if row[column].stretches]
    words = [tick_text(value) for scale in scales for value in ticks(scale, 3)]
    return max((text_width(each, SMALL) for each in words), default=0.0) + 6


def _upright(trend: Trend, box: Box) -> Scale:
    """The axis of the values: it shows everything without exaggerating changes of a per cent."""
    dots = [dot for stretch in trend.stretches for dot in stretch.dots]
    values = [value for dot in dots for value in (dot.low, dot.median, dot.high) if value is not None]
    values += [trend.limit.bound] if trend.limit is not None else []
    low, high = min(values, default=0.0), max(values, default=1.0)
    least = 0.1 * max(abs(low), abs(high)) or 1.0
    margin = 0.12 * (high - low) + max(0.0, least - (high - low)) / 2
    return Scale(low=low - margin, high=high + margin, start=box.bottom, end=box.top)


def _across(labels: Sequence[str], left: float, right: float) -> Scale:
    """The axis of the measurements."""
    return Scale(low=-0.5, high=len(labels) - 0.5, start=left, end=right)


def _panel(sheet: Sheet, box: Box, row: FigureRow, found: tuple[Trend, Sequence[str]]) -> None:
    trend, labels = found
    sheet.line([(box.left, box.bottom), (box.right, box.bottom)], FAINT)
    if not trend.stretches:
        style = Style(size=SMALL, colour=MUTED, italic=True)
        words = wrapped("not measured twice", box.right - box.left, style)
        sheet.paragraph((box.left, box.top + 4, box.right - box.left), words, style)
        return
    up, across = _upright(trend, box), _across(labels, box.left, box.right)
    _write_values(sheet, up, box)
    for place in trend.steps:
        x = across.at(place - 0.5)
        sheet.line([(x, box.top), (x, box.bottom)], FAINT, dashes=(1.0, 2.0))
    if trend.limit is not None:
        y = up.at(trend.limit.bound)
        sheet.line([(box.left, y), (box.right, y)], BOUND, 1.2, dashes=(4.0, 2.0))
    for stretch in trend.stretches:
        _stretch(sheet, (across, up), stretch, (row, labels))


def _write_values(sheet: Sheet, up: Scale, box: Box) -> None:
    """Grid lines with their values to the left."""
    group, sheet.group = sheet.group, AXIS
    for value in ticks(up, 3):
        y = up.at(value)
        sheet.line([(box.left, y), (box.right, y)], GRID)
        sheet.write(box.left - 4, y + 0.36 * SMALL, tick_text(value), Style(size=SMALL, anchor="end"))
    sheet.group = group


def _stretch(sheet: Sheet, scales: tuple[Scale, Scale], stretch: Stretch, of: tuple[FigureRow, Sequence[str]]) -> None:
    """A line through the medians with their spreads; a cross for each measurement without a value."""
    (across, up), (row, labels) = scales, of
    ink, places = INKS[row.role], list(zip(stretch.places, stretch.dots, strict=True))
    known = [(across.at(place), up.at(dot.median)) for place, dot in places if dot.median is not None]
    if len(known) > 1:
        sheet.line(known, ink, 1.3, dashes=_DASHES[stretch.conditions % len(_DASHES)])
    for place, dot in places:
        x, said = across.at(place), f"{row.name} at {labels[place]}"
        if dot.median is None or dot.low is None or dot.high is None:
            _cross(sheet, x, up.start - 6, f"{said}: {dot.gap}")
            continue
        sheet.line([(x, up.at(dot.low)), (x, up.at(dot.high))], ink, 4.0, alpha=0.35)
        hover = f"{said}: {rounded(dot.median, 6)} ({rounded(dot.low, 6)} to {rounded(dot.high, 6)})"
        _mark(sheet, (x, up.at(dot.median)), stretch.conditions, ink, hover)


def _cross(sheet: Sheet, x: float, y: float, hover: str) -> None:
    for slope in (-1, 1):
        sheet.line([(x - 3, y - 3 * slope), (x + 3, y + 3 * slope)], BOUND, 1.5, hover=hover)


def _mark(sheet: Sheet, place: tuple[float, float], conditions: int, ink: str, hover: str) -> None:
    """The mark of a set of conditions."""
    x, y = place
    corners = _CORNERS[conditions % len(_CORNERS)]
    if not corners:
        sheet.dot(x, y, 3.5, fill=ink, hover=hover)
        return
    points = {
        4: [(x - 3, y - 3), (x + 3, y - 3), (x + 3, y + 3), (x - 3, y + 3)],
        3: [(x, y - 4), (x + 4, y + 3), (x - 4, y + 3)],
        6: [(x, y - 4.5), (x + 4.5, y), (x, y + 4.5), (x - 4.5, y)],
    }[corners]
    sheet.marks.append(Shape(points, fill=ink, hover=hover, group=sheet.group))


def _name_measurements(sheet: Sheet, ends: tuple[float, float], top: float, labels: Sequence[str]) -> float:
    """Names the newest measurement below a column, and before it those that there is room for; returns the height."""
    left, right = ends
    style, across = Style(size=SMALL, anchor="end"), _across(labels, left, right)
    newest = wrapped(labels[-1], right - left, style)
    half = max(text_width(line, SMALL) for line in newest) / 2
    first = min(across.at(len(labels) - 1) + half, right)
    sheet.paragraph((left, top + 6, first - left), newest, style)
    free = first - 2 * half - 8
    for place in range(len(labels) - 2, -1, -1):
        x, length = across.at(place), text_width(labels[place], SMALL)
        start = max(x - length / 2, left)
        if start + length <= free:
            sheet.write(start, top + 6 + SMALL, labels[place], Style(size=SMALL))
            free = start - 8
    return style.line * len(newest) + 14


def _name_conditions(sheet: Sheet, number: int, words: str) -> None:
    """What a mark and its dashes stand for."""
    y = sheet.height + 0.6 * SMALL
    sheet.line([(8, y), (40, y)], MUTED, 1.3, dashes=_DASHES[number % len(_DASHES)])
    _mark(sheet, (24, y), number, MUTED, "")
    sheet.height += sheet.paragraph((48, sheet.height, sheet.width - 56), words, Style(size=SMALL)) + 2
