"""The figure of a bench: each contender's speed on each workload as a fraction of its limit.

That is a copy of the same bytes, or the roof where arithmetic is the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stallgate.formatting import rounded, spaced
from stallgate.model import FrozenStruct
from stallgate.render.figures import INKS
from stallgate.render.scales import Scale, draw_ticks
from stallgate.render.sheet import (
    BOUND,
    FAINT,
    INK,
    SMALL,
    TEXT,
    WIDE,
    Box,
    Sheet,
    Style,
    sheet_png,
    text_width,
    wrapped,
)
from stallgate.runs.bench import Bench, BenchRow, ContenderRole, Entry
from stallgate.runs.folder import write_whole

_FILE = "bench.png"


class SpeedBar(FrozenStruct, frozen=True):
    """A contender's speed as a fraction of the limit, or why there is none."""

    name: str
    colour: str
    said: str
    """The text behind the bar, or in its place."""
    fraction: float | None = None
    quartiles: tuple[float, float] | None = None
    """As fractions."""


class SpeedPanel(FrozenStruct, frozen=True):
    """The contenders on one workload."""

    title: str
    bars: list[SpeedBar]


def draw_bench(bench: Bench, folder: Path) -> None:
    """Writes ``bench.png``, a panel for each row where anything was timed; nothing where there is none.

    Drawn workloads have none: there may be a hundred.
    """
    drawn = set(bench.drawn.names) if bench.drawn is not None else set()
    rows = [row for row in bench.rows if any(entry.samples_us for entry in row.entries)]
    rows = [row for row in rows if row.workload.name not in drawn]
    if not rows:
        return
    gpu = bench.environment.gpu if bench.environment is not None else "an unknown GPU"
    title = f"Speed as a fraction of {_limits(rows)}, {gpu}"
    write_whole(folder / _FILE, sheet_png(speeds_figure(title, [_panel(row) for row in rows])))


def _limits(rows: list[BenchRow]) -> str:
    """What the speeds of some rows are fractions of, in words."""
    found = {row.limit for row in rows}
    if len(found) == 2:
        return "a copy or of the roof"
    return "a copy of the same bytes" if "copy" in found else "the roof"


def _panel(row: BenchRow) -> SpeedPanel:
    of_roof = " · of the roof" if row.limit == "roof" else ""
    return SpeedPanel(title=f"{row.title}{of_roof}", bars=[_bar(row, entry) for entry in _shown(row)])


def _bar(row: BenchRow, entry: Entry) -> SpeedBar:
    """A bar; its quartiles lie across its end."""
    fraction = row.fraction(entry, row.limit)
    if fraction is None or entry.median_us is None or entry.quartiles_us is None:
        why = f"no {row.limit} to compare with" if entry.outcome == "timed" else spaced(entry.outcome)
        return SpeedBar(name=entry.label, colour=_colour(entry.role), said=why)
    low, high = (fraction * entry.median_us / quartile for quartile in reversed(entry.quartiles_us))
    return SpeedBar(
        name=entry.label,
        colour=_colour(entry.role),
        said=_said(row, entry, fraction),
        fraction=fraction,
        quartiles=(low, high),
    )


def _said(row: BenchRow, entry: Entry, fraction: float) -> str:
    """The number at the end of a bar; with operations a second where they are what counts."""
    tflops = row.tflops(entry) if row.limit == "roof" else None
    return f"{fraction:.3f}" if tflops is None else f"{fraction:.3f} · {rounded(tflops)} TFLOP/s"


def _shown(row: BenchRow) -> list[Entry]:
    """The contenders with a bar, or with a reason for having none."""
    return [entry for entry in row.entries if entry.role != "copy" and entry.outcome != "absent"]


def _colour(role: ContenderRole) -> str:
    return FAINT if role == "copy" or role == "peer" else INKS[role]


# --- drawing ----------------------------------------------------------------------------------------------------------

_COLUMNS = 2
_GAP = 16.0
"""Between panels, in pixels."""


def speeds_figure(title: str, panels: Sequence[SpeedPanel], width: float = WIDE) -> Sheet:
    """Panels side by side, a bar for each contender, and a line where the limit is."""
    sheet = Sheet(title, width)
    columns = 1 if sheet.is_narrow else min(_COLUMNS, len(panels))
    each = (width - 12 - _GAP * (columns - 1)) / columns
    for first in range(0, len(panels), columns):
        top = sheet.height
        bottoms = [
            _draw_panel(sheet, panel, (6 + number * (each + _GAP), top, each))
            for number, panel in enumerate(panels[first : first + columns])
        ]
        sheet.height = max(bottoms) + 12
    return sheet


def _draw_panel(sheet: Sheet, panel: SpeedPanel, place: tuple[float, float, float]) -> float:
    """A panel from a left upper corner, so wide; returns where it ends."""
    left, top, width = place
    head = Style(size=TEXT, bold=True)
    top += sheet.paragraph((left, top, width), panel.title, head) + 4
    style = Style(size=SMALL)
    names = min(0.34 * width, max(text_width(bar.name, SMALL) for bar in panel.bars) + 8)
    said = [text_width(bar.said, SMALL) for bar in panel.bars if bar.fraction is not None]
    behind = min(0.36 * width, max([*said, 40.0]) + 10)
    ends = [end for bar in panel.bars for end in (bar.fraction, *(bar.quartiles or ())) if end is not None]
    scale = Scale(low=0.0, high=1.04 * max([1.0, *ends]), start=left + names, end=left + width - behind)
    heights = [_height(bar, names, behind, width) for bar in panel.bars]
    draw_ticks(sheet, scale, top, top + sum(heights))
    limit = scale.at(1.0)
    sheet.line([(limit, top), (limit, top + sum(heights))], INK, 1.1, dashes=(1.5, 2.5))
    for bar, height in zip(panel.bars, heights, strict=True):
        lines = wrapped(bar.name, names - 8, style)
        sheet.paragraph((left, top + (height - len(lines) * style.line) / 2, names - 8), lines, style)
        _draw_bar(sheet, scale, (top, height, behind), bar)
        top += height
    return top + SMALL + 10


def _height(bar: SpeedBar, names: float, behind: float, width: float) -> float:
    style = Style(size=SMALL)
    room = behind - 8 if bar.fraction is not None else width - names - 4
    lines = max(len(wrapped(bar.name, names - 8, style)), len(wrapped(bar.said, room, style)))
    return max(20.0, 4 + style.line * lines)


def _draw_bar(sheet: Sheet, scale: Scale, place: tuple[float, float, float], bar: SpeedBar) -> None:
    top, height, behind = place
    middle, style = top + height / 2, Style(size=SMALL)
    if bar.fraction is None or bar.quartiles is None:
        why = Style(size=SMALL, colour=BOUND, italic=True)
        lines = wrapped(bar.said, scale.end + behind - scale.start - 4, style)
        sheet.paragraph((scale.start + 4, middle - len(lines) * style.line / 2, behind), lines, why)
        return
    sheet.bar(Box(scale.start, middle - 7, scale.at(bar.fraction), middle + 7), bar.colour, alpha=0.75)
    sheet.line([(scale.at(end), middle) for end in bar.quartiles], INK, 2.0)
    lines = wrapped(bar.said, behind - 8, style)
    sheet.paragraph((scale.end + 6, middle - len(lines) * style.line / 2, behind), lines, style)
