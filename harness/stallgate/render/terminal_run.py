"""A run in the terminal: its origin and a table of cases for each workload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from stallgate.formatting import listed, scaled, spaced
from stallgate.model import Case, CaseResult, Run
from stallgate.project.catalogue import stage_metrics
from stallgate.render.columns import CaseColumn, case_columns, fitting_columns
from stallgate.render.imports import remarks
from stallgate.render.next_command import next_command
from stallgate.render.results_line import WRONG, wrong_on_edge_cases
from stallgate.render.terminal_digest import show_digest
from stallgate.render.terminal_gate import show_conclusion
from stallgate.render.terminal_program import show_program
from stallgate.render.terminal_text import hang, out, show_next, show_origin, styled
from stallgate.runs.naming import case_names, noun_of, place_name

if TYPE_CHECKING:
    from stallgate.extract.table import Summaries
    from stallgate.judge.evaluate import JudgedRun
    from stallgate.judge.verdicts import Judgement
    from stallgate.project.load import Project


_GAP = 2
"""Spaces before a column."""

_MOST_IMPORTED = 40
"""Most rows of a table of imported cases."""

_NAME_WIDTH = 14, 30
"""Least and most characters of the column with the variants' names; a longer name takes several lines."""


def show_run(result: JudgedRun, project: Project) -> None:
    """A run at a glance: the verdict, its origin, every case, what limits the judged ones, and what to run next."""
    if result.run.kind != "imported" or result.judgement.is_asked:
        show_conclusion(result.run, result.judgement, project.catalogue)
    show_origin(result.run)
    out.print()
    if result.run.program is not None:
        show_program(result.run.program)
    show_cases(result.run, result.summaries, project, result.judgement)
    if result.run.kind != "imported":
        show_digest(result, project)
    else:
        show_next(*next_command(result.run, result.judgement, result.argument))


def show_cases(run: Run, summaries: Summaries, project: Project, judged: Judgement) -> None:
    """A table for each workload of a problem: every variant with its outcome, its time and the stages' metrics."""
    names_of = case_names(run)
    places: dict[tuple[str, str], list[CaseResult]] = {}
    for result in run.cases:
        places.setdefault((result.case.problem, result.case.workload), []).append(result)
    for (problem, workload), results in places.items():
        imported = run.kind == "imported"
        metrics = stage_metrics(map(project.stage, judged.stages)) if imported else project.metrics_of([problem])
        columns = case_columns(project.catalogue, metrics, imported=imported)
        identity = results[0].identity
        title = place_name(identity) if identity is not None else f"{problem} · {workload}"
        _cases_table(title, results, names_of, columns, summaries)
        for outcome, reason in dict.fromkeys((r.outcome, r.reason) for r in results if r.outcome != "profiled"):
            told = [r for r in results if (r.outcome, r.reason) == (outcome, reason)]
            names = [r.case.variant if r.identity is None else names_of[r.case] for r in told]
            hang(out, styled("  "), f"{listed(list(dict.fromkeys(names)))}: {spaced(outcome)}: {reason}", 4, "yellow")
        wrong = [names_of[r.case] for r in results if r.outcome == "profiled" and wrong_on_edge_cases(r)]
        if wrong:
            hang(out, styled("  "), f"{listed(wrong)}: {WRONG}", 4, "yellow")
        for remark in remarks(results, summaries, names_of):
            hang(out, styled("  "), remark, 4, "yellow")
        out.print()


def _cases_table(
    title: str,
    results: list[CaseResult],
    names_of: Mapping[Case, str],
    columns: Sequence[CaseColumn],
    summaries: Summaries,
) -> None:
    """The cases of a workload with as many columns as the terminal has room for, and which were left out.

    Of very many imported cases it has those that took longest.
    """
    known, results = len(results), _longest(results, summaries)
    columns = [column.holding(_median(summaries, result, column) for result in results) for column in columns]
    rows = [[column.text(_median(summaries, result, column)) for column in columns] for result in results]
    kinds = {result.identity.kind for result in results if result.identity is not None}
    is_imported = bool(kinds)
    noun = noun_of(kinds) if is_imported else "variant"
    counts_head = "ranges" if kinds == {"range"} else "launches"
    name_width = _name_width(names_of[result.case] for result in results)
    counts = [_launched(result, summaries) for result in results] if is_imported else []
    counted = [len(line) for count in counts for line in [counts_head, *count.splitlines()]]
    counts_width = max(counted, default=-_GAP) + _GAP
    shown = fitting_columns(columns, rows, out.width - name_width - counts_width)
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(noun, overflow="fold", min_width=name_width, max_width=name_width)
    if is_imported:
        table.add_column(counts_head, no_wrap=True)
    for column in columns[:shown]:
        table.add_column(column.wrapped, justify="right", no_wrap=True)
    for number, (result, row) in enumerate(zip(results, rows, strict=True)):
        name = styled(names_of[result.case], style="bold" if result.role == "candidate" else "")
        table.add_row(name, *counts[number : number + 1], *row[:shown])
    out.print(table)
    if len(results) < known:
        others = f"the {len(results)} of {known} that took longest; the page and metrics.csv have all"
        hang(out, styled(""), others, 2, "dim")
    if shown < len(columns):
        hang(out, styled(""), _without_room([column.metric.title for column in columns[shown:]]), 2, "dim")


def _without_room(titles: list[str]) -> str:
    """Which columns were left out, and where they are."""
    them = "them" if len(titles) > 1 else "it"
    return f"no room for {listed(titles)}: a wider terminal, the page and metrics.csv have {them}"


def _name_width(names: Iterable[str]) -> int:
    """Characters of the column with the names."""
    least, most = _NAME_WIDTH
    return min(max(least, *map(len, names)), most)


def _longest(results: list[CaseResult], summaries: Summaries) -> list[CaseResult]:
    """All cases; of many imported ones those whose launches took longest together, in their order."""
    if len(results) <= _MOST_IMPORTED or results[0].identity is None:
        return results
    times = {result.case: _time_together(result, summaries) for result in results}
    kept = sorted(results, key=lambda result: -times[result.case])[:_MOST_IMPORTED]
    return [result for result in results if result in kept]


def _time_together(result: CaseResult, summaries: Summaries) -> float:
    time = summaries.get((result.case, "duration"))
    return time.median * time.samples if time is not None and time.median is not None else 0.0


def _launched(result: CaseResult, summaries: Summaries) -> str:
    """How often an imported case was launched, and from the shortest to the longest of several launches."""
    if result.identity is None:
        return ""
    time = summaries.get((result.case, "duration"))
    if time is None or time.samples < 2 or time.low is None or time.high is None:
        return str(result.identity.launches)
    low, high = scaled(time.low, "ns"), scaled(time.high, "ns")
    spread = f"{low}\nto {high}" if low != high else f"{low} each"
    return f"{result.identity.launches}\n{spread}"


def _median(summaries: Summaries, result: CaseResult, column: CaseColumn) -> float | None:
    summary = summaries.get((result.case, column.metric.name))
    return summary.median if summary is not None else None
