"""The picture of a sweep: its front in the plane of time and stall, and how much each tunable matters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

from stallgate.judge.front import FrontPoint, ParetoFront
from stallgate.judge.sensitivity import TunableEffect
from stallgate.model import FrozenStruct
from stallgate.render.figures import FigureRow, name_rows, names_width, row_heights
from stallgate.render.scales import Scale, draw_side_ticks, draw_ticks
from stallgate.render.scatter import below_scatter, scatter_panel, scatter_scales
from stallgate.render.sheet import (
    ACCENT,
    FAINT,
    INK,
    MET,
    NARROW,
    PAPER,
    SMALL,
    WIDE,
    Box,
    Point,
    Shape,
    Sheet,
    Style,
    label_points,
    sheet_png,
    sheet_svg,
    text_width,
    wrapped,
)
from stallgate.render.sweep_words import effect_text, metric_text, microseconds, share_text, value_text

_Kind = Literal["other", "tie", "front", "default", "suggested"]

_BESIDE = 520.0
"""Width of a front on the page, where it stands beside a table."""

_MOST_EFFECTS = 8

_MOST_NAMED = 14
"""Points that are named: the suggested one, the default, and the fastest of the front."""


class SweepMarks(FrozenStruct, frozen=True):
    """Which points are named, and what they are called."""

    suggested: str | None
    default: str = "default"
    labels: dict[str, str] = {}
    """Configuration -> its name in the figure."""

    def name(self, configuration: str) -> str:
        """What a configuration is called."""
        return self.labels.get(configuration, configuration)


def front_svg(title: str, front: ParetoFront, marks: SweepMarks) -> str:
    """The front of a workload for the page: beside a table, and on a phone."""
    lay_out = partial(front_figure, title, front, marks)
    return sheet_svg(lay_out(_BESIDE), "wide") + sheet_svg(lay_out(NARROW), "narrow")


def sweep_png(
    title: str, front: ParetoFront | None, effects: Sequence[TunableEffect], marks: SweepMarks
) -> bytes | None:
    """Front and sensitivity below each other, for the file; None where there is neither."""
    if front is None and not effects:
        return None
    sheet = front_figure(title, front, marks) if front is not None else Sheet(title, WIDE)
    if effects:
        draw_effects(sheet, effects)
    return sheet_png(sheet)


# --- the front --------------------------------------------------------------------------------------------------------

_KIND_WORDS: dict[_Kind, str] = {
    "other": "beaten",
    "tie": "a tie with the front",
    "front": "on the front",
    "default": "the default",
    "suggested": "suggested",
}
"""The kinds of points, the later drawn over the earlier."""


def front_figure(title: str, front: ParetoFront, marks: SweepMarks, width: float = WIDE) -> Sheet:
    """The configurations of a workload by their time and another metric, the line of the front, and names that fit.

    Names cover neither each other nor a named point. One for which there is no room stands below the panel.
    """
    sheet = Sheet(title, width)
    kinds = [(point, _kind(point, marks)) for point in front.points]
    _legend(sheet, [kind for kind in _KIND_WORDS if kind in dict.fromkeys(kind for _, kind in kinds)])
    axis = f"{front.x.title} [µs]: faster to the left"
    unit = f" [{front.y.unit}]" if front.y.unit else ""
    panel = scatter_panel(sheet, (axis, f"{front.y.title}{unit}"))
    across, up = scatter_scales(panel, [p.x.median for p in front.points], [p.y.median for p in front.points])
    draw_ticks(sheet, across, panel.top, panel.bottom)
    draw_side_ticks(sheet, up, panel)
    stairs = _staircase(sheet, [(across.at(p.x.median), up.at(p.y.median)) for p in front.front])
    places = [(p, kind, (across.at(p.x.median), up.at(p.y.median))) for p, kind in kinds]
    boxes: dict[_Kind, list[Box]] = {kind: [] for kind in _KIND_WORDS}
    for point, kind, place in sorted(places, key=lambda each: list(_KIND_WORDS).index(each[1])):
        row = f"{point.configuration}/{front.workload}"
        boxes[kind].append(_mark(sheet, kind, place, _hover(front, point, kind, marks), row))
    below_scatter(sheet, panel, axis, _name_points(sheet, panel, _named(places, marks), boxes, stairs))
    return sheet


def _kind(point: FrontPoint, marks: SweepMarks) -> _Kind:
    if point.configuration == marks.suggested:
        return "suggested"
    if point.configuration == marks.default:
        return "default"
    return "front" if point.on_front else "tie" if point.ties_with else "other"


def _hover(front: ParetoFront, point: FrontPoint, kind: _Kind, marks: SweepMarks) -> str:
    stall = f"{front.y.title} {metric_text(point.y.median, front.y.unit)}"
    return f"{marks.name(point.configuration)}: {microseconds(point.x.median)}, {stall}; {_KIND_WORDS[kind]}"


_Place = tuple[FrontPoint, _Kind, tuple[float, float]]


def _named(places: Sequence[_Place], marks: SweepMarks) -> tuple[list[Point], list[Point]]:
    """The suggested one and the default, and the fastest of the others on the front, each with its name."""
    of_kind = {kind: [each for each in places if each[1] == kind] for kind in _KIND_WORDS}
    first = [Point(*place, "suggested") for _, _, place in of_kind["suggested"]]
    first += [Point(*place, marks.name(point.configuration)) for point, _, place in of_kind["default"]]
    others = [Point(*place, marks.name(point.configuration)) for point, _, place in of_kind["front"]]
    return first, others[: _MOST_NAMED - len(first)]


def _name_points(
    sheet: Sheet,
    panel: Box,
    named: tuple[list[Point], list[Point]],
    boxes: dict[_Kind, list[Box]],
    stairs: list[Box],
) -> list[str]:
    """Writes names beside points: those of the suggested one and of the default even over others' signs.

    Returns the names that there was no room for.
    """
    first, others = named
    faint, taken = [*boxes["other"], *boxes["tie"], *stairs], [*boxes["suggested"], *boxes["default"]]
    unnamed = label_points(sheet, panel, first, taken, [*faint, *boxes["front"]])
    taken += boxes["front"]
    return unnamed + label_points(sheet, panel, others, taken, faint)


def _staircase(sheet: Sheet, corners: Sequence[tuple[float, float]]) -> list[Box]:
    """The line of the front: what lies beyond it no configuration reached. Returns what its pieces cover."""
    line = list(corners[:1])
    for x, y in corners[1:]:
        line += [(x, line[-1][1]), (x, y)]
    if len(line) > 1:
        sheet.line(line, ACCENT, 1.3, alpha=0.5)
    ends = [(min(a, c), min(b, d), max(a, c), max(b, d)) for (a, b), (c, d) in pairwise(line)]
    return [Box(left - 1, top - 1, right + 1, bottom + 1) for left, top, right, bottom in ends]


def _mark(sheet: Sheet, kind: _Kind, place: tuple[float, float], hover: str = "", row: str = "") -> Box:
    """The sign of a point; returns what it covers."""
    x, y = place
    if kind == "other":
        return sheet.dot(x, y, 2.5, fill=FAINT, alpha=0.5, hover=hover, row=row).box
    if kind == "tie":
        return sheet.dot(x, y, 3.5, fill=PAPER, stroke=ACCENT, hover=hover, row=row).box
    if kind == "front":
        return sheet.dot(x, y, 4.0, fill=ACCENT, hover=hover, row=row).box
    if kind == "default":
        box = Box(x - 4, y - 4, x + 4, y + 4)
        sheet.bar(box, INK, hover=hover, row=row)
        return box
    points = [(x, y - 6), (x + 6, y), (x, y + 6), (x - 6, y)]
    sheet.marks.append(Shape(points, fill=MET, hover=hover, row=row, group=sheet.group))
    return Box(x - 6, y - 6, x + 6, y + 6)


def _legend(sheet: Sheet, kinds: Sequence[_Kind]) -> None:
    """Signs and words, in as many lines as they take."""
    x = 6.0
    for kind in kinds:
        words = _KIND_WORDS[kind]
        needed = text_width(words, SMALL) + 18
        if x > 6 and x + needed > sheet.width - 6:
            x, sheet.height = 6.0, sheet.height + 1.5 * SMALL
        _mark(sheet, kind, (x + 6, sheet.height + 0.6 * SMALL))
        sheet.write(x + 16, sheet.height + SMALL, words, Style(size=SMALL))
        x += needed + 12
    sheet.height += 1.5 * SMALL + 8


# --- sensitivity ------------------------------------------------------------------------------------------------------


def draw_effects(sheet: Sheet, effects: Sequence[TunableEffect]) -> None:
    """A bar for each of the tunables that matter most: its share of the spread of the times."""
    shown = effects[:_MOST_EFFECTS]
    rows, style = [FigureRow(name=effect.tunable, role="candidate") for effect in shown], Style(size=SMALL)
    names = names_width(rows, sheet.width)
    scale = Scale(low=0.0, high=100.0, start=6 + names, end=0.6 * sheet.width)
    room = sheet.width - scale.end - 16
    said = [wrapped(_effect_words(effect), room, style) for effect in shown]
    heights = [max(h, 6 + style.line * len(w)) for h, w in zip(row_heights(rows, names), said, strict=True)]
    top, bottom = sheet.height, sheet.height + sum(heights)
    draw_ticks(sheet, scale, top, bottom)
    name_rows(sheet, rows, top, heights)
    for effect, words, height in zip(shown, said, heights, strict=True):
        middle = top + height / 2
        sheet.bar(Box(scale.start, middle - 6, scale.at(100 * effect.share), middle + 6), ACCENT, alpha=0.65)
        sheet.paragraph((scale.end + 10, middle - style.line * len(words) / 2, room), words, style)
        top += height
    what = "what a tunable explains of the spread of log(time) [%]"
    sheet.height = bottom + SMALL + 10
    sheet.height += sheet.paragraph((6, sheet.height, sheet.width - 12), what, style) + 6


def _effect_words(effect: TunableEffect) -> str:
    return f"{share_text(effect.share)}; best {value_text(effect.best)}, worst {effect_text(effect.reach)}"
