"""From a run's folder to everything that is said of it: the one path that live, replayed and imported runs share."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec
from msgspec.structs import replace

from stallgate.extract.evidence import Evidence, gather
from stallgate.extract.table import Row, Summaries, as_csv, as_frame, rows_of, summarise, summarise_kernels
from stallgate.judge.soundness import foreign_kernels
from stallgate.judge.verdicts import Judgement, judge
from stallgate.model import Card, Case, Run, State
from stallgate.project.catalogue import resolve
from stallgate.project.load import Project
from stallgate.project.paths import inside
from stallgate.runs.folder import load, pretty, write_whole

if TYPE_CHECKING:
    import pandas as pd


class Result(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A run, read and judged."""

    folder: Path
    run: Run
    evidence: Evidence
    rows: list[Row]
    summaries: Summaries
    judgement: Judgement
    foreign_kernels: dict[Case, list[str]] = {}
    """Kernels that are neither a variant's own nor allowed: of candidates judged, of others shown."""
    card: Card | None = None
    """What the sheet of the run's GPU says: shown, never judged by."""

    @cached_property
    def places(self) -> dict[tuple[str, str], list[Row]]:
        """(problem, workload) -> the rows there."""
        found: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            found.setdefault((row.problem, row.workload), []).append(row)
        return found

    @cached_property
    def table(self) -> pd.DataFrame:
        """The rows for pandas."""
        return as_frame(self.rows)


def evaluate(project: Project, folder: Path, stages: list[str], *, only_judge: bool = False) -> Result:
    """Reads a run's ncu reports, builds its table and judges it.

    Args:
        project: yardsticks and code as they stand now.
        folder: the run's.
        stages: names of stages to judge by; empty for those that its problems name.
        only_judge: leave out the reports that nothing is judged by, which take as long as the others.
    """
    run = with_roles(load(folder), project)
    judged = [attempt for attempt in run.attempts if attempt.kind != "detail"]
    evidence = gather(folder, replace(run, attempts=judged) if only_judge else run, project.catalogue)
    rows = rows_of(run, evidence.calls, project.catalogue)
    summaries = summarise(rows)
    today = datetime.now(UTC).date()
    parts = summarise_kernels(rows, _judged(project))
    foreign = foreign_kernels(run, project, evidence)
    judgement = judge(run, project, evidence, summaries, stages, parts=parts, foreign=foreign, today=today)
    return Result(
        folder=folder,
        run=run,
        evidence=evidence,
        rows=rows,
        summaries=summaries,
        judgement=judgement,
        foreign_kernels=foreign,
        card=_card(project, run),
    )


def _card(project: Project, run: Run) -> Card | None:
    gpu = next((attempt.environment.gpu for attempt in run.attempts if attempt.environment is not None), None)
    return project.card_of(gpu) if gpu is not None else None


def _judged(project: Project) -> set[str]:
    """The metrics that any stage has a target for."""
    targets = [target for stage in project.stages.values() for target in stage.targets]
    return {resolve(project.catalogue, target.metric).name for target in targets}


def with_roles(run: Run, project: Project) -> Run:
    """A run with the roles that its variants have in the tree now: promoting one needs no new measurement."""
    variants = {(p.name, v.name): v.role for p in project.problems.values() for v in p.variants.values()}
    results = [
        replace(result, role=variants.get((result.case.problem, result.case.variant), result.role))
        if run.kind != "imported"
        else result
        for result in run.cases
    ]
    return replace(run, cases=results)


UNMEASURED = {*get_args(State)} - {"measured"} | {"damaged_report", "implausible", "stale"}
"""Reasons of verdicts that say: a number that is needed is not there."""


def measured_status(result: Result) -> int:
    """The exit status of measuring: 0 where every case was measured, or skipped for a stated reason."""
    outcomes = {case.outcome for case in result.run.cases}
    if "wrong_result" in outcomes:
        return 1
    missing = any(verdict.reason in UNMEASURED for verdict in result.judgement.verdicts)
    whole = outcomes <= {"profiled", "skipped"} and result.run.complete and not result.evidence.faults
    return 0 if whole and not missing else 3


def run_facts(result: Result, status: int) -> dict[str, object]:
    """What was measured, as JSON has it."""
    return {
        "run": str(result.folder),
        "kind": result.run.kind,
        "exit_status": status,
        "cases": [
            {
                "case": case.case.name,
                "outcome": case.outcome,
                "reason": case.reason,
                "strays": case.strays,
                "foreign_kernels": result.foreign_kernels.get(case.case, []),
            }
            for case in result.run.cases
        ],
        "metrics": {
            case.name: {metric: summary.median for (of, metric), summary in result.summaries.items() if of == case}
            for case in dict.fromkeys(case for case, _ in result.summaries)
        },
    }


def write_results(result: Result) -> None:
    """Writes ``metrics.csv``, ``ncu_metrics/<case>.json`` and ``verdicts.json`` into the run's folder."""
    write_whole(result.folder / "metrics.csv", as_csv(result.rows).encode())
    for case, kernels in ncu_metrics(result.rows).items():
        path = inside(result.folder, "ncu_metrics", f"{_file_name(case)}.json")
        path.parent.mkdir(exist_ok=True)
        write_whole(path, (json.dumps(kernels, indent=2) + "\n").encode())
    write_verdicts(result)


def write_verdicts(result: Result) -> None:
    """Writes ``verdicts.json`` into the run's folder."""
    write_whole(result.folder / "verdicts.json", pretty(verdicts(result)))


LONGEST_FILE_NAME = 200


def _file_name(case: str) -> str:
    """A case's name as a file's; an imported kernel's can be too long for one."""
    name = case.replace("/", ".")
    if len(name.encode()) <= LONGEST_FILE_NAME:
        return name
    return f"{name[:100]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def verdicts(result: Result) -> dict[str, object]:
    """The judgement as JSON has it."""
    return {
        "run": result.run.name,
        "kind": result.run.kind,
        "exit_status": result.judgement.exit_status,
        "stages": result.judgement.stages,
        "notes": result.judgement.notes,
        "card": result.card,
        "verdicts": result.judgement.verdicts,
    }


def ncu_metrics(rows: Iterable[Row]) -> dict[str, dict[str, dict[str, float]]]:
    """Case -> kernel -> ncu name -> median over samples, as prompts for kernel writers take it."""
    values: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        if row.launch is not None and row.state == "measured" and row.source == "ncu":
            values.setdefault((row.case.name, row.kernel, row.ncu_name), []).append(row.value)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for (case, kernel, name), samples in values.items():
        found.setdefault(case, {}).setdefault(kernel, {})[name] = statistics.median(samples)
    return found
