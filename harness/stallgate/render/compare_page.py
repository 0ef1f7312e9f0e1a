"""``compare-<base>.html``: two runs side by side, in one self-contained file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from markupsafe import Markup
from msgspec.structs import replace

from stallgate.compare.since import ChangesSinceLast
from stallgate.compare.two_runs import Pair, RunComparison, times_finding
from stallgate.compare.words import CHANGED_WORDS, WORD_ORDER, Change, Word, word_label
from stallgate.extract.table import Summary
from stallgate.formatting import has_own_unit, rounded, spaced, with_unit
from stallgate.judge.evaluate import JudgedRun
from stallgate.model import FrozenStruct
from stallgate.project.load import Project
from stallgate.project.paths import inside, slug
from stallgate.render.compare_figures import Shift, times_figure
from stallgate.render.figures import FigureRow, fitting
from stallgate.render.imports import about_pair, about_unpaired, reserved, unpaired
from stallgate.render.pictures import Picture, pictures
from stallgate.render.sheet import page_svg
from stallgate.render.template import template
from stallgate.render.view import View
from stallgate.runs.folder import write_whole
from stallgate.runs.naming import place_name

WORD_MARKS: dict[Word, str] = {
    "faster": "✓ faster",
    "slower": "✗ slower",
    "better": "✓ better",
    "worse": "✗ worse",
    "moved": "≠ moved",
    "same": word_label("same"),
    "shown": "",
    "not_comparable": "○ not comparable",
}

COMPARED = "compare-"
"""Prefix of the page's file name; the base's name follows."""

WORD_CLASSES: dict[Word, str] = {
    "faster": "is-pass",
    "better": "is-pass",
    "slower": "is-fail",
    "worse": "is-fail",
    "not_comparable": "is-not_measured",
}
"""Classes of the page's style. What only moved has no colour."""


class SideCell(FrozenStruct, frozen=True):
    """A metric of one run in the table."""

    text: str
    value: float | None
    """The measured value, for sorting and export."""
    title: str
    """Hover text: the spread, or why there is no value."""
    scaled: str = ""
    """The value in a multiple of its unit."""
    spread: str = ""
    """The lowest and the highest sample, in the same unit."""


class ChangeLine(FrozenStruct, frozen=True):
    """A row of the table."""

    case: str
    workload: str
    variant: str
    metric: str
    unit: str
    base: SideCell
    run: SideCell
    change: str
    value: float | None
    """The change in per cent, or in points."""
    mark: str
    style: str
    why: str


class ComparedWorkload(FrozenStruct, frozen=True):
    """One workload of one problem."""

    anchor: str
    title: str
    obstacles: list[str]
    svg: str
    alt: str
    size: float
    """The largest change of a time, or of a target that was crossed; 0 where none changed."""
    pictures: list[Picture]
    """The figures of the later run, with the earlier one beside it."""


_MOST_PICTURED = 6
"""Most workloads with the figures of both runs: those that changed most; the tables have all."""


def views_of_both(project: Project, found: RunComparison, after: JudgedRun) -> list[View]:
    """The workloads of the later run; their figures have the earlier one beside it."""
    places = list(dict.fromkeys((pair.case.problem, pair.case.workload) for pair in found.pairs))
    known = {(case.case.problem, case.case.workload) for case in after.run.cases}
    return [
        View(project, after, *place, ChangesSinceLast(problem=place[0], base=found.base.name, found=found))
        for place in places
        if place in known
    ]


def draw_comparison(found: RunComparison, folder: Path, views: Sequence[View] = ()) -> Path:
    """Writes the page into a folder, the run's; returns its path.

    Args:
        found: the two runs.
        folder: the later run's.
        views: its workloads, for their figures.
    """
    page = inside(folder, f"{COMPARED}{slug(found.base.name)}.html")
    write_whole(page, _html(found, views).encode())
    return page


_MOST_LINES = 20_000
"""Rows of the table of two imported runs with more of which it has only the metrics to look at first."""


def _html(found: RunComparison, views: Sequence[View]) -> str:
    places = list(dict.fromkeys((pair.case.problem, pair.case.workload) for pair in found.pairs))
    told = [(pair, change) for pair in found.pairs for change in pair.changes]
    only = found.imported and len(told) > _MOST_LINES
    if only:
        told = [(pair, change) for pair, change in told if change.metric in found.main]
    sections = [] if found.imported else _with_pictures([_section(found, *place) for place in places], views)
    changed = [change for change in told if change[1].word in CHANGED_WORDS]
    several = len({pair.case.problem for pair in found.pairs}) > 1
    return template("compare.html.j2").render(
        found=found,
        style=_style(found),
        sections=sorted((s for s in sections if s.size), key=lambda section: -section.size),
        quiet=[section for section in sections if not section.size],
        unchanged="" if changed or not found.comparable else unchanged_in_words(found),
        changed=[line_of(*each, with_problem=several) for each in sorted(changed, key=_best_first)],
        imported=_imported(found) if found.imported else None,
        seen=[(view.title, pictures(view)) for view in views[:_MOST_PICTURED]] if found.imported else [],
        reserved=reserved(found),
        marks=WORD_MARKS,
        only=found.main if only else [],
        lines=[line_of(*each, with_problem=several) for each in sorted(told, key=_rank)],
        markup=Markup,
    )


def _style(found: RunComparison) -> str:
    """The class of the page's head, by the word for the candidates; plain where nothing is faster or slower."""
    known = WORD_CLASSES.get(found.word, "").removeprefix("is-")
    known = known if known in ("pass", "fail") else ""
    if found.imported:
        return known or "plain"
    return known if found.comparable else "open"


def _rank(told: tuple[Pair, Change]) -> tuple[int, float]:
    """Sorts by word, the gravest first; of one word the largest change first."""
    _, change = told
    return WORD_ORDER.index(change.word), -abs(change.effect or 0.0)


def _best_first(told: tuple[Pair, Change]) -> tuple[bool, float]:
    """Sorts times and crossed targets from the best to the worst; then what only moved, the largest change first."""
    _, change = told
    size = abs(change.effect or 0.0)
    return change.word == "moved", size if change.word in ("slower", "worse") else -size


def unchanged_in_words(found: RunComparison) -> str:
    """How much was compared where nothing changed."""
    same = [change for pair in found.pairs for change in pair.changes if change.word == "same"]
    cases = [pair for pair in found.pairs if any(change.word == "same" for change in pair.changes)]
    return (
        f"Nothing changed beyond the noise: {len(same):,} metric{'s' * (len(same) != 1)} of "
        f"{len(cases):,} case{'s' * (len(cases) != 1)} compared"
    )


# --- workloads --------------------------------------------------------------------------------------------------------


def _section(found: RunComparison, problem: str, workload: str) -> ComparedWorkload:
    here = [pair for pair in found.pairs if (pair.case.problem, pair.case.workload) == (problem, workload)]
    pairs = sorted(here, key=_fastest_first)
    rows = [FigureRow(name=pair.name, role=pair.role) for pair in pairs]
    shifts = [_shift(pair.duration) for pair in pairs]
    title = f"{problem} · {workload}"
    return ComparedWorkload(
        anchor=f"{problem}-{workload}",
        title=title,
        obstacles=[f"{name}: {sentence}" for name, sentence in _told_here(found, pairs)],
        svg=page_svg(partial(times_figure, times_finding(pairs), rows, shifts)),
        alt=". ".join(f"{row.name}: {shift.said}" for row, shift in zip(rows, shifts, strict=True)),
        size=max(_sizes(pairs), default=0.0),
        pictures=[],
    )


def _with_pictures(sections: list[ComparedWorkload], views: Sequence[View]) -> list[ComparedWorkload]:
    """The workloads with their figures, as far as a page has those."""
    of = {f"{view.problem}-{view.workload}": view for view in views}
    order = sorted((section.anchor for section in sections if section.anchor in of), key=_largest_of(sections))
    drawn = {anchor: pictures(of[anchor]) for anchor in order[:_MOST_PICTURED]}
    return [replace(section, pictures=drawn.get(section.anchor, [])) for section in sections]


def _largest_of(sections: list[ComparedWorkload]) -> Callable[[str], float]:
    """What sorts the anchors of workloads by the size of their changes, the largest first."""
    sizes = {section.anchor: -section.size for section in sections}
    return sizes.__getitem__


def _sizes(pairs: list[Pair]) -> list[float]:
    """The sizes of what changed for the cases of a workload."""
    told = [change for pair in pairs for change in pair.told if change.word in CHANGED_WORDS]
    return [abs(change.effect or 0.0) or 1.0 for change in told]


def _fastest_first(pair: Pair) -> tuple[bool, float]:
    effect = pair.duration.effect
    return effect is None, effect or 0.0


def _told_here(found: RunComparison, pairs: list[Pair]) -> list[tuple[str, str]]:
    """Cases that are not comparable, each with its reason, unless the head already gives it."""
    named = [(pair.name, pair.obstacle) for pair in pairs if pair.obstacle not in found.obstacles]
    return [(name, obstacle.sentence) for name, obstacle in named if obstacle is not None]


def _shift(duration: Change) -> Shift:
    """A change of time as the figure takes it."""
    word = duration.word
    if duration.change is None or duration.band is None:
        return Shift(change=None, low=None, high=None, said=word_label(word), word=word)
    if word == "shown":
        return Shift(change=duration.change, low=None, high=None, said=duration.text, word=word)
    low, high = duration.band
    said = f"{word_label(word)}: {duration.text}"
    return Shift(change=duration.change, low=low, high=high, said=said, word=word)


# --- two imported runs ------------------------------------------------------------------------------------------------

MOST_SHIFTS = 24
"""Most cases in the figure of two imported runs: those that take longest in the base. The table has all."""


class PairedRow(FrozenStruct, frozen=True):
    """A case that both imported runs have."""

    name: str
    facts: list[str]
    line: ChangeLine
    """Of its time."""


class ComparedImports(FrozenStruct, frozen=True):
    """The cases of two imported runs."""

    svg: str
    """Empty where no time is in both."""
    alt: str
    cut: str
    rows: list[PairedRow]
    unpaired: dict[str, list[str]]


def _imported(found: RunComparison) -> ComparedImports:
    pairs = [pair for pair in found.pairs if pair.obstacle is None]
    timed = [pair for pair in pairs if pair.duration.change is not None]
    drawn = sorted(timed, key=lambda pair: -(pair.duration.base.median or 0.0) if pair.duration.base else 0.0)[
        :MOST_SHIFTS
    ]
    rows = [FigureRow(name=fitting(pair.name, _LONGEST_NAME), role=pair.role) for pair in drawn]
    shifts = [_shift(pair.duration) for pair in drawn]
    return ComparedImports(
        svg=page_svg(partial(times_figure, _TITLE, rows, shifts)) if drawn else "",
        alt=". ".join(f"{row.name}: {shift.said}" for row, shift in zip(rows, shifts, strict=True)),
        cut=f"The {len(drawn)} of {len(timed)} that took longest before." if len(drawn) < len(timed) else "",
        rows=[PairedRow(name=p.name, facts=about_pair(found, p), line=line_of(p, p.duration)) for p in pairs],
        unpaired={heading: [about_unpaired(found, p) for p in mine] for heading, mine in unpaired(found).items()},
    )


_TITLE = "Change of the median time"

_LONGEST_NAME = 44
"""Characters of a name in a figure."""


# --- the table --------------------------------------------------------------------------------------------------------


def line_of(pair: Pair, change: Change, *, with_problem: bool = False) -> ChangeLine:
    """A change as a row shows it; ``with_problem`` where variants and workloads of several problems share a table."""
    place = f"{pair.case.problem} · {pair.case.workload}" if with_problem else pair.case.workload
    return ChangeLine(
        case=pair.case.name,
        workload=place if pair.identity is None else place_name(pair.identity),
        variant=pair.name,
        metric=change.metric,
        unit="" if has_own_unit(change.unit) else change.unit,
        base=_cell(change.base, change.unit, imported=pair.identity is not None),
        run=_cell(change.run, change.unit, imported=pair.identity is not None),
        change=change.text,
        value=100 * change.effect if change.effect is not None else None,
        mark=WORD_MARKS[change.word],
        style=WORD_CLASSES.get(change.word, ""),
        why=change.obstacle.sentence if change.obstacle and change.obstacle.code != "conditions_unknown" else "",
    )


def _cell(summary: Summary | None, unit: str, *, imported: bool = False) -> SideCell:
    if summary is None:
        return SideCell(text="–", value=None, title="no numbers")
    if summary.median is None or summary.low is None or summary.high is None:
        return SideCell(text=spaced(summary.state), value=None, title=summary.ncu_name)
    noun = "launch" if imported else "sample"
    plural = f"{noun}{'es' if imported else 's'}" if summary.samples != 1 else noun
    ends = f"{rounded(summary.low, 6)} to {rounded(summary.high, 6)}"
    spread = f"{ends} in {summary.samples} {plural}; {summary.ncu_name}"
    return SideCell(
        text=with_unit(summary.median, unit),
        value=summary.median,
        title=spread,
        scaled=with_unit(summary.median, unit),
        spread=_reach(summary, unit) if summary.samples > 1 else f"one {noun}",
    )


def _reach(summary: Summary, unit: str) -> str:
    assert summary.low is not None
    assert summary.high is not None
    return f"{with_unit(summary.low, unit)} to {with_unit(summary.high, unit)}"
