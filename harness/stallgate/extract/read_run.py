"""A run with its numbers: what judging, comparing and drawing share."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from stallgate.extract.content import content_digest
from stallgate.extract.evidence import ProfiledCall, gather
from stallgate.extract.kernels import foreign_kernels
from stallgate.extract.table import MetricRow, Parts, Summaries, as_frame, rows_of, summarise, summarise_kernels
from stallgate.model import Case, Run
from stallgate.project.load import Project
from stallgate.runs.folder import load
from stallgate.runs.naming import case_names

if TYPE_CHECKING:
    import pandas as pd


class MeasuredRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run and the summaries of its cases: all that a comparison needs."""

    folder: Path
    run: Run
    """The run; its cases have the roles that the tree gives their variants now."""
    faults: dict[str, str]
    """Case name -> why its numbers cannot be relied on."""
    summaries: Summaries


class ReadRun(MeasuredRun, frozen=True, kw_only=True, dict=True):
    """A run whose ncu reports were read. `roof_fraction` is absent until the roofs are known to be sound."""

    calls: list[ProfiledCall]
    """The usable calls."""
    rows: list[MetricRow]
    parts: Parts
    """Per-kernel values of the metrics that a stage has a target for."""
    foreign_kernels: dict[Case, list[str]]
    """Kernels that are neither a variant's own nor allowed: judged for candidates, shown for others."""
    reader: str
    """Version of ncu_report; empty where nothing was read."""

    @cached_property
    def places(self) -> dict[tuple[str, str], list[MetricRow]]:
        """(problem, workload) -> its rows."""
        found: dict[tuple[str, str], list[MetricRow]] = {}
        for row in self.rows:
            found.setdefault((row.problem, row.workload), []).append(row)
        return found

    @cached_property
    def names(self) -> dict[Case, str]:
        """Case -> its name for a reader."""
        return case_names(self.run)

    @cached_property
    def table(self) -> pd.DataFrame:
        """The rows for pandas."""
        return as_frame(self.rows)


def measurements_of(measured: MeasuredRun) -> frozenset[str]:
    """Digests of a run's ncu reports: runs that share one hold the same measurement, as a run and its recording do."""
    judged = [attempt for attempt in measured.run.attempts if attempt.kind != "detail" and attempt.report is not None]
    paths = [measured.folder / str(attempt.report) for attempt in judged]
    return frozenset(content_digest(path) for path in paths if path.is_file())


def read_run(project: Project, folder: Path, *, only_judge: bool = False) -> ReadRun:
    """Reads a run's ncu reports and builds its table.

    Args:
        project: the catalogue, and the code to compare with.
        folder: the run's.
        only_judge: skip the detail reports, which are never judged and take as long to read as the others.

    Raises:
        BrokenFile: a problem of the run is broken: nothing can be compared with its code.
    """
    run = with_roles(load(folder), project)
    if run.kind != "imported":
        project.check_problems(run.subjects)
    judged = [attempt for attempt in run.attempts if attempt.kind != "detail"]
    evidence = gather(folder, replace(run, attempts=judged) if only_judge else run, project.catalogue)
    rows = rows_of(run, project, evidence.calls)
    return ReadRun(
        folder=folder,
        run=run,
        faults=evidence.faults,
        summaries=summarise(rows),
        calls=evidence.calls,
        rows=rows,
        parts=summarise_kernels(rows, _targeted(project)),
        foreign_kernels=foreign_kernels(run, project, evidence.calls),
        reader=evidence.reader,
    )


def _targeted(project: Project) -> set[str]:
    """The metrics that any stage has a target for."""
    return {target.metric.name for stage in project.stages.values() for target in stage.targets}


def with_roles(run: Run, project: Project) -> Run:
    """A run with the roles that its variants have in the tree now: promoting one needs no new measurement."""
    if run.kind == "imported":
        return replace(run, cases=[replace(result, role="unknown") for result in run.cases])
    roles = {(p.name, v.name): v.role for p in project.problems.values() for v in p.variants.values()}
    results = [
        replace(result, role=roles.get((result.case.problem, result.case.variant), result.role)) for result in run.cases
    ]
    return replace(run, cases=results)
