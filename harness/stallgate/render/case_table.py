"""The table of a workload's cases, best first: small bars, the stages' metrics, and the verdict of each."""

from __future__ import annotations

from stallgate.formatting import verdict_mark, with_unit
from stallgate.model import Case, CaseResult, FrozenStruct, Metric, Role, Status, Verdict
from stallgate.project.catalogue import ROOF_FRACTION
from stallgate.render.columns import CaseColumn, case_columns
from stallgate.render.figures import front
from stallgate.render.next_step import judged_cases
from stallgate.render.pictures import trade_points
from stallgate.render.results_line import standing
from stallgate.render.sheet import text_width
from stallgate.render.tables import unit_in_heading
from stallgate.render.view import View
from stallgate.runs.naming import facts_of

_WORST: tuple[Status, ...] = ("fail", "not_measured", "undecided", "waived", "excused", "pass")


class CaseCell(FrozenStruct, frozen=True):
    """A metric of a case."""

    text: str
    value: float | None
    metric: str
    bar: float = 0.0
    """Length of the bar below it in per cent; 0 for none."""


class RankedCase(FrozenStruct, frozen=True):
    """A row of the table."""

    rank: int
    name: str
    below: str
    case: str
    role: Role
    cells: list[CaseCell]
    verdict: str
    status: str


class CaseTable(FrozenStruct, frozen=True):
    """The cases of a workload, best first."""

    caption: str
    headings: list[tuple[str, str]]
    """Title and short name of each metric."""
    rows: list[RankedCase]
    judged: bool
    """Whether any has a verdict."""


def case_table(view: View) -> CaseTable:
    """The cases of a workload: the shortest time first; of imported ones, those with most time."""
    every = _columns(view)
    columns = _fitting(view, every)
    verdicts = judged_cases(view)
    best = _on_front(view)
    rows = [
        RankedCase(
            rank=place + 1,
            name=view.name(case.case),
            below=facts_of(case.identity)
            if case.identity is not None
            else f"{standing(case)}{best.get(case.case, '')}",
            case=case.case.name,
            role=case.role,
            cells=[_cell(view, case, column) for column in columns],
            verdict=verdict_mark(worst) if (worst := _worst(verdicts.get(case.case, []))) is not None else "",
            status=worst.status if worst is not None else "",
        )
        for place, case in enumerate(_ordered(view))
    ]
    which = "Most time first; bars are shares of all time" if view.is_imported else _CAPTION
    left = len(every) - len(columns)
    return CaseTable(
        caption=f"{which}. {left} more of the stages' metrics are in the table of every metric" if left else which,
        headings=[(_heading(column.metric), column.metric.name) for column in columns],
        rows=rows,
        judged=bool(verdicts),
    )


_CAPTION = "Shortest time first; the bar below a time is its fraction of the roof's speed, others are per cent"


def _on_front(view: View) -> dict[Case, str]:
    """A remark for each case that no other beats in speed and in waiting."""
    rows = {point.row for point in front(trade_points(view)[0])}
    return {case.case: ", on the front" for case in view.cases if case.case.name in rows}


def _heading(metric: Metric) -> str:
    return f"{metric.title} [{metric.unit}]" if unit_in_heading(metric) else metric.title


def _columns(view: View) -> list[CaseColumn]:
    return case_columns(view.project.catalogue, view.stage_metrics(), imported=view.is_imported)


_ROOM = 660.0
"""Pixels for metrics beside rank, name and verdict in a window of 1280."""

_HEADING, _CELL, _PADDING, _ARROW = 13.0, 15.0, 15.0, 18.0
"""Heights of the texts, in pixels; what lies between two columns, and the sign of a heading that sorts."""


def _fitting(view: View, columns: list[CaseColumn]) -> list[CaseColumn]:
    """The columns, from the left, that fit beside each other: no table is wider than the page."""
    used, kept = 0.0, list[CaseColumn]()
    for column in columns:
        words = _heading(column.metric).split()
        heads = [text_width(word, _HEADING, bold=True) for word in words[:-1]]
        heads.append(text_width(words[-1], _HEADING, bold=True) + _ARROW)
        cells = [text_width(_cell(view, case, column).text, _CELL) for case in view.cases]
        used += max([*heads, *cells]) + _PADDING
        if used > _ROOM and kept:
            break
        kept.append(column)
    return kept


def _worst(verdicts: list[Verdict]) -> Verdict | None:
    return min(verdicts, key=lambda verdict: _WORST.index(verdict.status), default=None)


def _ordered(view: View) -> list[CaseResult]:
    if view.is_imported:
        return sorted(view.cases, key=lambda case: -(view.total_time(case) or 0.0))
    return sorted(view.cases, key=lambda case: view.median(case, "duration") or float("inf"))


def _cell(view: View, case: CaseResult, column: CaseColumn) -> CaseCell:
    median = view.median(case, column.metric.name)
    bar = _bar(view, case) if column.metric.name == "duration" else _share_bar(column.metric, median)
    text = with_unit(median, column.metric.unit) if median is not None else "–"
    return CaseCell(text=text, value=median, metric=column.metric.name, bar=bar)


def _share_bar(metric: Metric, median: float | None) -> float:
    """A percentage, and a fraction of the roof, as they are; nothing for what has no whole."""
    if median is None or (metric.unit != "%" and metric.name != ROOF_FRACTION):
        return 0.0
    return round(min(100.0, median if metric.unit == "%" else 100 * median), 1)


def _bar(view: View, case: CaseResult) -> float:
    """The fraction of the roof, or of the shortest time where there is no roof; of imported cases their share."""
    if view.is_imported:
        return round(100 * (view.total_time(case) or 0.0) / view.all_time, 1) if view.all_time else 0.0
    fraction, time = view.median(case, ROOF_FRACTION), view.median(case, "duration")
    if fraction is None and time:
        fraction = view.shortest / time
    return round(100 * min(fraction or 0.0, 1.0), 1)
