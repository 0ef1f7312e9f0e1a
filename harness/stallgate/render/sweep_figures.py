"""The picture of a sweep: its front in the plane of time and stall, and how much each tunable matters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from stallgate.judge.front import FrontPoint, ParetoFront
from stallgate.judge.sensitivity import TunableEffect
from stallgate.model import FrozenStruct
from stallgate.render.figures import FAINT, HOVER, INK, INKS, PAPER, Drawing, blank_figure, fitting, rendered
from stallgate.render.sheet import GRID
from stallgate.render.sweep_words import effect_text, metric_text, microseconds, share_text, value_text

_Kind = Literal["other", "tie", "front", "default", "suggested"]

_BLUE = INKS["candidate"]
_GREEN = "#1a7f37"
_LONGEST_LABEL = 30
"""Characters of a name beside its point."""

_MOST_EFFECTS = 8


class SweepMarks(FrozenStruct, frozen=True):
    """Which points are named, and what they are called."""

    suggested: str | None
    default: str = "default"
    labels: dict[str, str] = {}
    """Configuration -> its name in the figure."""

    def name(self, configuration: str) -> str:
        """What a configuration is called."""
        return self.labels.get(configuration, configuration)


def front_drawing(title: str, front: ParetoFront, marks: SweepMarks) -> Drawing:
    """The front of a workload, for the page."""
    drawing = rendered(front_figure(title, front, marks))
    return Drawing(png=drawing.png, svg=drawing.svg.replace(_GREEN, "var(--good)"))


def front_figure(title: str, front: ParetoFront, marks: SweepMarks) -> Figure:
    """The front of a workload as a figure."""
    figure = blank_figure(title, 6.2, 4.4)
    figure.set_layout_engine(None)
    figure.subplots_adjust(0.11, 0.125, 0.985, 0.84)
    _draw_front(figure, figure.subplots(), front, marks)
    return figure


def sweep_drawing(
    title: str, front: ParetoFront | None, effects: Sequence[TunableEffect], marks: SweepMarks
) -> Drawing | None:
    """Front and sensitivity beside each other, for the file; None where there is neither."""
    panels = (front is not None) + bool(effects)
    if not panels:
        return None
    figure = blank_figure(title, 13.0 if panels == 2 else 7.4, 4.9)
    figure.set_layout_engine(None)
    beside = 0.27 if panels == 2 else 0.1 if front is not None else 0.3
    figure.subplots_adjust(0.06 if panels == 2 else beside, 0.12, 0.985, 0.83, wspace=beside + 0.12)
    axes = figure.subplots(1, panels, squeeze=False, width_ratios=[1.7, 1][:panels])[0]
    if effects:
        _draw_effects(axes[-1], effects[:_MOST_EFFECTS])
    if front is not None:
        _draw_front(figure, axes[0], front, marks)
    return rendered(figure)


# --- the front --------------------------------------------------------------------------------------------------------

_STYLES: dict[_Kind, dict[str, Any]] = {
    "other": {"marker": "o", "color": FAINT, "markersize": 4, "alpha": 0.45, "zorder": 2},
    "tie": {"marker": "o", "color": _BLUE, "markersize": 6, "markerfacecolor": PAPER, "zorder": 3},
    "front": {"marker": "o", "color": _BLUE, "markersize": 6.5, "zorder": 4},
    "default": {"marker": "s", "color": INK, "markersize": 8, "zorder": 5},
    "suggested": {"marker": "D", "color": _GREEN, "markersize": 9, "zorder": 6},
}

_KIND_WORDS: dict[_Kind, str] = {
    "other": "beaten",
    "tie": "a tie with the front",
    "front": "on the front",
    "default": "the default",
    "suggested": "suggested",
}


def _draw_front(figure: Any, axis: Any, front: ParetoFront, marks: SweepMarks) -> None:
    """Points, the staircase of the front, and the names that fit."""
    stairs = front.front
    axis.step([p.x.median for p in stairs], [p.y.median for p in stairs], where="post", color=_BLUE, alpha=0.4, lw=1.2)
    drawn: dict[_Kind, Any] = {}
    for point in front.points:
        kind = _kind(point, marks)
        (dot,) = axis.plot(point.x.median, point.y.median, linestyle="none", **_STYLES[kind])
        dot.set_gid(f"{HOVER}{_hover(front, point, kind, marks)}")
        drawn[kind] = dot
    axis.set_xlabel(f"{front.x.title} [µs]: faster to the left", fontsize=9, color=INK)
    axis.set_ylabel(fitting(f"{front.y.title} [{front.y.unit}]", 48), fontsize=9, color=INK)
    axis.margins(0.08, 0.1)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(FAINT)
    axis.tick_params(color=FAINT, labelsize=8, labelcolor=INK)
    axis.grid(color=GRID, linewidth=0.8, zorder=0)
    axis.set_axisbelow(True)
    order = [kind for kind in _KIND_WORDS if kind in drawn]
    axis.legend(
        [drawn[kind] for kind in order],
        [_KIND_WORDS[kind] for kind in order],
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=len(order),
        fontsize=8.5,
        frameon=False,
        labelcolor=INK,
        handletextpad=0.1,
        columnspacing=1.2,
    )
    _name_points(figure, axis, front, marks)


def _kind(point: FrontPoint, marks: SweepMarks) -> _Kind:
    if point.configuration == marks.suggested:
        return "suggested"
    if point.configuration == marks.default:
        return "default"
    return "front" if point.on_front else "tie" if point.ties_with else "other"


def _hover(front: ParetoFront, point: FrontPoint, kind: _Kind, marks: SweepMarks) -> str:
    stall = f"{front.y.title} {metric_text(point.y.median, front.y.unit)}"
    return f"{marks.name(point.configuration)}: {microseconds(point.x.median)}, {stall}; {_KIND_WORDS[kind]}"


_MOST_NAMED = 14
"""Points that are named: the suggested one, the default, and the fastest of the front."""


def _name_points(figure: Any, axis: Any, front: ParetoFront, marks: SweepMarks) -> None:
    """Names beside points: they never cover each other, nor a point if there is room.

    The suggested one and the default always have theirs. Of the others a name for which there is no room is left out:
    pointing at the dot says it.
    """
    axis.set_xlim(axis.get_xlim())  # where points are is known only once the limits are
    axis.set_ylim(axis.get_ylim())
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    kinds = [(point, _kind(point, marks)) for point in front.points]
    marked = [(point, kind) for kind in ("suggested", "default", "front") for point, k in kinds if k == kind]
    dots = [_around(axis, point, 3) for point in front.points]
    signs = [_around(axis, point, 5) for point, _ in marked]
    within = axis.get_window_extent(renderer)
    names: list[Bbox] = []
    for point, kind in marked[:_MOST_NAMED]:
        label = _label(axis, point, kind, marks)
        rooms = [[*names, *signs, *dots], [*names, *signs], *([names] if kind in ("suggested", "default") else [])]
        box = next((b for room in rooms if (b := _placed_label(figure, label, renderer, within, room))), None)
        if box is None:
            label.remove()
        else:
            names.append(box)


def _label(axis: Any, point: FrontPoint, kind: _Kind, marks: SweepMarks) -> Any:
    """The name of a point, on it."""
    return axis.annotate(
        "suggested" if kind == "suggested" else fitting(marks.name(point.configuration), _LONGEST_LABEL),
        (point.x.median, point.y.median),
        textcoords="offset points",
        xytext=(0, 0),
        fontsize=8.5,
        color=INK,
        va="center",
        fontweight="bold" if kind in ("suggested", "default") else "normal",
        zorder=7,
        bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 0.6},
    )


_OFFSETS = [
    (dx * reach, dy * reach, side)
    for reach in (1, 2, 3.5, 5, 8)
    for dx, dy, side in [
        (9, 0, "left"), (8, 8, "left"), (8, -8, "left"), (0, 13, "center"), (0, -13, "center"),
        (-9, 0, "right"), (-8, 8, "right"), (-8, -8, "right"),
    ]
]  # fmt: skip
"""Places of a name around its point, in points: the nearest first."""

_SIDES = {"left": 0.0, "center": 0.5, "right": 1.0}


def _placed_label(figure: Any, label: Any, renderer: Any, within: Bbox, taken: Sequence[Bbox]) -> Bbox | None:
    """Moves a name to the first place where nothing is; its box there, or None."""
    label.set_position((0, 0))
    label.set_horizontalalignment("left")
    size: Bbox = label.get_window_extent(renderer)
    for dx, dy, side in _OFFSETS:
        right, up = dx * figure.dpi / 72 - _SIDES[side] * size.width, dy * figure.dpi / 72
        box = size.translated(right, up).padded(2)
        inside = box.x0 >= within.x0 and box.x1 <= within.x1 and box.y0 >= within.y0 and box.y1 <= within.y1
        if inside and not any(box.overlaps(other) for other in taken):
            label.set_position((dx, dy))
            label.set_horizontalalignment(side)
            return box
    return None


def _around(axis: Any, point: FrontPoint, radius: float) -> Bbox:
    x, y = axis.transData.transform((point.x.median, point.y.median))
    return Bbox.from_extents(x - radius, y - radius, x + radius, y + radius)


# --- sensitivity ------------------------------------------------------------------------------------------------------


def _draw_effects(axis: Any, effects: Sequence[TunableEffect]) -> None:
    """A bar for each tunable: its share of the spread of the times."""
    shares = [100 * effect.share for effect in effects]
    axis.barh(range(len(effects)), shares, color=_BLUE, alpha=0.65, height=0.55)
    for place, effect in enumerate(effects):
        words = f"{share_text(effect.share)}; best {value_text(effect.best)}, worst {effect_text(effect.reach)}"
        axis.text(1.0, place + 0.42, fitting(words, 48), va="center", fontsize=8, color=INK)
    axis.set_yticks(range(len(effects)), [fitting(effect.tunable, 24) for effect in effects])
    axis.set_ylim(len(effects) - 0.3, -0.6)
    axis.set_xlim(0, 100)
    axis.set_xlabel("share of the spread of log(time) [%]", fontsize=9, color=INK)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color(FAINT)
    axis.tick_params(axis="y", length=0, labelsize=9, labelcolor=INK)
    axis.tick_params(axis="x", color=FAINT, labelsize=8, labelcolor=INK)
