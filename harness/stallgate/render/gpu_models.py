"""A variant on every GPU model: the picture and the table that ``reports/index.html`` has of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby

from stallgate.compare.gpu_models import OnModel, OverModels, cases_of, over_models, shown_metrics
from stallgate.compare.history import StoredRun
from stallgate.judge.bounds import bound_now
from stallgate.model import FrozenStruct, Metric
from stallgate.project.load import Project
from stallgate.render.figures import Dot, FigureRow, Limit, Panel, lay_panels
from stallgate.render.model_words import (
    ModelCell,
    cell_of,
    controls_of,
    finding_of,
    gap_of,
    notes_of,
    place_in_words,
    versions_of,
)
from stallgate.render.sheet import TEXT, WIDE, Sheet, Style, page_svg


class ModelTableRow(FrozenStruct, frozen=True):
    """The newest measurement of one workload on one GPU model."""

    workload: str
    gpu: str
    cells: list[ModelCell]
    standing: str
    stale: list[str]
    measured: str
    run: str
    conditions: str


class ModelSection(FrozenStruct, frozen=True):
    """One variant over all GPU models."""

    anchor: str
    variant: str
    finding: str
    picture: str
    headings: list[str]
    rows: list[ModelTableRow]
    notes: list[str]
    """What differs beside the GPU, and what is left out."""


def model_sections(project: Project, runs: Sequence[StoredRun]) -> list[ModelSection]:
    """A section for each candidate that runs measured on more than one GPU model. Recordings are named, not read."""
    cases = [case for name in project.problems for case in cases_of(project, name, None)]
    found = over_models(project, runs, cases, with_recordings=False)
    groups = groupby(found, lambda each: (each.case.problem, each.case.variant))
    sections = [(who, list(charts)) for who, charts in groups]
    return [
        _section(project, problem, variant, charts)
        for (problem, variant), charts in sections
        if any(len(each.models) > 1 for each in charts)
    ]


def _section(project: Project, problem: str, variant: str, charts: list[OverModels]) -> ModelSection:
    names = list(dict.fromkeys(name for each in charts for name in shown_metrics(project, each)))
    metrics = [project.catalogue.metrics[name] for name in names]
    finding = finding_of(charts)
    return ModelSection(
        anchor=f"models-{problem}-{variant}",
        variant=f"{problem}/{variant}",
        finding=finding,
        picture=page_svg(partial(models_figure, finding, project, charts)),
        headings=[metric.title for metric in metrics],
        rows=[_row(each, found, metrics) for each in charts for found in each.models],
        notes=list(notes_of(charts)),
    )


# --- the picture ------------------------------------------------------------------------------------------------------


def models_figure(title: str, project: Project, charts: Sequence[OverModels], width: float = WIDE) -> Sheet:
    """For each workload a panel for each metric, a row for each GPU model. Nothing joins two models."""
    sheet, style = Sheet(title, width), Style(size=TEXT, bold=True)
    for each in charts:
        sheet.height += sheet.paragraph((6, sheet.height, width - 12), place_in_words(each), style) + 4
        metrics = [project.catalogue.metrics[name] for name in shown_metrics(project, each)]
        rows = [FigureRow(name=f"{found.gpu} ({found.standing})", role=each.role) for found in each.models]
        lay_panels(sheet, rows, [_panel(project, each, metric) for metric in metrics])
    return sheet


def _panel(project: Project, chart: OverModels, metric: Metric) -> Panel:
    bound = bound_now(project, chart.case.problem, chart.case.workload, metric.name)
    judged = chart.role == "candidate" and bound is not None
    return Panel(
        metric=metric,
        dots=[_dot(found, metric) for found in chart.models],
        limit=Limit(comparison=bound[0], bound=bound[1]) if judged and bound is not None else None,
    )


def _dot(found: OnModel, metric: Metric) -> Dot:
    summary = found.summaries.get(metric.name)
    if summary is None or summary.median is None:
        return Dot(median=None, low=None, high=None, gap=gap_of(found, summary))
    return Dot(median=summary.median, low=summary.low, high=summary.high)


# --- the table --------------------------------------------------------------------------------------------------------


def _row(chart: OverModels, found: OnModel, metrics: Sequence[Metric]) -> ModelTableRow:
    return ModelTableRow(
        workload=place_in_words(chart),
        gpu=found.gpu,
        cells=[cell_of(found, metric) for metric in metrics],
        standing=found.standing,
        stale=found.stale,
        measured=found.time.created.replace("T", " ").replace("Z", ""),
        run=found.run,
        conditions=f"{versions_of(found)}, {controls_of(chart)}",
    )
