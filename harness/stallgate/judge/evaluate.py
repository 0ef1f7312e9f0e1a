"""Reads a run's folder and judges it: the one path that live, replayed and imported runs share."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path

from msgspec.structs import asdict, replace

from stallgate.errors import BadArgument
from stallgate.extract.read_run import ReadRun, read_run
from stallgate.extract.table import MetricRow, as_csv
from stallgate.formatting import listed
from stallgate.judge.imports import judge_import
from stallgate.judge.reasons import UNMEASURED
from stallgate.judge.roof import Roofs, with_roof_fractions
from stallgate.judge.verdicts import ExitStatus, Judgement, Targets, grounds_of, judge_targets
from stallgate.model import GpuSpec, Run
from stallgate.project.catalogue import ROOF_FRACTION
from stallgate.project.load import Project
from stallgate.project.paths import inside
from stallgate.runs.conditions import gpus_of, unreplayed
from stallgate.runs.folder import as_argument, pretty, write_whole


class JudgedRun(ReadRun, frozen=True, kw_only=True, dict=True):
    """A run that was read and judged; `roof_fraction` is of its sound roofs."""

    argument: str
    """The run as commands take it: ``run.json`` has the name that its folder had when it was measured."""
    judgement: Judgement
    roofs: Roofs
    gpu_spec: GpuSpec | None
    """The data sheet of the run's GPU, where it is of one: shown, never judged by."""


def evaluate(
    project: Project, folder: Path, stages: list[str], *, targets: Targets = "all", only_judge: bool = False
) -> JudgedRun:
    """Reads a run's ncu reports, builds its table and judges it.

    Args:
        project: yardsticks and code as they stand now.
        folder: the run's.
        stages: names of stages to judge by; empty for those that its problems name, or that are for imports.
        targets: which targets are judged.
        only_judge: leave out the detail reports, which nothing is judged by and which take as long as the others.
    """
    read = read_run(project, folder, only_judge=only_judge)
    return judge(read, project, stages, today=datetime.now(UTC).date(), targets=targets)


def judge(read: ReadRun, project: Project, stages: list[str], *, today: date, targets: Targets = "all") -> JudgedRun:
    """Finds a run's roofs, computes its fractions of them, and judges it.

    Args:
        read: the run.
        project: yardsticks as they stand now, and the code that the numbers have to be of.
        stages: names of stages to judge by; empty for those that its problems name, or that are for imports.
        today: the day by which waivers end, UTC.
        targets: which targets are judged.

    Raises:
        UnknownName: no such stage.
    """
    grounds = grounds_of(read, project, today, targets)
    complete = with_roof_fractions(read, grounds.roofs, project.catalogue.metrics[ROOF_FRACTION])
    judging = judge_import if read.run.kind == "imported" else judge_targets
    judgement = judging(replace(grounds, read=complete), stages)
    return JudgedRun(
        **asdict(complete),
        argument=as_argument(project.reports, complete.folder),
        judgement=judgement,
        roofs=grounds.roofs,
        gpu_spec=_gpu_spec(project, complete.run),
    )


def _gpu_spec(project: Project, run: Run) -> GpuSpec | None:
    gpus = gpus_of(run)
    return project.gpu_spec_of(gpus[0]) if len(gpus) == 1 else None


def measured_status(result: JudgedRun) -> int:
    """The exit status of measuring: 0 where every case was measured, or skipped for a stated reason.

    That a problem has no recording to replay is no such reason. Importing ends with 0 where all that the reports hold
    was read, whatever a stage says of it.
    """
    if result.run.kind == "imported":
        return 0 if not result.faults else 3
    outcomes = {case.outcome for case in result.run.cases}
    if "wrong_result" in outcomes:
        return 1
    missing = any(verdict.reason in UNMEASURED for verdict in result.judgement.verdicts)
    whole = outcomes <= {"profiled", "skipped"} and result.run.complete and not result.faults
    return 0 if whole and not missing and not unreplayed(result.run) else 3


def asked_status(result: JudgedRun) -> ExitStatus:
    """The gate's exit status.

    Raises:
        BadArgument: the run is imported, and no stage was named for it.
    """
    status = result.judgement.exit_status
    if status is None:
        able = result.judgement.able
        can = f"; {listed(able.whole)} can judge it" if able.whole else ""
        if able.part and not able.whole:
            can = f"; with --targets absolute {listed(able.part)} can judge a part of it"
        raise BadArgument(
            f"{result.argument} is imported, and no stage says what to ask of it",
            f'name one with --stage, or for all imports in stallgate.toml: [imports] stages = ["NAME"]{can}',
        )
    return status


# --- as JSON ----------------------------------------------------------------------------------------------------------


def write_results(result: JudgedRun) -> None:
    """Writes ``metrics.csv``, ``ncu_metrics/<case>.json`` and ``verdicts.json`` into the run's folder."""
    write_whole(result.folder / "metrics.csv", as_csv(result.rows).encode())
    for case, kernels in ncu_metrics(result.rows).items():
        path = inside(result.folder, "ncu_metrics", f"{_file_name(case)}.json")
        path.parent.mkdir(exist_ok=True)
        write_whole(path, (json.dumps(kernels, indent=2) + "\n").encode())
    write_verdicts(result)


def write_verdicts(result: JudgedRun) -> None:
    """Writes ``verdicts.json`` into the run's folder."""
    write_whole(result.folder / "verdicts.json", pretty(verdicts(result)))


_LONGEST_FILE_NAME = 200


def _file_name(case: str) -> str:
    """A case's name as a file's; an imported kernel's can be too long for one."""
    name = case.replace("/", ".")
    if len(name.encode()) <= _LONGEST_FILE_NAME:
        return name
    return f"{name[:100]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def verdicts(result: JudgedRun) -> dict[str, object]:
    """The judgement as JSON has it."""
    return {
        "run": result.argument,
        "kind": result.run.kind,
        "exit_status": result.judgement.exit_status,
        "stages": result.judgement.stages,
        "targets": result.judgement.targets,
        "notes": result.judgement.notes,
        "uncollected": result.judgement.uncollected,
        "gpu_spec": result.gpu_spec,
        "verdicts": result.judgement.verdicts,
    }


def ncu_metrics(rows: Iterable[MetricRow]) -> dict[str, dict[str, dict[str, float]]]:
    """Case -> kernel -> ncu name -> median over samples, as prompts for kernel writers take it."""
    values: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        if row.launch is not None and row.state == "measured" and row.source == "ncu":
            values.setdefault((row.case.name, row.kernel, row.ncu_name), []).append(row.value)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for (case, kernel, name), samples in values.items():
        found.setdefault(case, {}).setdefault(kernel, {})[name] = statistics.median(samples)
    return found
