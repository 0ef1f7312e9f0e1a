"""The tables of a workload: every metric of every case, and the kernels of a call."""

from __future__ import annotations

from collections import Counter
from statistics import median

from stallgate.extract.table import MetricRow
from stallgate.formatting import rounded, spaced, with_unit
from stallgate.model import DETAIL, Case, CaseResult, FrozenStruct, Metric
from stallgate.project.catalogue import is_measured
from stallgate.render.results_line import standing
from stallgate.render.view import View
from stallgate.runs.naming import facts_of

MOST_COLUMNS = 8
"""Most cases that get one column each, with one row per metric; with more cases, rows and columns are swapped."""

_LONGEST_TITLE = 1000
"""Characters of a signature in a hover text."""

_OF_EVERY_KERNEL = ("duration", "grid_size", "registers")
"""Metrics that the table of kernels has beside those of the stages."""


class MetricCell(FrozenStruct, frozen=True):
    """A metric of a case."""

    text: str
    title: str
    """Hover text: the spread, or why there is no value."""
    value: float | None
    metric: str = ""
    case: str = ""
    """Both are empty in a long table, where they would make up most of the page."""


class Heading(FrozenStruct, frozen=True):
    """The head of a row or column."""

    text: str
    below: str = ""
    """A second line in small letters: the role of a case."""
    name: str = ""
    """The short name of a metric."""
    group: str = ""
    """The head that a metric stands under."""
    title: str = ""
    role: str = ""


class Grid(FrozenStruct, frozen=True):
    """Every metric of every case; the longer side runs downwards."""

    corner: str
    columns: list[Heading]
    rows: list[tuple[Heading, list[MetricCell]]]


def grid(view: View) -> Grid:
    """The whole metric table of a workload."""
    metrics = _without_doubles([metric for metric in _stages_first(view) if _is_told(view, metric)])
    heads = [_metric_heading(view, metric) for metric in metrics]
    names = [_case_heading(view, case) for case in view.cases]
    if len(view.cases) <= MOST_COLUMNS:
        rows = [(head, [_cell(view, c, m) for c in view.cases]) for head, m in zip(heads, metrics, strict=True)]
        groups = list(dict.fromkeys(head.group for head in heads))
        return Grid(corner="Metric", columns=names, rows=sorted(rows, key=lambda row: groups.index(row[0].group)))
    cells = [[_bare(_cell(view, case, metric)) for metric in metrics] for case in view.cases]
    return Grid(corner="Case", columns=heads, rows=list(zip(names, cells, strict=True)))


def _case_heading(view: View, case: CaseResult) -> Heading:
    if case.identity is None:
        return Heading(text=view.name(case.case), below=standing(case), role=case.role)
    signature = case.identity.signature or " > ".join(case.identity.ranges)
    below = facts_of(case.identity)
    return Heading(text=view.name(case.case), below=below, title=signature[:_LONGEST_TITLE], role=case.role)


def _stages_first(view: View) -> list[Metric]:
    """The catalogue with the time and the stages' metrics at its head."""
    ordered = [view.metric("duration"), *view.stage_metrics(), *view.project.catalogue.metrics.values()]
    return list({metric.name: metric for metric in ordered}.values())


_SAME = {"stall_long_scoreboard": "memory_dependency_stall"}
"""Metric -> another name for it that the table has instead."""


def _without_doubles(metrics: list[Metric]) -> list[Metric]:
    """Metrics without those that are another under a second name."""
    names = {metric.name for metric in metrics}
    return [metric for metric in metrics if _SAME.get(metric.name) not in names]


def _is_told(view: View, metric: Metric) -> bool:
    """Whether any case has a reading, if only of why there is no value; a metric that nobody asked for has none.

    Of an imported run only a stage asks for what the reports do not have.
    """
    found = [view.summary(case, metric.name) for case in view.cases]
    if metric.collect == "always" and view.result.run.kind != "imported":
        return is_measured(metric) or any(found)
    asked = metric.name in {shown.name for shown in view.stage_metrics()}
    return asked or any(summary is not None and summary.state != "absent" for summary in found)


def _metric_heading(view: View, metric: Metric) -> Heading:
    unit = f" [{metric.unit}]" if unit_in_heading(metric) else ""
    found = [view.summary(case, metric.name) for case in view.cases]
    names = list(dict.fromkeys(summary.ncu_name for summary in found if summary is not None))
    return Heading(
        text=f"{metric.title}{unit}",
        name=metric.name,
        title=f"{metric.about} {' or '.join(names[:2])}",
        group=_group(metric),
    )


def unit_in_heading(metric: Metric) -> bool:
    """Whether a metric's heading says its unit; times, bytes and percentages have it in every cell."""
    return bool(metric.unit) and metric.unit not in _UNITS_IN_CELLS


_UNITS_IN_CELLS = ("ns", "byte", "%", "byte/s", "flop/s", "flop")


def _group(metric: Metric) -> str:
    """The head that a metric stands under."""
    if metric.state is not None or metric.name == "memory_dependency_stall":
        return "What warps wait for"
    return next((group for group, parts in _GROUPS.items() if any(part in metric.name for part in parts)), "Launch")


_GROUPS = {
    "Time and roof": ("duration", "roof", "effective", "traffic"),
    "Caches and L2": (
        "l2_",
        "l1_",
        "bytes_per_sector",
        "shared_bank",
        "shared_conflicts",
        "shared_wave",
        "shared_memory_t",
    ),
    "DRAM": ("dram",),
    "Compute": ("flop", "pipe", "tensor", "sm_", "arithmetic", "instructions", "intensity"),
    "Occupancy and launch": ("occupancy", "grid", "block", "waves", "registers", "shared_memory", "warps"),
}
"""Head -> parts of the names of its metrics; the first that fits."""


def _cell(view: View, case: CaseResult, metric: Metric) -> MetricCell:
    summary = view.summary(case, metric.name)
    if summary is None:
        return _filled(case, metric, "–", case.reason[:300] or spaced(case.outcome))
    if summary.median is None:
        return _filled(case, metric, spaced(summary.state), "")
    noun = "samples" if case.identity is None else "launches"
    low, high = (rounded(end if end is not None else summary.median, 6) for end in (summary.low, summary.high))
    spread = f"{low} to {high} in {summary.samples} {noun}"
    if _does_not_apply(metric, summary.median):
        return _filled(case, metric, "does not apply", _ASYNC)
    return _filled(
        case, metric, with_unit(summary.median, metric.unit), spread if summary.samples > 1 else "", summary.median
    )


_ASYNC = "this counter saw no access: cp.async and TMA, which it does not count, or none at all"


def _does_not_apply(metric: Metric, value: float) -> bool:
    """Whether a 0 means that a kernel has no loads or stores of that kind, and not that they use no byte."""
    return value == 0 and metric.name in ("bytes_per_sector_loaded", "bytes_per_sector_stored")


def _bare(cell: MetricCell) -> MetricCell:
    return MetricCell(text=cell.text, title="", value=cell.value)


def _filled(case: CaseResult, metric: Metric, text: str, title: str, value: float | None = None) -> MetricCell:
    return MetricCell(text=text, title=title, value=value, metric=metric.name, case=case.case.name)


# --- kernels of a call ------------------------------------------------------------------------------------------------


class KernelRow(FrozenStruct, frozen=True):
    """One kernel of a call, by medians over the call's samples."""

    variant: str
    case: str
    kernel: str
    share: float
    """Share of the call's time, from 0 to 1."""
    values: list[float | None]
    """One value per metric of `kernel_metrics`."""


def kernel_metrics(view: View) -> list[Metric]:
    """The columns of the table of kernels: the time, what the stages have of each launch, its grid and registers."""
    first, *others = (view.metric(name) for name in _OF_EVERY_KERNEL)
    of_stages = [metric for metric in view.stage_metrics() if is_measured(metric)]
    return list({metric.name: metric for metric in (first, *of_stages, *others)}.values())


def kernels(view: View) -> list[KernelRow]:
    """The kernels of the calls that have more than one."""
    launches: dict[Case, list[MetricRow]] = {}
    columns = [metric.name for metric in kernel_metrics(view)]
    for row in view.readings:
        if row.launch is not None and row.sample != DETAIL and row.metric in columns:
            launches.setdefault(row.case, []).append(row)
    calls = [_kernels_of(case, view.name(case), rows, columns) for case, rows in launches.items()]
    return [kernel for call in calls if len(call) > 1 for kernel in call]


def _kernels_of(case: Case, name: str, rows: list[MetricRow], columns: list[str]) -> list[KernelRow]:
    """The launches of a call in their order: the first of one sample is the first of another."""
    places = _places(rows)
    names: dict[int, str] = {}
    values: dict[tuple[int, str], list[float]] = {}
    for row in rows:
        place = places[row.sample, row.launch]
        names.setdefault(place, row.kernel)
        if row.state == "measured":
            values.setdefault((place, row.metric), []).append(row.value)
    medians = {key: median(found) for key, found in values.items()}
    total = sum(value for (_, metric), value in medians.items() if metric == "duration")
    return [
        KernelRow(
            variant=name,
            case=case.name,
            kernel=names[place],
            share=medians.get((place, "duration"), 0.0) / total if total else 0.0,
            values=[medians.get((place, metric)) for metric in columns],
        )
        for place in sorted(names)
    ]


def _places(rows: list[MetricRow]) -> dict[tuple[str, int | None], int]:
    """(sample, launch) -> which launch of its sample it is."""
    places: dict[tuple[str, int | None], int] = {}
    before: Counter[str] = Counter()
    for sample, launch in sorted({(row.sample, row.launch) for row in rows}):
        places[sample, launch] = before[sample]
        before[sample] += 1
    return places
