"""The figures of a run, laid out on sheets; PNG and page take the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from msgspec.structs import replace

from stallgate.formatting import SIGNS, rounded
from stallgate.model import Comparison, Family, FrozenStruct, Metric, Role
from stallgate.render.scales import Scale, draw_side_ticks, draw_ticks, fitting_unit, spread_over
from stallgate.render.scatter import below_scatter, scatter_panel, scatter_scales
from stallgate.render.sheet import (
    ACCENT,
    GOOD,
    METRIC,
    MUTED,
    SMALL,
    TEXT,
    WIDE,
    Box,
    Point,
    Shape,
    Sheet,
    Style,
    label_points,
    text_width,
    wrapped,
)
from stallgate.render.sheet import (
    BOUND as BOUND,
)
from stallgate.render.sheet import (
    FAINT as FAINT,
)
from stallgate.render.sheet import (
    INK as INK,
)
from stallgate.render.sheet import (
    PAPER as PAPER,
)
from stallgate.render.sheet import (
    Drawing as Drawing,
)

INKS: dict[Role, str] = {"candidate": ACCENT, "roof": INK, "baseline": MUTED, "unknown": ACCENT}

HUES: dict[Family, tuple[str, ...]] = {
    "memory": ("#08519c", "#3182bd", "#6baed6", "#9ecae1", "#c6dbef"),
    "shared": ("#d95f0e", "#fdae6b"),
    "sync": ("#756bb1",),
    "compute": ("#636363", "#8f8f8f", "#b5b5b5", "#d0d0d0"),
    "other": ("#c9b994", "#d6c8a6", "#e0d5ba", "#e9e0cb", "#f2ecdf"),
    "issue": ("#a1d99b", "#238b45"),
}
"""Colours of warp states: one hue per family, shades in the order of the catalogue."""

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
    before: float | None = None
    """The accepted value of a variant, where there is one."""
    earlier: float | None = None
    """The value in an earlier run, where there is one to compare with."""


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


def panels_figure(
    title: str, rows: Sequence[FigureRow], panels: Sequence[Panel], base: str = "", width: float = WIDE
) -> Sheet:
    """A panel for each metric, a row for each variant; what meets a bound lies on the tinted side.

    Panels stand side by side as far as there is room, then below each other. A thin upright mark is the value in the
    earlier run that ``base`` names.
    """
    sheet = Sheet(title, width)
    lay_panels(sheet, rows, panels)
    if any(dot.earlier is not None for panel in panels for dot in panel.dots):
        said = Style(size=SMALL, colour=MUTED)
        sheet.height += sheet.paragraph((6, sheet.height, width - 12), f"thin upright mark: in {base}", said) + 6
    return sheet


def lay_panels(sheet: Sheet, rows: Sequence[FigureRow], panels: Sequence[Panel]) -> None:
    """A panel for each metric below what is on a sheet."""
    beside = max(1, int((sheet.width - names_width(rows, sheet.width)) // _LEAST_PANEL))
    beside = -(-len(panels) // -(-len(panels) // beside))
    for first in range(0, len(panels), beside):
        _line_of_panels(sheet, rows, [_in_fitting_unit(panel) for panel in panels[first : first + beside]], beside)


_LEAST_PANEL = 150.0
"""Least width of a panel, in pixels."""

_GAP = 14.0
"""Between panels."""


def names_width(rows: Sequence[FigureRow], width: float) -> float:
    """Room for the names of the rows: longer ones are wrapped."""
    longest = max((text_width(row.name, TEXT, bold=True) for row in rows), default=0.0)
    return min(longest, 0.3 * width) + _GAP


def row_heights(rows: Sequence[FigureRow], names: float) -> list[float]:
    style = Style(bold=True)
    return [max(24.0, 8 + style.line * len(wrapped(row.name, names - _GAP, style))) for row in rows]


def _in_fitting_unit(panel: Panel) -> Panel:
    """A panel whose values are short: bytes in GB, say."""
    values = [dot.median for dot in panel.dots if dot.median is not None] + [panel.roof or 0.0]
    by, unit = fitting_unit(panel.metric.unit, max(values))
    if by == 1:
        return panel
    return replace(
        panel,
        metric=replace(panel.metric, unit=unit),
        dots=[_divided(dot, by) for dot in panel.dots],
        limit=replace(panel.limit, bound=panel.limit.bound / by) if panel.limit is not None else None,
        roof=panel.roof / by if panel.roof is not None else None,
    )


def _divided(dot: Dot, by: float) -> Dot:
    ends = {name: getattr(dot, name) for name in ("median", "low", "high", "before", "earlier")}
    return replace(dot, **{name: value / by if value is not None else None for name, value in ends.items()})


def _line_of_panels(sheet: Sheet, rows: Sequence[FigureRow], panels: Sequence[Panel], beside: int) -> None:
    """Some panels beside each other, with the names of the rows to their left."""
    names = names_width(rows, sheet.width)
    width = (sheet.width - names - 6) / beside - _GAP
    style = Style(size=TEXT, bold=True)
    heads = [wrapped(_named(panel.metric), width, style) for panel in panels]
    top = sheet.height + style.line * max(len(head) for head in heads)
    bands = max(len(_references(panel)) for panel in panels)
    above = top + 2 + bands * 1.3 * SMALL
    heights = row_heights(rows, names)
    below = above + sum(heights)
    for number, (head, panel) in enumerate(zip(heads, panels, strict=True)):
        left = 6 + names + number * (width + _GAP)
        sheet.paragraph((left, sheet.height, width), head, style)
        _panel(sheet, Box(left, above, left + width, below), rows, panel, heights)
    name_rows(sheet, rows, above, heights)
    sheet.height = below + SMALL + 20


def _named(metric: Metric) -> str:
    return f"{metric.title} [{metric.unit}]" if metric.unit else metric.title


def name_rows(sheet: Sheet, rows: Sequence[FigureRow], top: float, heights: Sequence[float]) -> None:
    """Variants down the left side, the candidates in their own ink."""
    names = names_width(rows, sheet.width)
    for row, height in zip(rows, heights, strict=True):
        style = Style(colour=INKS[row.role], bold=row.role in ("candidate", "unknown"))
        lines = wrapped(row.name, names - _GAP, style)
        sheet.paragraph((6, top + (height - len(lines) * style.line) / 2, names - _GAP), row.name, style)
        top += height


def _panel(sheet: Sheet, box: Box, rows: Sequence[FigureRow], panel: Panel, heights: Sequence[float]) -> None:
    low, high = _ends(panel, rows)
    scale = Scale(low=low, high=high, start=box.left, end=box.right)
    group = f"{METRIC}{panel.metric.name}"
    sheet.group = group
    if panel.limit is not None:
        _draw_limit(sheet, box, scale, panel.limit)
    draw_ticks(sheet, scale, box.top, box.bottom)
    for number, (words, value, colour) in enumerate(_references(panel)):
        _refer(sheet, box, scale, (words, value, colour), number)
    top = box.top
    for row, dot, height in zip(rows, panel.dots, heights, strict=True):
        if dot.median is None:
            _draw_gap(sheet, (box.left + 2, top, box.right - box.left), height, dot.gap)
        else:
            _draw_dot(sheet, scale, top + height / 2, row, (dot, panel))
        top += height
    sheet.group = ""


def _references(panel: Panel) -> list[tuple[str, float, str]]:
    """What is marked over a whole panel, each with its words, its value and its colour: the bound, the roof."""
    found = []
    if panel.limit is not None:
        words = f"{SIGNS[panel.limit.comparison]} {rounded(panel.limit.bound)}"
        found.append((words, panel.limit.bound, BOUND))
    if panel.roof is not None:
        found.append((panel.roof_label, panel.roof, INK))
    return found


def _refer(sheet: Sheet, box: Box, scale: Scale, reference: tuple[str, float, str], number: int) -> None:
    """A line over a panel, its words above the panel: each reference has a line of text of its own."""
    words, value, colour = reference
    x, half = scale.at(value), text_width(words, SMALL) / 2
    dashes = (5.0, 3.0) if colour == BOUND else (1.5, 2.5)
    sheet.line([(x, box.top), (x, box.bottom)], colour, 1.3, dashes=dashes)
    centre = min(max(x, box.left + half), box.right - half)
    sheet.write(centre, box.top - 4 - number * 1.3 * SMALL, words, Style(size=SMALL, colour=colour, anchor="middle"))


def _draw_limit(sheet: Sheet, box: Box, scale: Scale, limit: Limit) -> None:
    above = limit.comparison in ("at_least", "above")
    ends = (scale.at(limit.bound), box.right) if above else (box.left, scale.at(limit.bound))
    sheet.bar(Box(ends[0], box.top, ends[1], box.bottom), GOOD)


def _draw_gap(sheet: Sheet, box: tuple[float, float, float], height: float, why: str) -> None:
    """The text where a value is missing."""
    style = Style(size=SMALL, colour=BOUND, italic=True)
    left, top, width = box
    lines = wrapped(why, width - 4, style)[: max(1, int(height // style.line))]
    for number, line in enumerate(lines):
        y = top + (height - len(lines) * style.line) / 2 + number * style.line + SMALL
        sheet.write(left, y, line, style)


def _draw_dot(sheet: Sheet, scale: Scale, y: float, row: FigureRow, found: tuple[Dot, Panel]) -> None:
    """The median of a row with its value beside it, its spread, and what it was before; cut where it lies outside."""
    dot, panel = found
    median, ink = dot.median or 0.0, INKS[row.role]
    low, high = (end if end is not None else median for end in (dot.low, dot.high))
    hover = f"{row.name}: {rounded(median, 6)} {panel.metric.unit} ({rounded(low, 6)} to {rounded(high, 6)})"
    x = scale.at(median)
    sheet.line([(scale.at(_origin(panel, scale)), y), (x, y)], ink, 1.2, alpha=0.4)
    if dot.before is not None and scale.holds(dot.before):
        before = f"{row.name}: {rounded(dot.before, 6)} {panel.metric.unit} accepted before"
        sheet.dot(scale.at(dot.before), y, 4.5, stroke=FAINT, hover=before)
    _draw_earlier(sheet, scale, y, row, found)
    if scale.holds(median):
        sheet.line([(scale.at(low), y), (scale.at(high), y)], ink, 5.0, alpha=0.45)
        sheet.dot(x, y, 4.0, fill=ink, hover=hover)
    else:
        _draw_cut(sheet, scale, (x, y), ink, hover)
    reach = (x - scale.at(low), scale.at(high) - x)
    _write_value(sheet, scale, (x, y, *reach), rounded(median, zeros=not _is_count(panel)), hover)


def _draw_earlier(sheet: Sheet, scale: Scale, y: float, row: FigureRow, found: tuple[Dot, Panel]) -> None:
    """A thin upright mark where the value was in the earlier run; a small head at the edge where it lies outside."""
    dot, panel = found
    if dot.earlier is None:
        return
    x = scale.at(dot.earlier)
    hover = f"{row.name}: {rounded(dot.earlier, 6)} {panel.metric.unit} before"
    if scale.holds(dot.earlier):
        sheet.line([(x, y - 8), (x, y + 8)], INK, 1.5, hover=hover)
        return
    step = -5.0 if x >= scale.end else 5.0
    points = [(x, y + 8), (x + step, y + 5), (x + step, y + 11)]
    sheet.marks.append(Shape(points, fill=INK, hover=hover, group=sheet.group))


def _is_count(panel: Panel) -> bool:
    """Whether all values of a panel are whole, as registers are."""
    return all(dot.median is None or dot.median == int(dot.median) for dot in panel.dots) and panel.metric.unit != ""


def _draw_cut(sheet: Sheet, scale: Scale, place: tuple[float, float], ink: str, hover: str) -> None:
    """An arrowhead at the edge: the value lies beyond it."""
    x, y = place
    step = -7.0 if x >= scale.end else 7.0
    for back in (0.0, 6.0 * step / 7):
        tip = x + back
        points = [(tip, y), (tip + step, y - 4.5), (tip + step, y + 4.5)]
        sheet.marks.append(Shape(points, fill=ink, hover=hover, group=sheet.group))


def _write_value(sheet: Sheet, scale: Scale, place: tuple[float, float, float, float], words: str, hover: str) -> None:
    """A value behind its mark and its spread; before them where it would leave the panel.

    Args:
        sheet: the figure.
        scale: the panel's.
        place: the mark's, and how far its spread reaches to the left and to the right.
        words: the value.
        hover: what the mark says.
    """
    x, y, before, behind = place
    width = text_width(words, SMALL)
    is_cut = not scale.start < x < scale.end
    gap = 17.0 if is_cut else 8.0
    right = x <= scale.start if is_cut else x + max(gap, behind + 4) + width <= scale.end + 4
    left = x + max(gap, behind + 4) if right else max(scale.start - 2, x - max(gap, before + 4) - width)
    sheet.bar(Box(left - 2, y - 7, left + width + 2, y + 7), PAPER, alpha=0.75)
    sheet.write(left, y + 0.36 * SMALL, words, Style(size=SMALL), hover)


def _origin(panel: Panel, scale: Scale) -> float:
    """Where the line to a dot begins: at what it falls short of where the axis shows headroom, else at the least."""
    goal = panel.roof if panel.roof is not None else panel.limit.bound if panel.limit is not None else scale.low
    return goal if scale.low > 0 else scale.low


_MUCH_MORE = 2.0
"""A baseline at this multiple of what the axis has to show, or beyond it, is cut."""

_ZOOMED = 0.6
"""An axis shows headroom, and not 0, where what it has to show is at least this share of its highest."""


def _ends(panel: Panel, rows: Sequence[FigureRow]) -> tuple[float, float]:
    """The ends of a panel's axis: baselines do not stretch it, and it shows what lies close to a bound apart."""
    known = [(row.role, end) for row, dot in zip(rows, panel.dots, strict=True) for end in _all_ends(dot)]
    goals = [value for _, value, _ in _references(panel)] + [1.0] * (panel.metric.name == "roof_fraction")
    shown = [value for role, value in known if role != "baseline"] + goals
    shown = shown or [value for _, value in known] or [1.0]
    highest = max(shown)
    wants_more = panel.metric.direction == "higher" or panel.metric.name == "roof_fraction"
    if goals and wants_more and min(shown) >= _ZOOMED * highest > 0:
        return spread_over(shown, margin=0.3)
    if panel.metric.unit == "%" and highest <= 100:
        return 0.0, 100.0
    others = [value for role, value in known if role == "baseline" and value < _MUCH_MORE * highest]
    return 0.0, 1.12 * max([highest, *others]) or 1.0


def _all_ends(dot: Dot) -> list[float]:
    return [value for value in (dot.median, dot.low, dot.high) if value is not None]


class Share(FrozenStruct, frozen=True):
    """A warp state's share of resident warp time in every bar, in per cent; None where it is not measured."""

    state: str
    family: Family
    shares: list[float | None]
    about: str = ""
    """The state's meaning, shown on hover."""
    before: list[float | None] = []
    """The shares in an earlier run; empty, or None, where there is none to compare with."""


class EarlierStates(FrozenStruct, frozen=True):
    """What a figure of warp states says of an earlier run, whose shares its states have."""

    base: str
    """The run's name."""
    cycles: list[float | None]
    """Cycles of a warp for each instruction, by variant."""


class _Segment(FrozenStruct, frozen=True):
    """A part of every bar: a state, or several small ones together."""

    name: str
    colour: str
    shares: list[float | None]
    about: str
    before: list[float | None]


def warp_states_figure(
    title: str,
    rows: Sequence[FigureRow],
    shares: Sequence[Share],
    cycles: Sequence[float | None] = (),
    earlier: EarlierStates | None = None,
    width: float = WIDE,
) -> Sheet:
    """A stacked bar for each variant: what its warps did, or waited for; below it a thin one for the run before.

    Bars are as long as a warp took cycles for each instruction where these are known of every variant, else each is
    100 per cent.
    """
    sheet = Sheet(title, width)
    segments, names = _segments(shares), names_width(rows, width)
    totals = [sum(part.shares[place] or 0.0 for part in segments) for place in range(len(rows))]
    by_cycles = bool(cycles) and all(c is not None or not total for c, total in zip(cycles, totals, strict=True))
    lengths = [(c or 0.0) if by_cycles else t for c, t in zip(cycles or totals, totals, strict=True)]
    before = [_length_before(segments, earlier, place, by_cycles=by_cycles) for place in range(len(rows))]
    heights, top = row_heights(rows, names), sheet.height
    scale = Scale(low=0.0, high=_longest(rows, lengths), start=6 + names, end=width - 70)
    bottom = top + sum(heights)
    draw_ticks(sheet, scale, top, bottom)
    name_rows(sheet, rows, top, heights)
    y = top
    for place, (row, height) in enumerate(zip(rows, heights, strict=True)):
        if totals[place]:
            bar = _StateBar(row.name, place, y + 3, y + height - 3, lengths[place], by_cycles)
            _draw_bars(sheet, scale, bar, segments, before[place])
        else:
            _draw_gap(sheet, (scale.start + 2, y, scale.end - scale.start), height, "not measured")
        y += height
    what = "cycles of a warp for each instruction" if by_cycles else "share of resident warp time [%]"
    what += f"; thin bars: in {earlier.base}" if earlier is not None and any(before) else ""
    sheet.height = bottom + SMALL + 8
    _below_states(sheet, scale.start, what, segments)
    return sheet


def _below_states(sheet: Sheet, left: float, what: str, segments: Sequence[_Segment]) -> None:
    """What the bars are of, and the states' colours."""
    sheet.height += sheet.paragraph((left, sheet.height, sheet.width - left - 6), what, Style(size=SMALL)) + SMALL
    _state_legend(sheet, [(part.name, part.colour) for part in segments])


def _length_before(
    segments: Sequence[_Segment], earlier: EarlierStates | None, place: int, *, by_cycles: bool
) -> float:
    """How long a variant's bar was in the run before: cycles, or per cent; 0 where that is not known."""
    total = sum(part.before[place] or 0.0 for part in segments if part.before)
    if earlier is None or not total:
        return 0.0
    return (earlier.cycles[place] or 0.0) if by_cycles else total


class _StateBar(FrozenStruct, frozen=True):
    """A bar of warp states."""

    name: str
    place: int
    top: float
    bottom: float
    length: float
    """Cycles, or per cent."""
    by_cycles: bool


def _longest(rows: Sequence[FigureRow], lengths: Sequence[float]) -> float:
    """The end of an axis of bars: neither a slow baseline nor a roof, which waits by design, stretches it."""
    shown = max(
        (length for row, length in zip(rows, lengths, strict=True) if row.role in ("candidate", "unknown")), default=0.0
    )
    others = [length for length in lengths if not shown or length < _MUCH_MORE * shown]
    return 1.02 * max([shown, *others]) or 100.0


def _draw_bars(sheet: Sheet, scale: Scale, bar: _StateBar, segments: Sequence[_Segment], before: float) -> None:
    """The bar of a variant, and below it a thin one for the run before, which was so long; 0: there is none."""
    _draw_states(sheet, scale, replace(bar, bottom=bar.bottom - 6) if before else bar, segments)
    if before:
        _draw_states_before(sheet, scale, replace(bar, top=bar.bottom - 4, length=before), segments)


def _draw_states_before(sheet: Sheet, scale: Scale, bar: _StateBar, segments: Sequence[_Segment]) -> None:
    """The states of one variant in the run before, as far as the axis reaches."""
    start = 0.0
    for part in segments:
        share = (part.before[bar.place] if part.before else None) or 0.0
        length = share / 100 * bar.length if bar.by_cycles else share
        left, right = scale.at(start), scale.at(start + length)
        start += length
        if right - left >= 0.3:
            box = Box(left, bar.top, right, bar.bottom)
            sheet.bar(box, part.colour, hover=f"{bar.name}: {part.name} {share:.6g} % before")


def _draw_states(sheet: Sheet, scale: Scale, bar: _StateBar, segments: Sequence[_Segment]) -> None:
    """The states of one variant, as far as the axis reaches, and the length of the whole bar behind it."""
    start, end = 0.0, 0.0
    for part in segments:
        name, colour, about = part.name, part.colour, part.about
        share = part.shares[bar.place] or 0.0
        length = share / 100 * bar.length if bar.by_cycles else share
        left, right = scale.at(start), scale.at(start + length)
        start += length
        end = max(end, right)
        said = f"{rounded(length, 6)} cycles, {share:.3g} %" if bar.by_cycles else f"{share:.6g} %"
        hover = f"{bar.name}: {name} {said}. {fitting(about, LONGEST_HOVER)}"
        if right - left < 0.3:
            continue
        sheet.bar(Box(left, bar.top, right, bar.bottom), colour, hover=hover, stroke=PAPER)
        words = _cycle_text(length) if bar.by_cycles else f"{share:.0f}"
        if right - left >= text_width(words, SMALL) + 4:
            style = Style(size=SMALL, colour=_on(colour), anchor="middle")
            middle = (bar.top + bar.bottom) / 2 + 0.36 * SMALL
            sheet.write((left + right) / 2, middle, words, style, hover)
    if bar.by_cycles:
        words, beyond = _cycle_text(bar.length), "" if scale.holds(bar.length) else "» "
        hover = f"{bar.name}: {rounded(bar.length, 6)} cycles for each instruction"
        sheet.write(end + 4, (bar.top + bar.bottom) / 2 + 0.36 * SMALL, beyond + words, Style(size=SMALL), hover)


def _cycle_text(cycles: float) -> str:
    return rounded(cycles, zeros=cycles > 0)


def _state_legend(sheet: Sheet, entries: Sequence[tuple[str, str]]) -> None:
    """Colours and names, in as many lines as they take."""
    x, style = 6.0, Style(size=SMALL)
    for name, colour in entries:
        for line in (lines := wrapped(name, sheet.width - 30, style)):
            needed = text_width(line, SMALL) + 16
            if x > 6 and x + needed > sheet.width - 6:
                x, sheet.height = 6.0, sheet.height + 1.4 * SMALL
            if line is lines[0]:
                sheet.bar(Box(x, sheet.height + 2, x + 10, sheet.height + 12), colour)
            sheet.write(x + 14, sheet.height + SMALL, line, style)
            x += needed + 12
    sheet.height += 1.4 * SMALL + 6


def _segments(shares: Sequence[Share]) -> list[_Segment]:
    """What is drawn, in the catalogue's order; small states together at the end."""
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
            segments.append(_Segment(share.state, colour, share.shares, share.about, share.before))
    if small:
        names = ", ".join(share.state for share in small)
        now, before = _sums([share.shares for share in small]), _sums([share.before for share in small])
        segments.append(_Segment(f"{len(small)} states under {SMALL_SHARE:g} %", "#eceff2", now, names, before))
    return segments


def _sums(lists: Sequence[list[float | None]]) -> list[float | None]:
    """The sums over some lists, place by place."""
    return [sum(value or 0.0 for value in values) for values in zip(*lists, strict=True)]


def _largest(share: Share) -> float:
    return max((value for value in share.shares if value is not None), default=0.0)


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
    more: list[str] = []
    """What one more block on a multiprocessor would take, each with one number."""
    before: float | None = None
    """What was achieved in an earlier run, where there is one to compare with."""


def occupancy_figure(
    title: str, rows: Sequence[FigureRow], found: Sequence[Occupancy], base: str = "", width: float = WIDE
) -> Sheet:
    """A bar for what was achieved, a tick for what was possible, and in words what limits it, and what more takes.

    A thin bar is what was achieved in the earlier run that ``base`` names.
    """
    sheet = Sheet(title, width)
    names = names_width(rows, width)
    start = 6 + names
    scale = Scale(low=0.0, high=100.0, start=start, end=start + (width - start) * (0.5 if sheet.is_narrow else 0.45))
    beside = (scale.end + 8, width - scale.end - 14)
    style = Style(size=SMALL)
    words = [[*wrapped(each.limiter, beside[1], style)] for each in found]
    words = [
        lines + [w for m in each.more for w in wrapped(m, beside[1], style)]
        for lines, each in zip(words, found, strict=True)
    ]
    heights = [max(h, 8 + style.line * len(w)) for h, w in zip(row_heights(rows, names), words, strict=True)]
    top, bottom = sheet.height, sheet.height + sum(heights)
    draw_ticks(sheet, scale, top, bottom)
    name_rows(sheet, rows, top, heights)
    y = top
    for row, occupancy, height in zip(rows, found, heights, strict=True):
        _draw_occupancy(sheet, scale, (y, height), row, occupancy)
        line = y + 4
        for said in [occupancy.limiter, *occupancy.more]:
            colour = INK if said == occupancy.limiter else MUTED
            line += sheet.paragraph(
                (beside[0], line, beside[1]), said, Style(size=SMALL, colour=colour), f"{said}: {row.name}"
            )
        y += height
    sheet.height = bottom + SMALL + 10
    what = "occupancy [%]: the bar is what was achieved, the mark what its resources allow"
    what += f"; thin bar: in {base}" if any(each.before is not None for each in found) else ""
    sheet.height += sheet.paragraph((start, sheet.height, width - start - 6), what, style) + 6
    return sheet


def _draw_occupancy(
    sheet: Sheet, scale: Scale, place: tuple[float, float], row: FigureRow, occupancy: Occupancy
) -> None:
    top, height = place
    if occupancy.achieved is None or occupancy.possible is None:
        _draw_gap(sheet, (scale.start + 2, top, scale.end - scale.start), height, "not measured")
        return
    y, achieved = top + height / 2, occupancy.achieved
    hover = f"{row.name}: {rounded(achieved, 6)} % achieved of {occupancy.possible:.4g} % possible"
    sheet.bar(Box(scale.start, y - 7, scale.at(achieved), y + 7), INKS[row.role], alpha=0.55, hover=hover)
    if occupancy.before is not None:
        said = f"{row.name}: {rounded(occupancy.before, 6)} % achieved before"
        sheet.bar(Box(scale.start, y + 8, scale.at(occupancy.before), y + 11), INKS[row.role], hover=said)
    tick = scale.at(occupancy.possible)
    sheet.line([(tick, y - 10), (tick, y + 10)], INK, 2.2)
    words = f"{achieved:.0f}"
    inside = scale.at(achieved) - scale.start > text_width(words, SMALL) + 8
    style = Style(size=SMALL, anchor="end" if inside else "start")
    sheet.write(scale.at(achieved) + (-4 if inside else 6), y + 0.36 * SMALL, words, style, hover)


class TradePoint(FrozenStruct, frozen=True):
    """A configuration in the trade between speed and waiting."""

    name: str
    role: Role
    stall: float
    speed: float
    before: tuple[float, float] | None = None
    """Both in an earlier run, where there is one to compare with."""
    row: str = ""
    """The case's, in the table of cases."""


LONGEST_TITLE = 102
"""Characters of a title that holds in a line or two; a longer one is told in fewer sentences."""

MOST_NAMES = 16
"""Most labelled points of a scatter; the others show their name on hover."""


def trade_figure(
    title: str, points: Sequence[TradePoint], axes: tuple[str, str], base: str = "", width: float = WIDE
) -> Sheet:
    """Speed (higher is better) against stall share (lower is better), with the points that no other beats in both.

    A line leads to a point from where it was in the earlier run that ``base`` names.
    """
    sheet = Sheet(title, width)
    panel = scatter_panel(sheet, axes)
    earlier = [p.before for p in points if p.before is not None]
    across, up = scatter_scales(
        panel, [p.stall for p in points] + [x for x, _ in earlier], [p.speed for p in points] + [y for _, y in earlier]
    )
    draw_ticks(sheet, across, panel.top, panel.bottom)
    draw_side_ticks(sheet, up, panel)
    best = front(points)
    steps = [(across.at(p.stall), up.at(p.speed)) for p in best]
    corners = [(b[0], a[1]) for a, b in pairwise(steps)]
    sheet.line([each for pair in zip(steps, [*corners, steps[-1]], strict=True) for each in pair], BOUND, 1.4)
    taken, labelled = [], points if len(points) <= MOST_NAMES else best[:MOST_NAMES]
    places = []
    for point in points:
        x, y = across.at(point.stall), up.at(point.speed)
        hover = f"{point.name}: {axes[0]} {point.stall:.4g}, {axes[1]} {rounded(point.speed, 4)}"
        alpha = 0.95 if point in best else 0.35
        _draw_way(sheet, (across, up), (x, y), point)
        taken.append(sheet.dot(x, y, 4.5, fill=INKS[point.role], alpha=alpha, hover=hover, row=point.row).box)
        places += [Point(x, y, point.name, hover=hover)] * (point in labelled)
    unnamed = label_points(sheet, panel, places, taken)
    below_scatter(sheet, panel, axes[0] + (f"; lines come from where it was in {base}" if earlier else ""), unnamed)
    return sheet


def _draw_way(sheet: Sheet, scales: tuple[Scale, Scale], place: tuple[float, float], point: TradePoint) -> None:
    """A thin line to a point from where it was before."""
    if point.before is not None:
        start = (scales[0].at(point.before[0]), scales[1].at(point.before[1]))
        hover = f"{point.name}: {point.before[0]:.4g}, {rounded(point.before[1], 4)} before"
        sheet.line([start, place], INKS[point.role], 1.0, alpha=0.5)
        sheet.dot(*start, 2.5, fill=INKS[point.role], alpha=0.5, hover=hover)


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
    before: tuple[float, float] | None = None
    """Bytes and operations per second in an earlier run, where there is one to compare with."""


def roofline_figure(
    title: str,
    works: Sequence[Work],
    ceilings: Sequence[RooflineCeiling],
    counted: str,
    base: str = "",
    width: float = WIDE,
) -> Sheet:
    """Operations per second over operations per byte, both logarithmic, under the ceilings.

    Args:
        title: the figure's.
        works: a dot for each; hollow where its operations are by need.
        ceilings: at least one of bytes and one of operations.
        counted: the operations in words, such as ``FP32 operations``.
        base: the earlier run that small dots are of.
        width: the figure's, in pixels.
    """
    sheet = Sheet(title, width)
    panel = scatter_panel(sheet, ("", f"{counted} per second [TFLOP/s]"))
    across, up = _roofline_scales(panel, works, ceilings)
    draw_ticks(sheet, across, panel.top, panel.bottom)
    draw_side_ticks(sheet, replace(up, low=up.low / TERA, high=up.high / TERA), panel)
    taken: list[Box] = []
    keys = [_draw_ceiling(sheet, (across, up), ceiling, ceilings) for ceiling in ceilings]
    places = [_draw_work(sheet, (across, up), work, taken) for work in works]
    unnamed = label_points(sheet, panel, places, taken)
    axis = f"{counted} for each byte of traffic [FLOP/byte]"
    axis += f"; small dots: in {base}" if any(work.before is not None for work in works) else ""
    below_scatter(sheet, panel, axis, unnamed)
    _line_legend(sheet, keys)
    return sheet


def _intensity(work: Work) -> float:
    return work.flops_per_second / work.bytes_per_second


def _roofline_scales(panel: Box, works: Sequence[Work], ceilings: Sequence[RooflineCeiling]) -> tuple[Scale, Scale]:
    """Logarithmic axes that hold every dot and ridge."""
    levels = [c.flops_per_second for c in ceilings if c.flops_per_second is not None]
    slopes = [c.bytes_per_second for c in ceilings if c.bytes_per_second is not None]
    pairs = [(work.bytes_per_second, work.flops_per_second) for work in works]
    pairs += [work.before for work in works if work.before is not None]
    done = [flops for _, flops in pairs if flops > 0] or levels
    intensities = [flops / moved for moved, flops in pairs if flops > 0]
    ridges = [level / slope for level in levels for slope in slopes]
    left, right = min(intensities + ridges) / 4, 4 * max(intensities + ridges)
    lowest = min(done + [left * slope for slope in slopes] + levels)
    return (
        Scale(low=left, high=right, start=panel.left, end=panel.right, logarithmic=True),
        Scale(low=lowest / 1.6, high=3.2 * max(done + levels), start=panel.bottom, end=panel.top, logarithmic=True),
    )


def _draw_work(sheet: Sheet, scales: tuple[Scale, Scale], work: Work, taken: list[Box]) -> Point:
    intensity, ink = _intensity(work), INKS[work.role]
    x, y = scales[0].at(intensity or scales[0].low), scales[1].at(work.flops_per_second or scales[1].low)
    how = "needed" if work.by_need else "counted"
    rate = f"{rounded(work.flops_per_second / TERA, 4)} TFLOP/s {how}"
    hover = f"{work.name}: {rate} at {rounded(intensity, 4)} FLOP/byte"
    fill, stroke = (PAPER, ink) if work.by_need else (ink, "")
    if work.before is not None:
        moved, done = work.before
        said = f"{work.name}: {rounded(done / TERA, 4)} TFLOP/s at {rounded(done / moved, 4)} FLOP/byte before"
        start = (scales[0].at(done / moved), scales[1].at(done))
        sheet.line([start, (x, y)], ink, 1.0, alpha=0.5)
        taken.append(sheet.dot(*start, 2.5, fill=ink, alpha=0.5, hover=said).box)
    taken.append(sheet.dot(x, y, 5.0, fill=fill, stroke=stroke, hover=hover).box)
    return Point(x, y, f"{work.name} (by need)" if work.by_need else work.name)


def _draw_ceiling(
    sheet: Sheet, scales: tuple[Scale, Scale], ceiling: RooflineCeiling, all_of: Sequence[RooflineCeiling]
) -> tuple[str, str, tuple[float, ...]]:
    """A level over the whole width, or a slope up to the highest level; returns its entry in the legend."""
    across, up = scales
    highest = max(each.flops_per_second or 0.0 for each in all_of)
    number = [each for each in all_of if bool(each.bytes_per_second) == bool(ceiling.bytes_per_second)].index(ceiling)
    dashes = _CEILING_DASHES[number % len(_CEILING_DASHES)]
    if ceiling.bytes_per_second is None:
        y = up.at(ceiling.flops_per_second or highest)
        sheet.line([(across.start, y), (across.end, y)], BOUND, 1.5, dashes=dashes)
        return ceiling.name, BOUND, dashes
    slope = ceiling.bytes_per_second
    first = max(across.low, up.low / slope)
    ends = [(first, first * slope), (highest / slope, highest)]
    sheet.line([(across.at(x), up.at(y)) for x, y in ends], INK, 1.5, dashes=dashes)
    return ceiling.name, INK, dashes


_CEILING_DASHES: tuple[tuple[float, ...], ...] = ((), (7.0, 3.0), (2.0, 3.0), (10.0, 3.0, 2.0, 3.0), (4.0, 6.0))


def _line_legend(sheet: Sheet, entries: Sequence[tuple[str, str, tuple[float, ...]]]) -> None:
    """The ceilings, a line of text or more for each, the highest first."""
    for name, colour, dashes in entries:
        y = sheet.height + 0.6 * SMALL
        sheet.line([(8, y), (36, y)], colour, 1.5, dashes=dashes)
        sheet.height += sheet.paragraph((42, sheet.height, sheet.width - 50), name, Style(size=SMALL, colour=colour))
    sheet.height += 6


def fitting(text: str, length: int) -> str:
    """A text of at most so many characters: its beginning and its end."""
    return text if len(text) <= length else f"{text[: length - length // 4]}…{text[-(length // 4 - 1) :]}"


class ShareBar(FrozenStruct, frozen=True):
    """A kernel's share of a program's GPU time."""

    name: str
    share: float
    """0 to 1."""
    label: str
    measured: bool
    """Whether it has counters."""


def program_figure(title: str, bars: Sequence[ShareBar], width: float = WIDE) -> Sheet:
    """A bar for each kernel, the longest first, in the ink of candidates where it has counters."""
    sheet = Sheet(title, width)
    rows = [FigureRow(name=bar.name, role="unknown" if bar.measured else "baseline") for bar in bars]
    names, style = names_width(rows, width), Style(size=SMALL)
    scale = Scale(low=0.0, high=max([100 * bar.share for bar in bars] + [1.0]), start=6 + names, end=0.62 * width)
    room = width - scale.end - 12
    words = [wrapped(bar.label, room, style) for bar in bars]
    heights = [max(h, 6 + style.line * len(w)) for h, w in zip(row_heights(rows, names), words, strict=True)]
    top, bottom = sheet.height, sheet.height + sum(heights)
    draw_ticks(sheet, scale, top, bottom)
    name_rows(sheet, rows, top, heights)
    for bar, row, height in zip(bars, rows, heights, strict=True):
        middle, hover = top + height / 2, f"{bar.name}: {bar.label}"
        box = Box(scale.start, middle - 7, scale.at(100 * bar.share), middle + 7)
        sheet.bar(box, INKS[row.role], hover=hover)
        first = middle - style.line * len(wrapped(bar.label, room, style)) / 2
        sheet.paragraph((scale.end + 6, first, room), bar.label, style, hover)
        top += height
    what = "share of the program's GPU time [%]"
    sheet.height = bottom + SMALL + 8
    sheet.height += sheet.paragraph((scale.start, sheet.height, width - scale.start - 6), what, style) + 6
    return sheet
