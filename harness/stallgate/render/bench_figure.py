"""The figure of a bench: each contender's speed on each workload as a fraction of its limit.

That is a copy of the same bytes, or the roof where arithmetic is the limit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stallgate.formatting import rounded, spaced
from stallgate.render.figures import BOUND, FAINT, INK, INKS, PAPER, blank_figure, fitting, rendered_png, strip_axis
from stallgate.runs.bench import Bench, BenchRow, ContenderRole, Entry
from stallgate.runs.folder import write_whole

_FILE = "bench.png"

_WIDTH = 8.0
_COLUMNS = 2
_BAR = 0.22
"""Height of a bar, in inches."""
_HEAD = 0.62
"""Inches above and below the bars of a panel: its title and its axis."""
_LONGEST_NAME = 22


def draw_bench(bench: Bench, folder: Path) -> None:
    """Writes ``bench.png``, a panel for each row where anything was timed; nothing where there is none.

    Drawn workloads have none: there may be a hundred.
    """
    drawn = set(bench.drawn.names) if bench.drawn is not None else set()
    rows = [row for row in bench.rows if any(entry.samples_us for entry in row.entries)]
    rows = [row for row in rows if row.workload.name not in drawn]
    if not rows:
        return
    columns = min(_COLUMNS, len(rows))
    lines = [rows[start : start + columns] for start in range(0, len(rows), columns)]
    heights = [_HEAD + _BAR * max(len(_shown(row)) for row in line) for line in lines]
    gpu = bench.environment.gpu if bench.environment is not None else "an unknown GPU"
    figure = blank_figure(f"Speed as a fraction of {_limits(rows)}, {gpu}", _WIDTH, 0.5 + sum(heights))
    grid = figure.subplots(len(lines), columns, squeeze=False, height_ratios=heights)
    for line, axes in zip(lines, grid, strict=True):
        for row, axis in zip(line, axes, strict=False):
            _panel(axis, row)
        for axis in axes[len(line) :]:
            axis.set_axis_off()
    write_whole(folder / _FILE, rendered_png(figure))


def _limits(rows: list[BenchRow]) -> str:
    """What the speeds of some rows are fractions of, in words."""
    found = {row.limit for row in rows}
    if len(found) == 2:
        return "a copy or of the roof"
    return "a copy of the same bytes" if "copy" in found else "the roof"


def _panel(axis: Any, row: BenchRow) -> None:
    """A bar for each contender on a matplotlib Axes; its quartiles lie across its end."""
    shown = [(entry, row.fraction(entry, row.limit)) for entry in _shown(row)]
    fractions = [fraction for _, fraction in shown if fraction is not None]
    right = (1.18 if row.limit == "copy" else 1.65) * max([1.0, *fractions])
    for place, (entry, fraction) in enumerate(shown):
        if fraction is None or entry.median_us is None or entry.quartiles_us is None:
            why = f"no {row.limit} to compare with" if entry.outcome == "timed" else spaced(entry.outcome)
            axis.text(0.01 * right, place, why, va="center", fontsize=8.5, style="italic", color=BOUND)
            continue
        axis.barh([place], [fraction], color=_colour(entry.role), height=0.62, alpha=0.75, zorder=2)
        ends = [fraction * entry.median_us / quartile for quartile in entry.quartiles_us]
        axis.hlines([place], ends[1:], ends[:1], color=INK, linewidth=2, zorder=3)
        end = max(fraction, *ends) + 0.012 * right
        box = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 0.6}
        axis.text(end, place, _said(row, entry, fraction), va="center", fontsize=8.5, color=INK, bbox=box)
    axis.axvline(1.0, color=INK, linewidth=1.1, linestyle=":", zorder=1)
    axis.set_yticks(range(len(shown)), [fitting(entry.label, _LONGEST_NAME) for entry, _ in shown])
    axis.set_ylim(len(shown) - 0.4, -0.6)
    axis.set_xlim(0, right)
    of_roof = " · of the roof" if row.limit == "roof" else ""
    axis.set_title(f"{row.title}{of_roof}", fontsize=9.5, color=INK, loc="left")
    strip_axis(axis)


def _said(row: BenchRow, entry: Entry, fraction: float) -> str:
    """The number at the end of a bar; with operations a second where they are what counts."""
    tflops = row.tflops(entry) if row.limit == "roof" else None
    return f"{fraction:.3f}" if tflops is None else f"{fraction:.3f} · {rounded(tflops)} TFLOP/s"


def _shown(row: BenchRow) -> list[Entry]:
    """The contenders with a bar, or with a reason for having none."""
    return [entry for entry in row.entries if entry.role != "copy" and entry.outcome != "absent"]


def _colour(role: ContenderRole) -> str:
    return FAINT if role == "copy" or role == "peer" else INKS[role]
