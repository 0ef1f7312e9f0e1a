"""The figures of a run, as matplotlib draws them; PNG and page take the same."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from stallgate.formatting import SIGNS, rounded
from stallgate.model import Comparison, Family, FrozenStruct, Metric, Role

mpl.rcParams["svg.fonttype"] = "none"  # text stays text: to be read aloud, found, and small
mpl.rcParams["text.parse_math"] = False  # names are names, dollar signs and all
mpl.rcParams["svg.hashsalt"] = "stallgate"

INK = "#1c2733"
PAPER = "#ffffff"
FAINT = "#8a96a3"
GRID = "#e3e8ee"
GOOD = "#dff3e4"
BOUND = "#b3261e"
INKS: dict[Role, str] = {"candidate": "#0b62c4", "roof": "#1c2733", "baseline": "#5f6b78", "unknown": "#0b62c4"}

HUES: dict[Family, tuple[str, ...]] = {
    "memory": ("#08519c", "#3182bd", "#6baed6", "#9ecae1", "#c6dbef"),
    "shared": ("#d95f0e", "#fdae6b"),
    "sync": ("#756bb1",),
    "compute": ("#636363", "#8f8f8f", "#b5b5b5", "#d0d0d0"),
    "other": ("#c9b994", "#d6c8a6", "#e0d5ba", "#e9e0cb", "#f2ecdf"),
    "issue": ("#a1d99b", "#238b45"),
}
"""Colours of warp states: one hue per family, shades in the order of the catalogue."""

HOVER = "hover:"
"""A mark or its label whose gid begins with this says the rest of it when it is pointed at."""

METRIC = "metric:"
"""A panel whose gid begins with this is one of the metric that the rest of it names."""

LONGEST_HOVER = 200
"""Most characters of a state's meaning shown on hover; the glossary has all of it."""

SMALL_SHARE = 0.75
"""Warp states below this share, in per cent, in every bar are drawn as one."""


class Dot(FrozenStruct, frozen=True):
    """A metric of one variant: median and spread, or why there is none."""

    median: float | None
    low: float | None
    high: float | None
    gap: str = ""
    """Text shown instead of a dot."""


class Limit(FrozenStruct, frozen=True):
    """A bound in a panel."""

    comparison: Comparison
    bound: float


class Panel(FrozenStruct, frozen=True):
    """One metric of every variant, in the order of the rows."""

    metric: Metric
    dots: list[Dot]
    limit: Limit | None = None
    roof: float | None = None
    """The roof's value, or another reference that the label names."""
    roof_label: str = "roof"


class FigureRow(FrozenStruct, frozen=True):
    """A variant as the figures name it."""

    name: str
    role: Role


def panels_figure(title: str, rows: Sequence[FigureRow], panels: Sequence[Panel]) -> Figure:
    """A panel for each metric, a row for each variant; what meets a bound lies on the tinted side."""
    room = (_WIDTH - _beside(rows)) / len(panels) * CHARACTERS
    names = [textwrap.fill(_named(panel.metric), max(10, int(room))) for panel in panels]
    more = 0.17 * max(name.count("\n") for name in names)
    height = 1.15 + more + 0.34 * len(rows)
    figure = blank_figure(title, _WIDTH, height)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, name, panel in zip(axes, names, panels, strict=True):
        _panel(axis, rows, panel)
        axis.set_title(name, fontsize=9.5, color=INK, loc="left", y=1)  # where it stands anyway: none is looked for
    _name_rows(axes[0], rows)
    _place(figure, rows, height, below=0.3, above=0.66 + more)
    return figure


CHARACTERS = 12.6
"""Characters of a panel's title that fit into one inch."""


def _named(metric: Metric) -> str:
    unit = f" [{metric.unit}]" if metric.unit else ""
    return fitting(metric.title, 36) + fitting(unit, 12)


_WIDTH = 10.0
"""Width of every figure, in inches."""


def _beside(rows: Sequence[FigureRow]) -> float:
    """Room for the names of the rows, in inches."""
    return 0.25 + 0.082 * max(len(row.name) for row in rows)


def _place(
    figure: Figure, rows: Sequence[FigureRow], height: float, below: float, above: float = 0.45, right: float = 0.15
) -> None:
    """Places the axes by hand, in inches: a layout engine would measure every text for a third of the time."""
    figure.set_layout_engine(None)
    figure.subplots_adjust(_beside(rows) / _WIDTH, below / height, 1 - right / _WIDTH, 1 - above / height, wspace=0.12)


def _panel(axis: Axes, rows: Sequence[FigureRow], panel: Panel) -> None:
    axis.set_gid(f"{METRIC}{panel.metric.name}")
    right = _right_end(panel)
    axis.set_xlim(0, right)
    if panel.limit is not None:
        _draw_limit(axis, panel.limit, right)
    if panel.roof is not None:
        _draw_roof(axis, panel.roof, right, panel.roof_label)
    known = [(place, rows[place], dot) for place, dot in enumerate(panel.dots) if dot.median is not None]
    places, inks = [place for place, _, _ in known], [INKS[row.role] for _, row, _ in known]
    medians = [dot.median or 0.0 for _, _, dot in known]
    axis.hlines(places, [0.0] * len(known), medians, colors=inks, linewidth=1.2, alpha=0.35, zorder=2)
    lows, highs = [dot.low or 0.0 for _, _, dot in known], [dot.high or 0.0 for _, _, dot in known]
    axis.hlines(places, lows, highs, colors=inks, linewidth=5, alpha=0.45, zorder=3)
    for place, row, dot in known:
        _draw_dot(axis, place, row, dot, panel.metric.unit, dot.median or 0.0, right)
    for place, dot in enumerate(panel.dots):
        if dot.median is None:
            _draw_gap(axis, right * 0.03, place, dot.gap)
    strip_axis(axis)


def _draw_gap(axis: Axes, at: float, place: int, why: str) -> None:
    """The text where a value is missing."""
    box = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 0.8}
    axis.text(at, place, why, va="center", fontsize=8, style="italic", color=BOUND, bbox=box, zorder=5)


def _draw_dot(axis: Axes, place: int, row: FigureRow, dot: Dot, unit: str, median: float, right: float) -> None:
    """The median of a row with its value beside it, and its spread when it is pointed at."""
    (mark,) = axis.plot(median, place, "o", color=INKS[row.role], markersize=6, zorder=4)
    low, high = (rounded(end if end is not None else median, 6) for end in (dot.low, dot.high))
    mark.set_gid(f"{HOVER}{row.name}: {rounded(median, 6)} {unit} ({low} to {high})")
    beyond = median > right * 0.72
    label = axis.annotate(
        _brief(median),
        (median, place),
        xytext=(-8 if beyond else 8, 0),
        textcoords="offset points",
        ha="right" if beyond else "left",
        va="center",
        fontsize=8.5,
        color=INK,
        bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
        zorder=5,
    )
    label.set_gid(mark.get_gid())


def _brief(value: float) -> str:
    """A value in three digits; four where it is a thousand or more."""
    return rounded(value)


def _right_end(panel: Panel) -> float:
    if panel.metric.unit == "%":
        return 100.0
    bound = [panel.limit.bound] if panel.limit is not None else []
    bound += [panel.roof] if panel.roof is not None else []
    return 1.12 * max([dot.high for dot in panel.dots if dot.high is not None] + bound, default=1.0)


def _draw_limit(axis: Axes, limit: Limit, right: float) -> None:
    above = limit.comparison in ("at_least", "above")
    axis.axvspan(limit.bound if above else 0, right if above else limit.bound, color=GOOD, zorder=0)
    axis.axvline(limit.bound, color=BOUND, linewidth=1.3, linestyle=(0, (4, 2)), zorder=1)
    axis.annotate(
        f"{SIGNS[limit.comparison]} {_brief(limit.bound)}",
        (limit.bound, 0),
        xycoords=("data", "axes fraction"),
        xytext=(-3 if limit.bound > right / 2 else 3, 3),
        textcoords="offset points",
        ha="right" if limit.bound > right / 2 else "left",
        fontsize=8,
        color=BOUND,
    )


def _draw_roof(axis: Axes, roof: float, right: float, label: str) -> None:
    axis.axvline(roof, color=INK, linewidth=1.1, linestyle=":", zorder=1)
    axis.annotate(
        label,
        (roof, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-3 if roof > right / 2 else 3, -9),
        textcoords="offset points",
        ha="right" if roof > right / 2 else "left",
        fontsize=8,
        color=INK,
    )


class Share(FrozenStruct, frozen=True):
    """A warp state's share of resident warp time in every bar, in per cent; None where it is not measured."""

    state: str
    family: Family
    shares: list[float | None]
    about: str = ""
    """The state's meaning, shown on hover."""


def warp_states_figure(title: str, rows: Sequence[FigureRow], shares: Sequence[Share]) -> Figure:
    """A stacked bar for each variant: what its warps did, or waited for."""
    segments = _segments(shares)
    below = 0.62 + 0.2 * -(-len(segments) // 5)
    height = 0.45 + below + 0.38 * len(rows)
    figure = blank_figure(title, _WIDTH, height)
    axis = figure.subplots()
    left = [0.0] * len(rows)
    for name, colour, values, about in segments:
        widths = [value if value is not None else 0.0 for value in values]
        bars = axis.barh(range(len(rows)), widths, left=left, color=colour, height=0.66, label=name, edgecolor=PAPER)
        for row, width, bar in zip(rows, widths, bars.patches, strict=True):
            bar.set_gid(f"{HOVER}{row.name}: {name} {width:.3g} %. {fitting(about, LONGEST_HOVER)}")
        _label_segments(axis, bars.patches, colour)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, total in enumerate(left):
        if total == 0.0:
            _draw_gap(axis, 1, place, "not measured")
    _name_rows(axis, rows)
    axis.set_xlim(0, max(100.0, *left))
    axis.set_xlabel("share of resident warp time [%]", fontsize=9, color=INK)
    strip_axis(axis)
    _place(figure, rows, height, below)
    figure.legend(loc="lower center", ncols=5, fontsize=8.5, frameon=False, labelcolor=INK)
    return figure


def _segments(shares: Sequence[Share]) -> list[tuple[str, str, list[float | None], str]]:
    """Name, colour, values and meaning of what is drawn, in the catalogue's order; small states together at the end."""
    seen: Counter[Family] = Counter()
    segments = []
    small: list[Share] = []
    for share in shares:
        hues = HUES[share.family]
        colour = hues[min(seen[share.family], len(hues) - 1)]
        seen[share.family] += 1
        if _largest(share) < SMALL_SHARE:
            small.append(share)
        else:
            segments.append((share.state, colour, share.shares, share.about))
    if small:
        bars = range(len(small[0].shares))
        together: list[float | None] = [sum(share.shares[i] or 0.0 for share in small) for i in bars]
        names = ", ".join(share.state for share in small)
        segments.append((f"{len(small)} states under {SMALL_SHARE:g} %", "#eceff2", together, names))
    return segments


def _largest(share: Share) -> float:
    return max((value for value in share.shares if value is not None), default=0.0)


def _label_segments(axis: Axes, patches: Sequence[object], colour: str) -> None:
    for patch in patches:
        width = patch.get_width()  # type: ignore[attr-defined]
        if width >= 4:
            middle = patch.get_x() + width / 2  # type: ignore[attr-defined]
            place = patch.get_y() + patch.get_height() / 2  # type: ignore[attr-defined]
            label = axis.text(middle, place, f"{width:.0f}", ha="center", va="center", fontsize=8, color=_on(colour))
            label.set_gid(patch.get_gid())  # type: ignore[attr-defined]


DARK_ON_BAR, LIGHT_ON_BAR = "#101010", "#fefefe"
"""Text colours on bars. Bars keep their colour in the dark theme, so these do not follow the page's colours."""


def _on(colour: str) -> str:
    """The text colour, dark or light, that is more readable on a bar's colour."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return LIGHT_ON_BAR if 0.299 * red + 0.587 * green + 0.114 * blue < 140 else DARK_ON_BAR


class Occupancy(FrozenStruct, frozen=True):
    """Resident warps of one variant against the most that a multiprocessor holds, in per cent; None where unknown."""

    achieved: float | None
    possible: float | None
    limiter: str
    """What limits it."""


def occupancy_figure(title: str, rows: Sequence[FigureRow], found: Sequence[Occupancy]) -> Figure:
    """A bar for what was achieved, a tick for what was possible, and what limits it in words."""
    height = 1.0 + 0.32 * len(rows)
    figure = blank_figure(title, _WIDTH, height)
    axis = figure.subplots()
    for place, (row, occupancy) in enumerate(zip(rows, found, strict=True)):
        if occupancy.achieved is None or occupancy.possible is None:
            _draw_gap(axis, 1, place, "not measured")
            continue
        (bar,) = axis.barh([place], [occupancy.achieved], color=INKS[row.role], height=0.5, alpha=0.55).patches
        bar.set_gid(f"{HOVER}{row.name}: {occupancy.achieved:.4g} % achieved of {occupancy.possible:.4g} % possible")
        axis.plot([occupancy.possible] * 2, [place - 0.36, place + 0.36], color=INK, linewidth=2.2)
        axis.text(101, place, occupancy.limiter, va="center", fontsize=8.5, color=INK, clip_on=False)
    _name_rows(axis, rows)
    axis.set_xlim(0, 100)
    axis.set_xlabel("bar: achieved occupancy, tick: possible with its resources [%]", fontsize=9, color=INK)
    strip_axis(axis)
    _place(figure, rows, height, below=0.55, right=0.3 + 0.07 * max(len(each.limiter) for each in found))
    return figure


class TradePoint(FrozenStruct, frozen=True):
    """A configuration in the trade between speed and waiting."""

    name: str
    role: Role
    stall: float
    speed: float


LONGEST_TITLE = 102
"""Characters that fit into a figure's title."""

MOST_NAMES = 16
"""Most labelled points of a scatter; the others show their name on hover."""


def trade_figure(title: str, points: Sequence[TradePoint], axes: tuple[str, str]) -> Figure:
    """Speed (higher is better) against stall share (lower is better), with the points that no other beats in both."""
    figure = blank_figure(title, 10.0, 5.2)
    axis = figure.subplots()
    best = front(points)
    axis.plot([p.stall for p in best], [p.speed for p in best], color=BOUND, linewidth=1.4, drawstyle="steps-post")
    for point in points:
        alpha = 0.95 if point in best else 0.35
        (mark,) = axis.plot(point.stall, point.speed, "o", color=INKS[point.role], markersize=7, alpha=alpha)
        mark.set_gid(f"{HOVER}{point.name}: {axes[0]} {point.stall:.4g}, {axes[1]} {rounded(point.speed, 4)}")
    stalls = [point.stall for point in points]
    right = 0.15 * min(stalls) + 0.85 * max(stalls)
    for number, point in enumerate((points if len(points) <= MOST_NAMES else best)[:MOST_NAMES]):
        _name_point(axis, point, above=number % 2 == 0, leftwards=point.stall > right)
    axis.set_xlabel(axes[0], fontsize=9, color=INK)
    axis.set_ylabel(axes[1], fontsize=9, color=INK)
    axis.margins(x=0.12, y=0.1)
    strip_axis(axis)
    axis.grid(axis="y", color=GRID, linewidth=0.8, zorder=0)
    return figure


def _name_point(axis: Axes, point: TradePoint, *, above: bool, leftwards: bool) -> None:
    """Puts the labels of neighbours on different sides; the rightmost label stays within the panel."""
    axis.annotate(
        point.name,
        (point.stall, point.speed),
        xytext=(-6 if leftwards else 6, 7 if above else -13),
        textcoords="offset points",
        ha="right" if leftwards else "left",
        fontsize=8,
        color=INK,
        zorder=5,
    )


def front(points: Sequence[TradePoint]) -> list[TradePoint]:
    """The points that no other beats in speed and stall together, by rising stall."""
    best: list[TradePoint] = []
    for point in sorted(points, key=lambda point: (point.stall, -point.speed)):
        if not best or point.speed > best[-1].speed:
            best.append(point)
    return best


TERA = 1e12


class RooflineCeiling(FrozenStruct, frozen=True):
    """A limit of a roofline: bytes per second (a slope) or operations per second (a level)."""

    name: str
    bytes_per_second: float | None = None
    flops_per_second: float | None = None


class Work(FrozenStruct, frozen=True):
    """A variant's bytes per second by its counters, and its operations per second."""

    name: str
    role: Role
    bytes_per_second: float
    flops_per_second: float
    by_need: bool = False
    """The operations are those that the workload needs: they were not counted."""


def roofline_figure(title: str, works: Sequence[Work], ceilings: Sequence[RooflineCeiling], counted: str) -> Figure:
    """Operations per second over operations per byte, both logarithmic, under the ceilings.

    Args:
        title: the figure's.
        works: a dot for each; hollow where its operations are by need.
        ceilings: at least one of bytes and one of operations.
        counted: the operations in words, such as ``FP32 operations``.
    """
    figure = blank_figure(title, *_ROOFLINE)
    figure.set_layout_engine(None)
    axis = figure.add_axes((0.065, 0.125, 0.92, 0.77))
    left, right = _extent(axis, works, ceilings)
    room = _Labels(axis)
    for work in works:
        _draw_work(axis, work)
        room.keep_clear(_intensity(work), work.flops_per_second)
    for work in works:
        name = f"{work.name} (by need)" if work.by_need else work.name
        room.write(name, _intensity(work), work.flops_per_second, INK, _BESIDE)
    for ceiling in ceilings:
        _draw_ceiling(axis, room, ceiling, (left, right), [c.flops_per_second or 0 for c in ceilings])
    axis.set_xlabel(f"{counted} for each byte of DRAM traffic [FLOP/byte]", fontsize=9, color=INK)
    axis.set_ylabel(f"{counted} per second [TFLOP/s]", fontsize=9, color=INK)
    strip_axis(axis)
    axis.grid(axis="y", color=GRID, linewidth=0.8, zorder=0)
    return figure


_ROOFLINE = (10.0, 4.6)
"""Width and height of a roofline, in inches."""


def _intensity(work: Work) -> float:
    return work.flops_per_second / work.bytes_per_second


def _extent(axis: Axes, works: Sequence[Work], ceilings: Sequence[RooflineCeiling]) -> tuple[float, float]:
    """Sets logarithmic axes that hold every dot and ridge; returns the left and the right end."""
    axis.set_xscale("log")
    axis.set_yscale("log")
    levels = [c.flops_per_second for c in ceilings if c.flops_per_second is not None]
    slopes = [c.bytes_per_second for c in ceilings if c.bytes_per_second is not None]
    intensities = [_intensity(work) for work in works]
    ridges = [level / slope for level in levels for slope in slopes]
    left, right = min(intensities + ridges) / 4, 4 * max(intensities + ridges)
    lowest = min([work.flops_per_second for work in works] + [left * slope for slope in slopes] + levels)
    axis.set_xlim(left, right)
    axis.set_ylim(lowest / 1.6, 3.2 * max([work.flops_per_second for work in works] + levels))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / TERA:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_minor_formatter(NullFormatter())
    return left, right


def _draw_work(axis: Axes, work: Work) -> None:
    intensity, fill = _intensity(work), "none" if work.by_need else INKS[work.role]
    (mark,) = axis.plot(
        intensity, work.flops_per_second, "o", color=INKS[work.role], markerfacecolor=fill, markersize=8, zorder=6
    )
    how = "needed" if work.by_need else "counted"
    rate = f"{rounded(work.flops_per_second / TERA, 4)} TFLOP/s {how}"
    mark.set_gid(f"{HOVER}{work.name}: {rate} at {rounded(intensity, 4)} FLOP/byte")


def _draw_ceiling(
    axis: Axes, room: _Labels, ceiling: RooflineCeiling, ends: tuple[float, float], levels: Sequence[float]
) -> None:
    """A level over the whole width, its label at the right; or a slope up to the highest level."""
    left, right = ends
    if ceiling.bytes_per_second is None:
        level = ceiling.flops_per_second or max(levels)
        axis.plot([left, right], [level, level], color=BOUND, linewidth=1.4)
        room.write(ceiling.name, right, level, BOUND, _ON_LEVEL)
        return
    slope = ceiling.bytes_per_second
    start = max(levels) / slope
    axis.plot([left, start], [left * slope, max(levels)], color=INK, linewidth=1.4, linestyle="--")
    middle = (left * start) ** 0.5
    room.write(ceiling.name, middle, middle * slope, INK, _ON_SLOPE)


_Side = tuple[float, float, Literal["left", "right"]]
"""Points to the right and upwards from what a label names, and the end of the label that is there."""

_BESIDE: tuple[_Side, ...] = tuple(
    (9.0 if end == "left" else -9.0, up, end) for up in (-3.0, 9.0, -15.0, 21.0, -27.0, 33.0, -39.0)
    for end in ("left", "right")
)  # fmt: skip
_ON_LEVEL: tuple[_Side, ...] = tuple((-4.0 - 40.0 * back, up, "right") for back in range(12) for up in (3.0, -10.5))
_ON_SLOPE: tuple[_Side, ...] = ((-6.0, 3.0, "right"), (8.0, -10.0, "left"), (8.0, -24.0, "left"), (8.0, -38.0, "left"))


class _Labels:
    """Places labels in an axis so that no two overlap, and none a dot. Widths of text are estimated."""

    _CHARACTER, _LINE = 4.6, 11.0
    """Points that a character and a line take, at most."""

    def __init__(self, axis: Axes) -> None:
        self._axis = axis
        self._taken: list[tuple[float, float, float, float]] = []
        width, height = axis.get_position().size
        self._size = (72 * width * _ROOFLINE[0], 72 * height * _ROOFLINE[1])

    def _points(self, x: float, y: float) -> tuple[float, float]:
        """A place of the axis in points from its lower left corner."""
        across, up = self._axis.transLimits.transform(self._axis.transScale.transform((x, y)))
        return float(across) * self._size[0], float(up) * self._size[1]

    def keep_clear(self, x: float, y: float) -> None:
        """Keeps labels off a dot."""
        across, up = self._points(x, y)
        self._taken.append((across - 5, up - 5, across + 5, up + 5))

    def write(self, text: str, x: float, y: float, colour: str, sides: Sequence[_Side]) -> None:
        """Writes a label on the first side where there is room; if there is none, where it covers least."""
        across, up = self._points(x, y)
        length = self._CHARACTER * len(text)
        boxes = [_box(across + dx, up + dy, length, self._LINE, end) for dx, dy, end in sides]
        place = min(range(len(boxes)), key=lambda n: self._covered(boxes[n]))
        self._taken.append(boxes[place])
        dx, dy, end = sides[place]
        self._axis.annotate(
            text,
            (x, y),
            xytext=(dx, dy),
            textcoords="offset points",
            ha=end,
            va="baseline",
            fontsize=8.5,
            color=colour,
            bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 0.6},
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.8}
            if sides is _BESIDE and place > 1
            else None,
            zorder=5,
        )

    def _covered(self, box: tuple[float, float, float, float]) -> int:
        """How many labels and dots a label would cover; one that leaves the axis counts as many."""
        left, low, right, high = box
        inside = left >= 0 and low >= 0 and right <= self._size[0] and high <= self._size[1]
        covered = [taken for taken in self._taken if taken[0] < right and left < taken[2] and taken[1] < high]
        return sum(low < taken[3] for taken in covered) + (0 if inside else 100)


def _box(x: float, y: float, length: float, height: float, end: str) -> tuple[float, float, float, float]:
    """Left, lower, right and upper edge of a label whose baseline begins or ends at a place."""
    left = x if end == "left" else x - length
    return left, y - 2, left + length, y - 2 + height


def _name_rows(axis: Axes, rows: Sequence[FigureRow]) -> None:
    """Variants down the left side, the candidates in their own ink."""
    axis.set_yticks(range(len(rows)), [row.name for row in rows])
    for label, row in zip(axis.get_yticklabels(), rows, strict=True):
        label.set_color(INKS[row.role])
        label.set_fontweight("bold" if row.role in ("candidate", "unknown") else "normal")
    axis.set_ylim(len(rows) - 0.4, -0.6)


class Drawing(FrozenStruct, frozen=True):
    """A figure, rendered."""

    png: bytes
    svg: str
    """An ``<svg>`` element."""


def rendered(figure: Figure) -> Drawing:
    """A figure for a file and for a page: laid out once and drawn once for each."""
    return Drawing(png=rendered_png(figure), svg=rendered_svg(figure))


def rendered_png(figure: Figure) -> bytes:
    """A figure for a file only."""
    png = io.BytesIO()
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name may hold what the font lacks
        layout = figure.get_layout_engine()
        if layout is not None:
            layout.execute(figure)
            figure.set_layout_engine("none")
        canvas.draw()  # type: ignore[no-untyped-call]
    imsave(png, canvas.buffer_rgba(), format="png", dpi=figure.dpi)  # type: ignore[no-untyped-call]
    return png.getvalue()


def _element(svg: str) -> str:
    """The ``<svg>`` element of a file, in the page's colours."""
    return _themed(svg[svg.index("<svg") :])


def rendered_svg(figure: Figure) -> str:
    """A figure for a page only, as an ``<svg>`` element."""
    svg = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return _element(svg.getvalue())


THEMED = {
    INK: "--ink",
    FAINT: "--faint",
    GRID: "--grid",
    GOOD: "--good-wash",
    BOUND: "--bad",
    INKS["candidate"]: "--accent",
    INKS["baseline"]: "--muted",
    PAPER: "--paper",
}
"""Colours that are another in the dark: the variables of the page's style."""


def _themed(svg: str) -> str:
    """A figure whose inks and papers are the page's, whose parts say what they are, and without ids that repeat."""
    for colour, variable in THEMED.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(rf'<g id="{HOVER}([^"]*)">', r"<g><title>\1</title>", svg)
    svg = re.sub(rf'<g id="{METRIC}([^"]*)">', r'<g data-metric="\1">', svg)
    svg = re.sub(r' id="matplotlib\.axis_\d+"', ' class="axis"', svg)
    return re.sub(r' id="[a-zA-Z0-9.]+_\d+"', "", svg)


def blank_figure(title: str, width: float, height: float) -> Figure:
    """A figure with its finding as the title; width and height in inches."""
    figure = Figure(figsize=(width, height), dpi=130, layout="constrained", facecolor=PAPER)
    figure.suptitle(fitting(title, LONGEST_TITLE), x=0.01, ha="left", fontsize=11.5, fontweight="bold", color=INK)
    return figure


def fitting(text: str, length: int) -> str:
    """A text of at most so many characters: its beginning and its end."""
    return text if len(text) <= length else f"{text[: length - length // 4]}…{text[-(length // 4 - 1) :]}"


def strip_axis(axis: Axes) -> None:
    """Removes a panel's frame and row ticks."""
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color(FAINT)
    axis.tick_params(axis="y", length=0, labelsize=9, labelcolor=INK)
    axis.tick_params(axis="x", color=FAINT, labelsize=8, labelcolor=INK)
    axis.grid(axis="x", color=GRID, linewidth=0.8, zorder=0)
    axis.set_axisbelow(True)


class ShareBar(FrozenStruct, frozen=True):
    """A kernel's share of a program's GPU time."""

    name: str
    share: float
    """0 to 1."""
    label: str
    measured: bool
    """Whether it has counters."""


def program_figure(title: str, bars: Sequence[ShareBar]) -> Figure:
    """A bar for each kernel, the longest first, in the ink of candidates where it has counters."""
    rows = [FigureRow(name=bar.name, role="unknown" if bar.measured else "baseline") for bar in bars]
    height = 1.05 + 0.3 * len(bars)
    figure = blank_figure(title, _WIDTH, height)
    axis = figure.subplots()
    lengths = [100 * bar.share for bar in bars]
    drawn = axis.barh(range(len(bars)), lengths, height=0.66, color=[INKS[row.role] for row in rows])
    for place, (bar, patch) in enumerate(zip(bars, drawn.patches, strict=True)):
        patch.set_gid(f"{HOVER}{bar.name}: {bar.label}")
        axis.annotate(
            bar.label, (lengths[place], place), (4, 0), textcoords="offset points", va="center", fontsize=8.5, color=INK
        )
    _name_rows(axis, rows)
    axis.set_xlim(0, 1.9 * max([*lengths, 1.0]))  # room for the labels behind the bars
    axis.set_xlabel("share of the program's GPU time [%]", fontsize=9, color=INK)
    strip_axis(axis)
    _place(figure, rows, height, below=0.5)
    return figure


# --- through time -----------------------------------------------------------------------------------------------------


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


DASHES: tuple[Literal["solid", "dashed", "dotted", "dashdot"], ...] = ("solid", "dashed", "dotted", "dashdot")
SHAPES = "osD^vPX"
LABELS = 16
"""Most measurements labelled below a column; with more, some labels are left out."""


def trends_figure(title: str, trends: Trends) -> Figure:
    """A line for each set of conditions in every panel; nothing joins what was measured under different ones."""
    figure, grid = _grid(title, trends)
    for axes, row, panels in zip(grid, trends.rows, trends.panels, strict=True):
        for axis, panel in zip(axes, panels, strict=True):
            _trend(axis, row, panel)
        axes[0].annotate(
            row.name,
            (0, 0.5),
            xycoords="axes fraction",
            xytext=(-34, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=9,
            color=INKS[row.role],
        )
    for axis, column in zip(grid[0], trends.columns, strict=True):
        axis.set_title(column, fontsize=8.5, color=INK, loc="left", parse_math=False)
    for axis in grid[-1]:
        _name_measurements(axis, trends.labels)
    _name_conditions(figure, trends.conditions)
    return figure


def _grid(title: str, trends: Trends) -> tuple[Figure, list[list[Axes]]]:
    """A figure and its panels, placed by hand: a layout engine would take seconds for so many."""
    below = 0.75 + 0.18 * len(trends.conditions)
    height = 0.65 + 0.85 * len(trends.rows) + below
    figure = blank_figure(title, 10.0, height)
    figure.set_layout_engine(None)
    grid = figure.subplots(len(trends.rows), len(trends.columns), sharex=True, squeeze=False)
    left = 0.55 + 0.072 * max(len(row.name) for row in trends.rows)
    figure.subplots_adjust(left / 10, below / height, 0.99, 1 - 0.65 / height, wspace=0.3, hspace=0.25)
    return figure, grid.tolist()


def _trend(axis: Axes, row: FigureRow, trend: Trend) -> None:
    for stretch in trend.stretches:
        _stretch(axis, stretch, INKS[row.role])
    for place in trend.steps:
        axis.axvline(place - 0.5, color=FAINT, linewidth=1.0, linestyle=(0, (1, 2)), zorder=1)
    if trend.limit is not None:
        axis.axhline(trend.limit.bound, color=BOUND, linewidth=1.1, linestyle=(0, (4, 2)), zorder=1)
    strip_axis(axis)
    axis.tick_params(axis="y", labelsize=7)
    axis.grid(axis="y", color=GRID, linewidth=0.8, zorder=0)
    if not trend.stretches:
        axis.set_yticks([])
        axis.set_xlabel("not measured twice", fontsize=8, style="italic", color=FAINT)
        return
    axis.set_ylim(*_height(trend))
    axis.locator_params(axis="y", nbins=3)


def _height(trend: Trend) -> tuple[float, float]:
    """Limits of an axis that shows everything without exaggerating changes of a per cent."""
    spreads = [(dot.low, dot.high) for stretch in trend.stretches for dot in stretch.dots]
    values = [value for spread in spreads for value in spread if value is not None]
    values += [trend.limit.bound] if trend.limit is not None else []
    low, high = min(values), max(values)
    least = 0.1 * max(abs(low), abs(high)) or 1.0
    margin = 0.12 * (high - low) + max(0.0, least - (high - low)) / 2
    return low - margin, high + margin


def _stretch(axis: Axes, stretch: Stretch, colour: str) -> None:
    medians = [dot.median if dot.median is not None else float("nan") for dot in stretch.dots]
    shape, dash = SHAPES[stretch.conditions % len(SHAPES)], DASHES[stretch.conditions % len(DASHES)]
    axis.plot(stretch.places, medians, marker=shape, linestyle=dash, color=colour, markersize=4, linewidth=1.3)
    for place, dot in zip(stretch.places, stretch.dots, strict=True):
        if dot.low is None or dot.high is None:
            axis.plot(place, 0.06, "x", color=BOUND, markersize=5, transform=axis.get_xaxis_transform())
        else:
            axis.plot([place, place], [dot.low, dot.high], color=colour, linewidth=4, alpha=0.35)


def _name_measurements(axis: Axes, labels: Sequence[str]) -> None:
    last = len(labels) - 1
    named = range(last, -1, -(last // LABELS + 1))  # the newest always
    axis.set_xticks(list(named), [labels[place] for place in named], rotation=90, parse_math=False)
    axis.tick_params(axis="x", labelsize=7)
    axis.set_xlim(-0.5, last + 0.5)


def _name_conditions(figure: Figure, conditions: Sequence[str]) -> None:
    handles = [
        Line2D([], [], marker=SHAPES[i % len(SHAPES)], linestyle=DASHES[i % len(DASHES)], color=FAINT, markersize=4)
        for i in range(len(conditions))
    ]
    legend = figure.legend(handles, list(conditions), loc="lower left", fontsize=8, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
        text.set_color(INK)
