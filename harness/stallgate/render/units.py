"""How busy each unit of the GPU is: a cell with a bar for each variant and unit."""

from __future__ import annotations

from collections.abc import Sequence

from stallgate.model import FrozenStruct
from stallgate.render.figures import INKS, FigureRow, name_rows, names_width, row_heights
from stallgate.render.sheet import FAINT, GRID, INK, MUTED, SMALL, WIDE, Box, Sheet, Style, wrapped
from stallgate.render.view import View

_UNITS = {
    "sm_throughput": "SM",
    "l1_throughput": "L1, shared memory",
    "l2_throughput": "L2",
    "dram_throughput": "DRAM",
    "tensor_pipe_utilization": "Tensor pipe",
    "fp32_pipe_utilization": "FP32 pipe",
    "fp64_pipe_utilization": "FP64 pipe",
    "fp16_pipe_utilization": "FP16 pipe",
}
"""Metric -> the unit, in the order in which they are drawn."""

_ALWAYS = 4
"""Units that are drawn even where they are idle: the first. A pipe that nobody uses is left out."""

_IDLE = 0.05
"""Per cent up to which a pipe is idle."""


class Unit(FrozenStruct, frozen=True):
    """A unit of the GPU: how busy each variant kept it."""

    name: str
    title: str
    """Of the metric."""
    shares: list[float | None]
    """Of its peak, in per cent; None where it is not measured."""
    before: list[float | None] = []
    """The shares in an earlier run; empty, or None, where there is none to compare with."""


UNIT_METRICS = tuple(_UNITS)
"""The metrics that are drawn."""


def units(view: View) -> list[Unit]:
    """The units of which something is known, each with a share for each drawn case."""
    found = []
    for place, (metric, name) in enumerate(_UNITS.items()):
        shares = [view.found(case, metric) for case in view.drawn]
        known = [share for share in shares if share is not None]
        if known and (place < _ALWAYS or max(known) > _IDLE):
            before = [view.earlier(case, metric) for case in view.drawn]
            found.append(Unit(name=name, title=view.metric(metric).title, shares=shares, before=before))
    return found


def units_in_words(view: View, found: Sequence[Unit]) -> str:
    """Which unit the first candidate, or the first case, keeps busiest."""
    order = sorted(range(len(view.drawn)), key=lambda place: view.drawn[place].role != "candidate")
    for place in order:
        unit = _busiest(found, place)
        if unit is not None and unit.shares[place] is not None:
            name = view.short_name(view.drawn[place].case)
            return f"Busiest unit of {name} on {view.place}: {unit.title}, {unit.shares[place]:.1f} %"
    return f"How busy each unit is on {view.place}"


def _busiest(found: Sequence[Unit], place: int) -> Unit | None:
    """The unit that a case keeps busiest. The multiprocessors' own share has that of their pipes in it."""
    known = [unit for unit in found if unit.shares[place] is not None]
    return max(known, key=lambda unit: (unit.shares[place] or 0.0, unit.name != "SM"), default=None)


_LEAST_CELL = 66.0
"""Least width of a cell, in pixels."""

_CELL_HEIGHT = 30.0


def units_figure(
    title: str, rows: Sequence[FigureRow], found: Sequence[Unit], base: str = "", width: float = WIDE
) -> Sheet:
    """A row for each variant, a column for each unit: per cent of its peak, the busiest of a row in bold.

    A thin mark is the value in the earlier run that ``base`` names.
    """
    sheet = Sheet(title, width)
    names = names_width(rows, width)
    beside = max(1, int((width - names - 6) // _LEAST_CELL))
    beside = -(-len(found) // -(-len(found) // beside))
    cell = (width - names - 6) / beside
    heights = [max(_CELL_HEIGHT, height) for height in row_heights(rows, names)]
    for first in range(0, len(found), beside):
        shown = found[first : first + beside]
        top = _write_heads(sheet, shown, (6 + names, cell))
        name_rows(sheet, rows, top, heights)
        for place, (row, height) in enumerate(zip(rows, heights, strict=True)):
            for number, unit in enumerate(shown):
                box = Box(6 + names + number * cell, top, 6 + names + (number + 1) * cell - 12, top + height)
                _draw_cell(sheet, box, row, (unit, unit.shares[place]), is_most=_busiest(found, place) is unit)
                _draw_before(sheet, box, row, unit, unit.before[place] if unit.before else None)
            top += height
        sheet.height = top + 10
    what = "per cent of each unit's peak; in bold the busiest of each row"
    if any(value is not None for unit in found for value in unit.before):
        what += f"; thin upright mark: in {base}"
    sheet.height += sheet.paragraph((6, sheet.height, width - 12), what, Style(size=SMALL, colour=MUTED)) + 6
    return sheet


def _draw_before(sheet: Sheet, box: Box, row: FigureRow, unit: Unit, before: float | None) -> None:
    """A thin mark over a bar: the value in the earlier run."""
    if before is None:
        return
    x, y = box.left + min(before, 100) / 100 * (box.right - box.left), (box.top + box.bottom) / 2 + 7
    sheet.line([(x, y - 6), (x, y + 6)], INK, 1.5, hover=f"{row.name}: {before:.4f} % {unit.title} before")


def _write_heads(sheet: Sheet, shown: Sequence[Unit], columns: tuple[float, float]) -> float:
    """The names of the units above their columns; returns where the rows begin."""
    start, cell = columns
    style = Style(size=SMALL, bold=True)
    lines = [wrapped(unit.name, cell - 12, style) for unit in shown]
    for number, words in enumerate(lines):
        sheet.paragraph((start + number * cell, sheet.height, cell - 12), words, style)
    return sheet.height + 4 + style.line * max(len(words) for words in lines)


def _draw_cell(sheet: Sheet, box: Box, row: FigureRow, found: tuple[Unit, float | None], *, is_most: bool) -> None:
    unit, share = found
    middle = (box.top + box.bottom) / 2
    track = Box(box.left, middle + 4, box.right, middle + 10)
    sheet.bar(track, GRID)
    if share is None:
        sheet.write(box.left, middle, "–", Style(size=SMALL, colour=FAINT), f"{row.name}: {unit.title} not measured")
        return
    hover = f"{row.name}: {share:.4f} % {unit.title}"
    end = track.left + min(share, 100) / 100 * (track.right - track.left)
    sheet.bar(Box(track.left, track.top, end, track.bottom), INKS[row.role], hover=hover)
    sheet.write(box.left, middle, f"{share:.1f}", Style(size=SMALL, bold=is_most, colour=INK), hover)
