"""The memory chart: bytes between multiprocessors, L1, L2 and DRAM, hit rates, and the busiest link."""

from __future__ import annotations

from collections.abc import Sequence

from stallgate.formatting import rounded, scaled
from stallgate.model import CaseResult, FrozenStruct, Role
from stallgate.project.staleness import measured_workload
from stallgate.render.figures import INKS
from stallgate.render.scales import fitting_unit
from stallgate.render.sheet import (
    ACCENT,
    BOUND,
    FAINT,
    INK,
    MUTED,
    PAPER,
    SMALL,
    WIDE,
    Box,
    Shape,
    Sheet,
    Style,
    text_width,
)
from stallgate.render.view import View


class Link(FrozenStruct, frozen=True):
    """What went over one link, in bytes; None where it is not measured."""

    name: str
    read: float | None
    """Towards the multiprocessors."""
    written: float | None
    busy: float | None
    """The throughput of what is behind it, in per cent of its peak."""
    before: tuple[float | None, float | None, float | None] = (None, None, None)
    """What was read, written and busy in an earlier run; None where there is none to compare with."""


class MemoryPath(FrozenStruct, frozen=True):
    """The way of one variant's bytes."""

    name: str
    role: Role
    links: list[Link]
    """From the multiprocessors to DRAM."""
    hits: list[float | None]
    """Hit rates of L1 and of L2, in per cent."""
    needed: float | None
    """Bytes that the workload needs."""
    traffic: float | None
    """Bytes of DRAM over that."""
    hits_before: tuple[float | None, float | None] = (None, None)
    """Hit rates in an earlier run."""

    @property
    def busiest(self) -> Link | None:
        """The link nearest to its peak."""
        known = [link for link in self.links if link.busy is not None]
        return max(known, key=lambda link: link.busy or 0.0, default=None)


_LINKS = (
    ("SM to L1", "l1_bytes_loaded", "l1_bytes_stored", "l1_throughput"),
    ("L1 to L2", "l2_bytes_read", "l2_bytes_written", "l2_throughput"),
    ("L2 to DRAM", "dram_bytes_read", "dram_bytes_written", "dram_throughput"),
)
"""Each link's name, and the metrics of what is read, of what is written, and of how busy it is."""

_HITS = ("l1_hit_rate", "l2_hit_rate")

MEMORY_METRICS = (*(metric for link in _LINKS for metric in link[1:]), *_HITS)
"""The metrics that are drawn."""

_MOST_PATHS = 2
"""Variants that are drawn: the first candidate, and what it is compared with."""


def memory_paths(view: View) -> list[MemoryPath]:
    """The ways of the bytes of the first candidate and of the roof, or of the first cases; none without DRAM's."""
    order = {"candidate": 0, "unknown": 0, "roof": 1, "baseline": 2}
    cases = sorted(view.drawn, key=lambda case: order[case.role])
    firsts = [next((case for case in cases if order[case.role] == place), None) for place in range(3)]
    chosen = [case for case in firsts if case is not None] if not view.is_imported else cases
    paths = [_path(view, case) for case in chosen[:_MOST_PATHS]]
    return [path for path in paths if path.links[-1].read is not None]


def _path(view: View, case: CaseResult) -> MemoryPath:
    links = [_link(view, case, names) for names in _LINKS]
    hits = [view.found(case, name) for name in _HITS]
    hits_before = (view.earlier(case, _HITS[0]), view.earlier(case, _HITS[1]))
    workload = measured_workload(view.result.run, view.project, case.case)
    needed = workload.bytes if workload is not None else None
    traffic = view.median(case, "traffic")
    return MemoryPath(view.label(case), case.role, links, hits, needed, traffic, hits_before)


def _link(view: View, case: CaseResult, names: tuple[str, str, str, str]) -> Link:
    name, read, written, busy = names
    before = (view.earlier(case, read), view.earlier(case, written), view.earlier(case, busy))
    return Link(name, view.found(case, read), view.found(case, written), view.found(case, busy), before)


def memory_in_words(view: View, path: MemoryPath) -> str:
    """What the chart shows of its first variant."""
    busiest = path.busiest
    if busiest is None:
        return f"The way of {path.name}'s bytes on {view.place}"
    return f"{path.name} on {view.place}: the busiest link is {busiest.name}"


def memory_remark(view: View, paths: Sequence[MemoryPath]) -> str:
    """What is missing in the chart, and how it is measured."""
    if all(link.read is not None for path in paths for link in path.links):
        return ""
    return "?: not measured." if view.is_imported else "?: not measured; `stallgate profile --detail` measures it."


def path_in_words(path: MemoryPath) -> str:
    """A way of bytes as a sentence, for who cannot see it; its numbers are in the table."""
    missing = [link.name for link in path.links if link.read is None]
    lacks = f", without {' and '.join(missing)}" if missing else ""
    return f"{path.name}{lacks}: the table has its bytes."


# --- drawing ----------------------------------------------------------------------------------------------------------

_BOXES = ("SM", "L1", "L2", "DRAM")
_TALL = 48.0
"""Height of a box, in pixels."""


def memory_figure(title: str, paths: Sequence[MemoryPath], remark: str, base: str = "", width: float = WIDE) -> Sheet:
    """A line of boxes for each variant, with its bytes on the arrows between them, and a remark below.

    What was another number in the earlier run that ``base`` names has it in brackets, or below where it does not fit.
    """
    sheet = Sheet(title, width)
    for path in paths:
        _draw_path(sheet, path)
    said = "Above: bytes read, below: written. Under a box: its hit rate, its share of peak. Red: the busiest link."
    others = [_was_other(path) for path in paths]
    if any(others):
        said += f" In brackets: in {base}, where it was another number."
    elif False in others:
        said += f" In {base} the numbers were the same."
    said = f"{said} {remark}".strip()
    sheet.height += sheet.paragraph((6, sheet.height, width - 12), said, Style(size=SMALL, colour=MUTED)) + 6
    return sheet


def _draw_path(sheet: Sheet, path: MemoryPath) -> None:
    style = Style(colour=INKS[path.role], bold=True)
    sheet.height += sheet.paragraph((6, sheet.height, sheet.width - 12), path.name, style) + 16
    top, box = sheet.height, 44.0 if sheet.is_narrow else 92.0
    step = (sheet.width - 12 - box) / 3
    notes: list[str] = []
    for place, name in enumerate(_BOXES):
        left = 6 + place * step
        corner = Box(left, top, left + box, top + _TALL)
        sheet.bar(corner, PAPER, stroke=FAINT)
        sheet.write(left + box / 2, top + _TALL / 2 + 4, name, Style(bold=True, anchor="middle"))
        notes += _write_below(sheet, path, place, corner)
        if place < 3:
            notes += _draw_link(sheet, path, path.links[place], Box(left + box, top, left + step, top + _TALL))
    sheet.height = top + _TALL + 38
    if notes:
        words = f"{path.name} before: {'; '.join(notes)}"
        sheet.height += 4
        sheet.height += sheet.paragraph((6, sheet.height, sheet.width - 12), words, Style(size=SMALL, colour=MUTED))
    _write_needed(sheet, path)


def _was_other(path: MemoryPath) -> bool | None:
    """Whether a number was another in the earlier run, as they are written; None where none is known of it."""
    shares = [*zip(path.hits, path.hits_before, strict=True), *((link.busy, link.before[2]) for link in path.links)]
    sizes = [pair for link in path.links for pair in zip((link.read, link.written), link.before[:2], strict=True)]
    texts = [(_percent(now), _percent(then)) for now, then in shares if now is not None and then is not None]
    texts += [(_bytes(now), _bytes(then)) for now, then in sizes if now is not None and then is not None]
    return any(now != then for now, then in texts) if texts else None


class _BesideBefore(FrozenStruct, frozen=True):
    """A number with what it was before: in brackets, or below the chart where that does not fit."""

    words: str
    hover: str = ""
    """The end of what the number says when it is pointed at."""
    notes: list[str] = []
    """What is written below the chart."""


def _with_before(words: str, before: str, room: float, what: str) -> _BesideBefore:
    hover = f"; {before} before" if before else ""
    if not before or before == words:
        return _BesideBefore(words, hover)
    both = f"{words} ({before})"
    if text_width(both, SMALL, bold=True) <= room:
        return _BesideBefore(both, hover)
    return _BesideBefore(words, hover, [f"{what} {before}"])


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} %"


def _write_below(sheet: Sheet, path: MemoryPath, place: int, box: Box) -> list[str]:
    """How often a cache hit, and how busy what is behind the link is: below the box. Returns what did not fit."""
    middle = min((box.left + box.right) / 2, sheet.width - 34)
    room = min((sheet.width - 12 - (box.right - box.left)) / 3 - 8, 2 * (sheet.width - 4 - middle))
    notes: list[str] = []
    style = Style(size=SMALL, anchor="middle")
    hit = path.hits[place - 1] if place in (1, 2) else None
    if hit is not None:
        name = ("L1 hit rate", "L2 hit rate")[place - 1]
        said = _with_before(_percent(hit), _percent(path.hits_before[place - 1]), room - 24, name)
        hover = f"{path.name}: {hit:.4f} % {name}{said.hover}"
        sheet.write(middle, box.bottom + 18, f"hit {said.words}", style, hover)
        notes += said.notes
    busy = path.links[place - 1].busy if place else None
    if busy is not None:
        is_most = path.busiest is path.links[place - 1]
        mark = Style(size=SMALL, anchor="middle", bold=is_most, colour=BOUND if is_most else MUTED)
        what = ("L1 throughput", "L2 throughput", "DRAM throughput")[place - 1]
        said = _with_before(_percent(busy), _percent(path.links[place - 1].before[2]), room, what)
        sheet.write(middle, box.bottom + 32, said.words, mark, f"{path.name}: {busy:.4f} % {what}{said.hover}")
        notes += said.notes
    return notes


_READ_AS = ("Bytes loaded through L1", "Bytes read from L2", "DRAM bytes read")
_WRITTEN_AS = ("Bytes stored through L1", "Bytes written to L2", "DRAM bytes written")


def _draw_link(sheet: Sheet, path: MemoryPath, link: Link, gap: Box) -> list[str]:
    """Two arrows: what was read comes from the right, what was written goes there. Returns what did not fit."""
    notes: list[str] = []
    colour = BOUND if path.busiest is link else ACCENT
    number = path.links.index(link)
    for value, up, names in ((link.read, True, _READ_AS), (link.written, False, _WRITTEN_AS)):
        y = gap.top + (15 if up else 35)
        ink = colour if value else FAINT
        sheet.line([(gap.left + 8, y), (gap.right - 8, y)], ink, _thickness(path, value))
        tip, back = (gap.left + 2, 8.0) if up else (gap.right - 2, -8.0)
        sheet.marks.append(Shape([(tip, y), (tip + back, y - 5), (tip + back, y + 5)], fill=ink))
        words, hover = _said(path, value, names[number])
        if number == 0 and value == 0 and (path.links[1].read if up else path.links[1].written):
            words, hover = (
                "past L1",
                f"{path.name}: {'loads' if up else 'stores'} pass L1 by: it counted no byte of them",
            )
        before = link.before[0 if up else 1]
        then = _bytes(before) if before is not None and value is not None else ""
        said = _with_before(words, then, gap.right - gap.left - 4, names[number])
        notes += said.notes
        place = ((gap.left + gap.right) / 2, y + (-7 if up else 17))
        sheet.write(*place, said.words, Style(size=SMALL, anchor="middle"), f"{hover}{said.hover}")
    return notes


def _said(path: MemoryPath, value: float | None, metric: str) -> tuple[str, str]:
    """Bytes beside an arrow, and what they are in more digits."""
    if value is None:
        return "?", f"{path.name}: {metric} not measured"
    by, name = _byte_unit(value)
    return _bytes(value), f"{path.name}: {rounded(value / by, 6)} {name} {metric}"


def _bytes(value: float) -> str:
    by, name = _byte_unit(value)
    return f"{rounded(value / by, zeros=value > 0 and by > 1)} {name}"


def _byte_unit(value: float) -> tuple[float, str]:
    by, unit = fitting_unit("byte", value)
    return by, unit if by > 1 else "B"


def _thickness(path: MemoryPath, value: float | None) -> float:
    """Of an arrow, by its share of the most bytes on any link of the path."""
    most = max((each or 0.0 for link in path.links for each in (link.read, link.written)), default=0.0)
    return 1.0 + 4.0 * (value or 0.0) / most if most else 1.0


def _write_needed(sheet: Sheet, path: MemoryPath) -> None:
    """Bytes needed beside bytes moved: what no counter tells."""
    if not path.needed or path.traffic is None:
        return
    style = Style(size=SMALL, colour=INK)
    needed = f"The workload needs {scaled(path.needed, 'byte')}"
    times = f"{path.name}: {rounded(path.traffic, 6)} DRAM traffic over need"
    words = f"DRAM traffic is {rounded(path.traffic)} times that"
    sheet.height += 4
    sheet.height += sheet.paragraph((6, sheet.height, sheet.width - 12), needed, style)
    sheet.height += sheet.paragraph((6, sheet.height, sheet.width - 12), words, style, times) + 10
