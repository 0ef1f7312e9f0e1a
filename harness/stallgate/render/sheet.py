"""A figure as marks and texts at measured places. PNG and page are written from the same layout.

Texts are measured with the font that they are drawn in, before they are placed: what is asked for room gets it.
Places are in pixels from the upper left corner.
"""

from __future__ import annotations

import html
import io
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from itertools import groupby
from typing import Literal

import matplotlib as mpl
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgba
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.image import imsave
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

from stallgate.model import FrozenStruct

mpl.rcParams["text.hinting"] = "none"  # a text is as long as its glyphs are, at every size
mpl.rcParams["text.parse_math"] = False  # names are names, dollar signs and all

INK = "#1c2733"
PAPER = "#ffffff"
FAINT = "#8a96a3"
GRID = "#e3e8ee"
GOOD = "#dff3e4"
BOUND = "#b3261e"
MET = "#1a7f37"
ACCENT = "#0b62c4"
MUTED = "#5f6b78"

THEMED = {
    INK: "--ink",
    FAINT: "--faint",
    GRID: "--grid",
    GOOD: "--good-wash",
    BOUND: "--bad",
    MET: "--good",
    ACCENT: "--accent",
    MUTED: "--muted",
    PAPER: "--paper",
}
"""Colours that are another in the dark: the variables of the page's style."""

WIDE, NARROW = 800.0, 350.0
"""Widths of a figure: beside the page, in it and in a merge request; and on a phone."""

TEXT, SMALL, HEADLINE = 12.0, 11.0, 14.0
"""Heights of texts. None is smaller, so that all can be read on a phone."""

_LINE = 1.3
"""Height of a line of text over that of its font."""

_MARGIN = 6.0

Anchor = Literal["start", "middle", "end"]


class Box(FrozenStruct, frozen=True):
    """A rectangle."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Whether they share more than an edge."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def holds(self, other: Box) -> bool:
        """Whether another lies within it."""
        across = self.left <= other.left and other.right <= self.right
        return across and self.top <= other.top and other.bottom <= self.bottom


class Style(FrozenStruct, frozen=True):
    """How a text looks."""

    size: float = TEXT
    colour: str = INK
    bold: bool = False
    italic: bool = False
    anchor: Anchor = "start"

    @property
    def line(self) -> float:
        """Height of a line."""
        return _LINE * self.size


class Written(FrozenStruct, frozen=True):
    """A line of text: its baseline begins, is centred or ends at a place."""

    x: float
    y: float
    words: str
    style: Style
    hover: str = ""
    group: str = ""
    goes_on: bool = False
    """Whether it is a further line of the text before it."""

    @property
    def box(self) -> Box:
        """What the text covers."""
        width = text_width(self.words, self.style.size, bold=self.style.bold)
        left = self.x - {"start": 0.0, "middle": width / 2, "end": width}[self.style.anchor]
        return Box(left, self.y - 0.8 * self.style.size, left + width, self.y + 0.25 * self.style.size)


class Shape(FrozenStruct, frozen=True):
    """A line through points, or what they enclose."""

    points: list[tuple[float, float]]
    fill: str = ""
    stroke: str = ""
    width: float = 1.0
    dashes: tuple[float, ...] = ()
    alpha: float = 1.0
    hover: str = ""
    group: str = ""
    row: str = ""
    """The row of a table that it stands for, by the row's ``data-row``; empty for none."""


class Disc(FrozenStruct, frozen=True):
    """A dot."""

    x: float
    y: float
    radius: float
    fill: str = ""
    stroke: str = ""
    alpha: float = 1.0
    hover: str = ""
    group: str = ""
    row: str = ""
    """As that of a shape."""

    @property
    def box(self) -> Box:
        """What it covers."""
        return Box(self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius)


AXIS = "axis"
"""The group of what is written along an axis."""

METRIC = "metric:"
"""A group whose name begins with this is a panel of the metric that the rest of it names."""


class Sheet:
    """A figure that is being laid out: it grows downwards."""

    def __init__(self, title: str, width: float) -> None:
        self.width = width
        self.marks: list[Written | Shape | Disc] = []
        self.height = _MARGIN
        self.group = ""
        """The group of what is drawn from now on."""
        style = Style(size=HEADLINE, bold=True)
        self.height += self.paragraph((_MARGIN, self.height, width - 2 * _MARGIN), title, style) + 6

    @property
    def texts(self) -> list[Written]:
        """All of its texts."""
        return [mark for mark in self.marks if isinstance(mark, Written)]

    @property
    def is_narrow(self) -> bool:
        """Whether it is for a phone."""
        return self.width < (WIDE + NARROW) / 2

    def write(self, x: float, y: float, words: str, style: Style | None = None, hover: str = "") -> Written:
        """Writes a line of text, its baseline at ``y``."""
        mark = Written(x, y, words, style or Style(), hover, self.group)
        self.marks.append(mark)
        return mark

    def paragraph(
        self, box: tuple[float, float, float], words: str | list[str], style: Style, hover: str = ""
    ) -> float:
        """Writes lines of text in a box, given by its left, its top and its width; returns their height.

        Words that are a list are its lines.
        """
        left, top, width = box
        lines = wrapped(words, width, style) if isinstance(words, str) else words
        x = left + {"start": 0.0, "middle": width / 2, "end": width}[style.anchor]
        for number, line in enumerate(lines):
            y = top + number * style.line + style.size
            self.marks.append(Written(x, y, line, style, hover, self.group, goes_on=number > 0))
        return len(lines) * style.line

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float = 1.0, **more: object) -> None:
        """Draws a line; ``more`` are fields of a shape."""
        self.marks.append(Shape(list(points), stroke=colour, width=width, group=self.group, **more))  # type: ignore[arg-type]

    def bar(self, box: Box, fill: str, **more: object) -> None:
        """Draws a filled rectangle; ``more`` are fields of a shape."""
        corners = [(box.left, box.top), (box.right, box.top), (box.right, box.bottom), (box.left, box.bottom)]
        self.marks.append(Shape(corners, fill=fill, group=self.group, **more))  # type: ignore[arg-type]

    def dot(self, x: float, y: float, radius: float, **more: object) -> Disc:
        """Draws a dot; ``more`` are its other fields."""
        mark = Disc(x, y, radius, group=self.group, **more)  # type: ignore[arg-type]
        self.marks.append(mark)
        return mark


# --- measuring --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=20_000)
def text_width(words: str, size: float, *, bold: bool = False) -> float:
    """Length of a line of text, in pixels."""
    return size * sum(_advance(sign, bold) for sign in words)


@cache
def _advance(sign: str, bold: bool) -> float:
    """Width of a character in a font of height 1; of one that the font lacks, what others' fonts take at most."""
    font = get_font(findfont(FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")))
    if unicodedata.combining(sign) or unicodedata.category(sign) == "Cf":
        return 0.0
    if font.get_char_index(ord(sign)) == 0:
        return 1.25 if unicodedata.east_asian_width(sign) in "WF" else 1.0
    font.set_size(100, 72)
    return float(font.load_char(ord(sign)).linearHoriAdvance) / 6_553_600


def wrapped(text: str, width: float, style: Style) -> list[str]:
    """A text in lines of at most so many pixels: between words, in a long word behind a sign, else anywhere."""
    return list(_wrapped(text, width, style.size, style.bold))


@lru_cache(maxsize=5_000)
def _wrapped(text: str, width: float, size: float, bold: bool) -> tuple[str, ...]:
    lines = [""]
    for word in _BETWEEN_WORDS.split(" ".join(text.split())):
        joined = f"{lines[-1]} {word}".lstrip()
        if text_width(joined, size, bold=bold) <= width:
            lines[-1] = joined
            continue
        pieces = _pieces(word, width, size, bold)
        lines += pieces if lines[-1] else []
        lines = lines if lines[-1] == pieces[-1] and len(lines) > 1 else [*lines[:-1], *pieces]
    return tuple(lines)


_BETWEEN_WORDS = re.compile(r"(?<!\d) | (?!(?:%|[nµm]s|[kMGT]?B(?:/s)?|TFLOP/s)(?!\w))")
"""Where a line may end: not between a number and its unit."""


def _pieces(word: str, width: float, size: float, bold: bool) -> list[str]:
    """A word in pieces that fit into a line each."""
    pieces, rest = [], word
    while rest and text_width(rest, size, bold=bold) > width:
        end = max(1, next((n for n in range(len(rest)) if text_width(rest[: n + 1], size, bold=bold) > width), 1))
        sign = max(rest.rfind(mark, 0, end) for mark in "_-./:,(·")
        end = sign + 1 if sign >= end // 2 else end
        pieces.append(rest[:end])
        rest = rest[end:]
    return [*pieces, rest] if rest else pieces


# --- labels of points -------------------------------------------------------------------------------------------------


class Point(FrozenStruct, frozen=True):
    """A place that wants a label."""

    x: float
    y: float
    label: str
    colour: str = INK
    hover: str = ""


_TOGETHER = 5.0
"""Points that are no farther apart, in pixels, have one label."""

_STEPS = [(dx, dy) for dy in (0, -14, 14, -28, 28, -42, 42, -56, 56, -70, 70) for dx in (10, -10, 26, -26)]
"""Where a label may begin, or end, beside its point: the best place first."""


def label_points(
    sheet: Sheet, panel: Box, points: Sequence[Point], taken: list[Box], faint: Sequence[Box] = ()
) -> list[str]:
    """Labels points within a panel so that no two labels overlap; returns the labels that there was no room for.

    Args:
        sheet: the figure.
        panel: the labels stay within it.
        points: the points; those that coincide share a label.
        taken: what labels must not cover; the labels are added to it.
        faint: what labels cover only where there is no other room.
    """
    style = Style(size=SMALL)
    left_over = []
    for group in _together(points):
        words = ", ".join(dict.fromkeys(point.label for point in group))
        lines = wrapped(words, max(90.0, 0.45 * (panel.right - panel.left)), style)
        place = _free_place(panel, group[0], lines, [*taken, *faint]) or _free_place(panel, group[0], lines, taken)
        if place is None:
            left_over.append(words)
            continue
        taken.append(place[0])
        sheet.bar(place[0], PAPER, alpha=0.75)  # a line below it does not strike it out
        _write_label(sheet, group[0], lines, place)
    return left_over


def _together(points: Sequence[Point]) -> list[list[Point]]:
    """The points in groups that coincide."""
    groups: list[list[Point]] = []
    for point in points:
        near = (g for g in groups if abs(g[0].x - point.x) <= _TOGETHER and abs(g[0].y - point.y) <= _TOGETHER)
        group = next(near, None)
        if group is None:
            groups.append([point])
        else:
            group.append(point)
    return groups


def _free_place(panel: Box, point: Point, lines: list[str], taken: Sequence[Box]) -> tuple[Box, float, float] | None:
    """The box of a label and its offset from its point; None where there is no room."""
    style = Style(size=SMALL)
    width, height = max(text_width(line, SMALL) for line in lines), len(lines) * style.line
    for dx, dy in _STEPS:
        left = point.x + dx if dx > 0 else point.x + dx - width
        top = point.y + dy - height / 2
        box = Box(left - 1, top, left + width + 1, top + height)
        if panel.holds(box) and not any(box.overlaps(other) for other in taken):
            return box, dx, dy
    return None


def _write_label(sheet: Sheet, point: Point, lines: list[str], place: tuple[Box, float, float]) -> None:
    box, dx, dy = place
    style = Style(size=SMALL, colour=point.colour, anchor="start" if dx > 0 else "end")
    if dy or abs(dx) > 10:
        end = box.left if dx > 0 else box.right
        sheet.line([(point.x, point.y), (end, point.y + dy)], FAINT, 0.8)
    place_of_words = (box.left + 1, box.top, box.right - box.left - 2)
    sheet.paragraph(place_of_words, lines, style, point.hover)


# --- writing ----------------------------------------------------------------------------------------------------------


class Drawing(FrozenStruct, frozen=True):
    """A figure, for a file and for a page."""

    lay_out: Callable[[float], Sheet]
    svg: str
    """``<svg>`` elements: one for each width that the page may have."""

    @property
    def png(self) -> bytes:
        """The file; drawn when it is asked for, because that takes longer than all else."""
        return sheet_png(self.lay_out(WIDE))


def drawing(lay_out: Callable[[float], Sheet]) -> Drawing:
    """A figure for a file and for a page, in which it has a layout for wide windows and one for phones."""
    return Drawing(lay_out=lay_out, svg=page_svg(lay_out))


def page_svg(lay_out: Callable[[float], Sheet]) -> str:
    """A figure for a page only: as wide windows have it, and as phones do."""
    return sheet_svg(lay_out(WIDE), "wide") + sheet_svg(lay_out(NARROW), "narrow")


def sheet_svg(sheet: Sheet, kind: str = "") -> str:
    """A figure as an ``<svg>`` element in the page's colours."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {sheet.width:g} {sheet.height:.0f}"'
        f' width="{sheet.width:g}" height="{sheet.height:.0f}"{f" class={chr(34)}{kind}{chr(34)}" * bool(kind)}>',
    ]
    for group, marks in groupby(sheet.marks, lambda mark: mark.group):
        parts.append(_group_start(group))
        parts += [_element(drawn) for drawn in _paragraphs(list(marks))]
        parts.append("</g>")
    return "".join([*parts, "</svg>"])


def _group_start(group: str) -> str:
    if group.startswith(METRIC):
        return f'<g data-metric="{html.escape(group.removeprefix(METRIC))}">'
    return f'<g class="{html.escape(group)}">' if group else "<g>"


def _paragraphs(marks: Sequence[Written | Shape | Disc]) -> list[list[Written | Shape | Disc]]:
    """Marks, each with the further lines of its text."""
    found: list[list[Written | Shape | Disc]] = []
    for mark in marks:
        if isinstance(mark, Written) and mark.goes_on and found:
            found[-1].append(mark)
        else:
            found.append([mark])
    return found


def _element(lines: Sequence[Written | Shape | Disc]) -> str:
    mark = lines[0]
    if isinstance(mark, Written):
        drawn = _text_element([line for line in lines if isinstance(line, Written)])
    elif isinstance(mark, Disc):
        style = _paint(mark.fill, mark.stroke, 1.5, mark.alpha)
        drawn = f'<circle{_pointing(mark)} cx="{mark.x:.1f}" cy="{mark.y:.1f}" r="{mark.radius:g}" style="{style}"/>'
    else:
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in mark.points) + ("Z" if mark.fill else "")
        dashes = f";stroke-dasharray:{' '.join(f'{each:g}' for each in mark.dashes)}" if mark.dashes else ""
        style = f"{_paint(mark.fill, mark.stroke, mark.width, mark.alpha)}{dashes}"
        drawn = f'<path{_pointing(mark)} d="{path}" style="{style}"/>'
    return f"<g><title>{html.escape(mark.hover)}</title>{drawn}</g>" if mark.hover else drawn


def _pointing(mark: Shape | Disc) -> str:
    return f' data-point="{html.escape(mark.row)}"' if mark.row else ""


def _text_element(lines: Sequence[Written]) -> str:
    """A text: its lines are parts of one, so that it is read and found as a whole.

    The length of each line is written beside it: it is the same in any font that stands in for ours.
    """
    style = lines[0].style
    css = f"font-size:{style.size:g}px;fill:{_themed(style.colour)}"
    css += ";font-weight:bold" * style.bold + ";font-style:italic" * style.italic
    css += f";text-anchor:{style.anchor}" if style.anchor != "start" else ""
    if len(lines) == 1:
        return f'<text style="{css}" {_placed(lines[0])}</text>'
    return f'<text style="{css}">{" ".join(f"<tspan {_placed(line)}</tspan>" for line in lines)}</text>'


def _placed(line: Written) -> str:
    """Where a line of text stands, and what it says."""
    length = text_width(line.words, line.style.size, bold=line.style.bold)
    fixed = f' textLength="{length:.1f}" lengthAdjust="spacingAndGlyphs"' if len(line.words) > 1 else ""
    return f'x="{line.x:.1f}" y="{line.y:.1f}"{fixed}>{html.escape(line.words)}'


def _paint(fill: str, stroke: str, width: float, alpha: float) -> str:
    css = f"fill:{_themed(fill) if fill else 'none'}"
    css += f";stroke:{_themed(stroke)};stroke-width:{width:g}" if stroke else ""
    return css + (f";opacity:{alpha:g}" if alpha < 1 else "")


def _themed(colour: str) -> str:
    return f"var({THEMED[colour]})" if colour in THEMED else colour


_SCALE = 2
"""Pixels of a PNG for one of the layout: it is sharp on dense screens."""


def sheet_png(sheet: Sheet) -> bytes:
    """A figure for a file."""
    height = round(sheet.height)
    renderer = RendererAgg(_SCALE * sheet.width, _SCALE * height, 72.0 * _SCALE)  # type: ignore[no-untyped-call]
    place = Affine2D().scale(_SCALE, -_SCALE).translate(0, _SCALE * height)
    paper = [(0.0, 0.0), (sheet.width, 0.0), (sheet.width, sheet.height), (0.0, sheet.height)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name may hold what the font lacks
        for mark in [Shape(paper, fill=PAPER), *sheet.marks]:
            _paint_mark(renderer, mark, place)
    png = io.BytesIO()
    pixels = renderer.buffer_rgba()  # type: ignore[no-untyped-call]
    imsave(png, pixels, format="png", dpi=72 * _SCALE, pil_kwargs={"compress_level": 6})
    return png.getvalue()


def _paint_mark(renderer: RendererAgg, mark: Written | Shape | Disc, place: Affine2D) -> None:
    gc = renderer.new_gc()
    if isinstance(mark, Written):
        gc.set_foreground(mark.style.colour)
        box, font = mark.box, _font(mark.style.size, mark.style.bold, mark.style.italic)
        renderer.draw_text(gc, _SCALE * box.left, _SCALE * mark.y, mark.words, font, 0.0)  # type: ignore[no-untyped-call]
        return
    gc.set_linewidth(_SCALE * (mark.width if isinstance(mark, Shape) else 1.5) if mark.stroke else 0.0)
    gc.set_alpha(mark.alpha)
    if mark.stroke:
        gc.set_foreground(to_rgba(mark.stroke, mark.alpha), isRGBA=True)
    if isinstance(mark, Shape) and mark.dashes:
        gc.set_dashes(0, [_SCALE * dash for dash in mark.dashes])
    renderer.draw_path(gc, _path(mark), place, to_rgba(mark.fill, mark.alpha) if mark.fill else None)  # type: ignore[no-untyped-call]


def _path(mark: Shape | Disc) -> Path:
    if isinstance(mark, Disc):
        circle = Affine2D().scale(mark.radius).translate(mark.x, mark.y)
        return Path.unit_circle().transformed(circle)
    return Path([*mark.points, mark.points[0]] if mark.fill else mark.points, closed=bool(mark.fill))


@cache
def _font(size: float, bold: bool, italic: bool) -> FontProperties:
    return FontProperties(
        family="DejaVu Sans",
        size=size,
        weight="bold" if bold else "normal",
        style="italic" if italic else "normal",
    )


def covered(boxes: Iterable[tuple[str, Box]], frame: Box) -> list[tuple[str, str]]:
    """Pairs of texts that cover each other, and texts that leave the frame; none in a sound layout."""
    named = sorted(boxes, key=lambda each: each[1].top)
    found = [(name, "the frame") for name, box in named if not frame.holds(box)]
    for place, (name, box) in enumerate(named):
        for other, below in named[place + 1 :]:
            if below.top >= box.bottom:
                break
            if box.overlaps(below):
                found.append((name, other))
    return found
