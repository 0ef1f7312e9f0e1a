"""``summary.md``: a run in a merge request's own words and pictures."""

from __future__ import annotations

from harness.flow import Result
from harness.render.head import head, text
from harness.render.head import headline as headline
from harness.render.view import View, name_of
from harness.words import number

COLUMNS = (
    ("time [ms]", "duration", 1e-6),
    ("of the roof", "roof_fraction", 1.0),
    ("DRAM [%]", "dram_throughput", 1.0),
    ("L2 hits [%]", "l2_hit_rate", 1.0),
    ("memory stall [%]", "memory_dependency_stall", 1.0),
)


def summary(result: Result, views: list[View], files: list[list[str]]) -> str:
    """Verdicts, a table for each workload, and its figures.

    Args:
        result: the run.
        views: its workloads.
        files: the names of each workload's PNGs, which stand beside the summary.
    """
    lines = head(result).splitlines()
    for view, pictured in zip(views, files, strict=True):
        lines += ["", f"### {text(view.title)}", "", *_table(view)]
        lines += [f"\n![{file.removesuffix('.png')}]({file})" for file in pictured[:2]]
    return "\n".join(lines) + "\n"


def _table(view: View) -> list[str]:
    heads = ["variant", "role", *(heading for heading, _, _ in COLUMNS)]
    rows = [f"| {' | '.join(heads)} |", f"| {' | '.join(['---'] * len(heads))} |"]
    for case in view.drawn:
        medians = [(view.median(case, metric), factor) for _, metric, factor in COLUMNS]
        values = [number(value * factor) if value is not None else "–" for value, factor in medians]
        rows.append(f"| {' | '.join([text(name_of(case)), case.role, *values])} |")
    return [*rows, *([f"\n{len(view.drawn)} of {len(view.cases)} cases."] if view.cut else [])]
