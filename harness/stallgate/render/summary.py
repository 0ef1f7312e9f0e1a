"""``summary.md``: a run as Markdown with figures, for a merge request."""

from __future__ import annotations

from stallgate.judge.evaluate import JudgedRun
from stallgate.model import Catalogue
from stallgate.render.changes import Changes
from stallgate.render.columns import case_columns
from stallgate.render.compare_page import WORD_MARKS, ChangeLine
from stallgate.render.head import head, markdown
from stallgate.render.results_line import standing
from stallgate.render.rightness import worst_of
from stallgate.render.view import View
from stallgate.runs.naming import launches_in_words, noun_of

SAME = WORD_MARKS["same"]


def summary(
    result: JudgedRun, catalogue: Catalogue, views: list[View], files: list[list[str]], changes: list[Changes]
) -> str:
    """Verdicts, a table for each workload, and its figures.

    Args:
        result: the run.
        catalogue: the metrics, for their titles.
        views: its workloads.
        files: the names of each workload's PNGs, which stand beside the summary.
        changes: what changed since each problem was measured last.
    """
    lines = head(result, catalogue).splitlines()
    if result.run.kind != "imported":
        lines += ["", "### What changed since last time", *(line for found in changes for line in _changes(found))]
    for view, pictured in zip(views, files, strict=True):
        lines += ["", f"### {markdown(view.title)}", "", *_table(view)]
        lines += [f"\n![{file.removesuffix('.png')}]({file})" for file in pictured[:2]]
    return "\n".join(lines) + "\n"


def _changes(found: Changes) -> list[str]:
    """A sentence, its notes, and a table of what changed or cannot be compared."""
    if not found.base:
        return ["", f"{markdown(found.mark)}: {markdown(found.words)}."]
    said = "; ".join(filter(None, (found.words, found.allowed)))
    moved = [line for line in found.lines if line.mark != SAME]
    lines = [
        "",
        f"**{found.mark}** since {markdown(found.base)}: {markdown(said)}. Of the candidates: {found.tally}.",
    ]
    lines += ["", *(f"- {markdown(note)}" for note in found.notes)] if found.notes else []
    lines += ["", *_row(CHANGED), *_row(["---"] * len(CHANGED))] if moved else []
    return lines + [row for line in moved for row in _row([markdown(word) for word in _words(line)])]


CHANGED = ["variant", "workload", "metric", "before", "now", "change", "", ""]


def _words(line: ChangeLine) -> list[str]:
    sides = [f"{cell.scaled} ({cell.spread})" if cell.scaled else cell.text for cell in (line.base, line.run)]
    return [line.variant, line.workload, line.metric, *sides, line.change, line.mark, line.why]


def _row(cells: list[str]) -> list[str]:
    return [f"| {' | '.join(cells)} |"]


def _table(view: View) -> list[str]:
    columns = [
        column.holding(view.median(case, column.metric.name) for case in view.drawn)
        for column in case_columns(view.project.catalogue, view.stage_metrics(), imported=view.is_imported)
    ]
    kinds = {case.identity.kind for case in view.cases if case.identity is not None}
    compared = any(case.worst for case in view.drawn)
    right = ["Worst element, of its tolerance"] if compared else []
    heads = [
        *([_capital(noun_of(kinds)), "Launches"] if view.is_imported else ["Variant", "Role"]),
        *(markdown(column.heading) for column in columns),
        *right,
    ]
    rows = [*_row(heads), *_row(["---"] * len(heads))]
    for case in view.drawn:
        values = [column.text(view.median(case, column.metric.name)) for column in columns]
        worst = [markdown(worst_of(case))] if compared else []
        what = launches_in_words(case.identity) if case.identity is not None else standing(case)
        rows += _row([markdown(view.name(case.case)), what, *values, *worst])
    return [*rows, *([f"\n{len(view.drawn)} of {len(view.cases)} cases."] if view.cut else [])]


def _capital(noun: str) -> str:
    return noun[:1].upper() + noun[1:]
