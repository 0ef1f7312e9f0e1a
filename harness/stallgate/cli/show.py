"""``stallgate show``: lists runs, problems or stages; shows a run, or a variant over GPU models."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import click

from stallgate.cli.examples import examples
from stallgate.cli.facts import CaseFacts, MetricValue, RunFacts, RunKind, run_facts
from stallgate.cli.options import json_option, root_option
from stallgate.cli.output import print_result
from stallgate.cli.shared import judged, open_runs
from stallgate.cli.show_models import ModelsShown, show_models
from stallgate.cli.sweep_found import SweepFindings, sweep_findings
from stallgate.compare.history import StoredRun, gate_answer, listed_runs
from stallgate.compare.two_runs import main_metrics
from stallgate.errors import BadArgument
from stallgate.judge.bounds import terms_of
from stallgate.judge.evaluate import JudgedRun
from stallgate.judge.suggestion import Advised, sweep_result
from stallgate.judge.verdicts import Judgement
from stallgate.model import (
    CeilingKind,
    Comparison,
    FrozenStruct,
    Outcome,
    Problem,
    Role,
    Stage,
    Status,
    Target,
    Workload,
)
from stallgate.project.load import Project
from stallgate.render import terminal
from stallgate.render.listings import older_text, problems_text, runs_table, stages_text
from stallgate.render.loop_listing import LoopListed, loops_listed
from stallgate.render.sweep_listing import SweepListed, sweeps_listed, with_folders
from stallgate.render.sweep_terminal import show_sweep
from stallgate.render.terminal_run import show_run
from stallgate.render.terminal_text import show_lines
from stallgate.runs.conditions import gpus_of
from stallgate.runs.folder import LATEST, RECORDED, SWEEP_FILE
from stallgate.runs.journal import StopCode
from stallgate.runs.outlines import StoredJudgement, StoredVerdict
from stallgate.runs.store import Store
from stallgate.runs.sweep import sweep_called

_LISTED = 50
"""Runs that a terminal lists unless it is told otherwise: nobody reads more, and a table of 10,000 takes seconds."""

GateAnswer = Status | Literal["not_judged"]
"""The gate's latest answer for a run; not_judged: it has no verdicts.json that can be read."""


LoopEnding = StopCode | Literal["not_over"]
"""Why a loop ended; not_over: it did not."""


class RunListed(FrozenStruct, frozen=True):
    """A run under ``reports/``, as its ``run.json`` and ``verdicts.json`` have it."""

    name: str
    kind: RunKind | None
    """null where ``run.json`` cannot be read, like every other null here; ``gaps`` says why."""
    created: str | None
    """UTC, ISO 8601."""
    gpus: list[str]
    """null also where the run does not say."""
    commit: str | None
    """null also where it is not known."""
    dirty: bool | None
    complete: bool | None
    problems: list[str]
    outcomes: dict[Outcome, int]
    """Outcome -> number of cases."""
    verdict: GateAnswer
    gaps: list[str]
    """What is missing or damaged, a sentence each."""
    sweep: Advised | None = None
    """What the sweep suggests that this is; null for every other run. A sweep without counters has no ``run.json``."""
    loop: LoopEnding | None = None
    """How the loop ended that this is; null for every run that is none. A loop has no ``run.json``."""


class RunsShown(FrozenStruct, frozen=True, tag_field="what", tag="runs"):
    """Every run, sweep and loop under ``reports/``, newest first; no ncu report is read."""

    latest: str | None
    """The run that a command takes where none is named; null where there is none."""
    runs: list[RunListed]
    older: int
    """How many older ones --limit leaves out."""


class VariantListed(FrozenStruct, frozen=True):
    """A variant of a problem."""

    name: str
    role: Role
    ceiling: CeilingKind | None
    """What limits a roof; null for every other role."""
    configurations: list[str]


class ProblemListed(FrozenStruct, frozen=True):
    """A problem of the project."""

    name: str
    title: str
    stages: list[str]
    """The stages that gate it."""
    variants: list[VariantListed]
    workloads: list[Workload]
    recordings: list[str]
    """The folders of its recordings, one for each GPU; commands take them as RUN."""


class ProblemsShown(FrozenStruct, frozen=True, tag_field="what", tag="problems"):
    """The project's problems."""

    problems: list[ProblemListed]


class TargetListed(FrozenStruct, frozen=True):
    """A target of a stage: a bound, or a tolerance around the accepted baseline."""

    metric: str
    unit: str
    comparison: Comparison | None
    """null where it is a tolerance."""
    bound: float | None
    """In the metric's unit; null where it depends on the roof or the baseline."""
    of_roof: float | None
    """The bound as a fraction of the roof's value."""
    tolerance: float | None
    """How much worse than the baseline it may be, as a fraction of the baseline."""
    tolerance_points: float | None
    """The same for a share, in percentage points."""
    insist: bool
    """Whether a counter that is worse than the baseline fails although the time is not."""
    scope: Literal["call", "kernel"]
    variants: list[str]
    """The variants that it is for; empty: every candidate."""


class StageListed(FrozenStruct, frozen=True):
    """A stage of the project."""

    name: str
    title: str
    focus: str
    includes: list[str]
    undecided: Literal["stop", "warn"]
    targets: list[TargetListed]
    shown: list[str]
    """Metrics that are drawn beside the targets and not judged."""
    problems: list[str]
    """The problems that are gated by it, also through a stage that includes it."""


class StagesShown(FrozenStruct, frozen=True, tag_field="what", tag="stages"):
    """The stages."""

    stages: list[StageListed]


class RunShown(FrozenStruct, frozen=True, tag_field="what", tag="run"):
    """A run: its cases with their outcomes, and the metrics of its stages."""

    run: str
    """The run's folder."""
    kind: RunKind
    created: str
    gpus: list[str]
    """null where the run does not say."""
    complete: bool
    verdict: GateAnswer
    """By the stages as they stand now."""
    stages: list[str]
    cases: list[CaseFacts]
    metrics: dict[str, dict[str, MetricValue]]
    """Case -> metric -> value: the duration and the metrics of the stages; with --all, every metric."""
    sweep: SweepFindings | None = None
    """What the sweep found that the run is part of; null where it is part of none."""


_Shown = RunsShown | ProblemsShown | StagesShown | RunShown | ModelsShown


@click.command("show", epilog=examples("stallgate show runs", "stallgate show run RUN"))
@click.argument("what", type=click.Choice(["runs", "problems", "stages", "run", "models"]))
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Of a run, with --json: every metric, not only those of its stages.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help=f"Of runs: the newest N; default: {_LISTED}, with --json all.",
)
@root_option
@json_option(_Shown)
def show_command(what: str, name: str | None, every: bool, limit: int | None, root: Path | None, as_json: bool) -> int:
    """List runs, problems or stages; show a run, or a variant on every GPU model.

    NAME is a problem, a stage, a run, or for models PROBLEM[/VARIANT]; default: all of them, or the latest run.
    """
    if every and (what != "run" or not as_json):
        raise BadArgument("--all is for `show run` with --json", "leave it out, or add --json")
    if limit is not None and what != "runs":
        raise BadArgument("--limit is for `show runs`", "leave it out")
    project = open_runs(root)
    show: dict[str, Callable[[Project, str | None, bool], _Shown]] = {
        "runs": partial(_runs, limit=limit),
        "problems": _problems,
        "stages": _stages,
        "run": partial(_run, every=every),
        "models": show_models,
    }
    shown = show[what](project, name, as_json)
    return print_result("show", shown) if as_json else 0


# --- runs -------------------------------------------------------------------------------------------------------------


def _runs(project: Project, name: str | None, as_json: bool, *, limit: int | None) -> _Shown:
    if name is not None:
        raise BadArgument("`show runs` always lists all runs", f"`stallgate show run {name}` shows one")
    store = Store(project.reports)
    sweeps, loops = sweeps_listed(store, project), loops_listed(store)
    found = with_folders(listed_runs(store), [*sweeps, *loops])
    stored = found[: limit or (None if as_json else _LISTED)]
    older = len(found) - len(stored)
    latest = project.reports / LATEST
    if not as_json:
        terminal.out.print(runs_table(stored, sweeps, loops) if stored else "There is no run yet.")
        show_lines(older_text(older, len(found)))
    return RunsShown(
        latest=latest.resolve().name if latest.is_dir() else None,
        runs=[_run_listed(each, sweeps.get(each.folder), loops.get(each.folder)) for each in stored],
        older=older,
    )


def _run_listed(stored: StoredRun, swept: SweepListed | None, looped: LoopListed | None) -> RunListed:
    run = stored.outline
    return RunListed(
        name=stored.folder.name,
        kind=run.kind if run is not None else None,
        created=run.time.created if run is not None else None,
        gpus=run.gpus if run is not None else [],
        commit=(run.time.commit or None) if run is not None else None,
        dirty=run.time.dirty if run is not None else None,
        complete=run.complete if run is not None else None,
        problems=run.problems if run is not None else [],
        outcomes=run.outcomes if run is not None else {},
        verdict=stored.answer or "not_judged",
        gaps=stored.gaps,
        sweep=swept.advised if swept is not None else None,
        loop=(looped.ending or "not_over") if looped is not None else None,
    )


def _run(project: Project, name: str | None, as_json: bool, *, every: bool) -> _Shown:
    result = judged(project, name, (), only_judge=True)
    if not as_json:
        show_run(result, project)
    swept = _swept(project, result.folder, as_json=as_json)
    wanted = project.catalogue.metrics if every else main_metrics(project, result, result.judgement.stages)
    units = {metric: project.catalogue.metrics[metric].unit for metric in wanted}
    facts = run_facts(result, units)
    return _run_shown(result, facts, swept)


def _swept(project: Project, folder: Path, *, as_json: bool) -> SweepFindings | None:
    """Shows what the sweep of a run's folder found; None where the run is of no sweep."""
    if not (folder / SWEEP_FILE).is_file():
        return None
    sweep = sweep_called(project.reports, folder)
    found = sweep_result(project, sweep)
    if not as_json:
        show_sweep(project, sweep, found)
    return sweep_findings(found)


def _run_shown(result: JudgedRun, facts: RunFacts, swept: SweepFindings | None) -> RunShown:
    return RunShown(
        run=facts.run,
        kind=facts.kind,
        created=result.run.created,
        gpus=gpus_of(result.run),
        complete=result.run.complete,
        verdict=gate_answer(_judged_now(result.judgement, facts.kind)) or "not_judged",
        stages=result.judgement.stages,
        cases=facts.cases,
        metrics=facts.metrics,
        sweep=swept,
    )


def _judged_now(judgement: Judgement, kind: RunKind) -> StoredJudgement:
    """A judgement as ``verdicts.json`` would have it."""
    verdicts = [StoredVerdict(status=v.status, reason=v.reason, warning=v.warning) for v in judgement.verdicts]
    return StoredJudgement(exit_status=judgement.exit_status, verdicts=verdicts, kind=kind)


# --- problems ---------------------------------------------------------------------------------------------------------


def _problems(project: Project, name: str | None, as_json: bool) -> _Shown:
    problems = [project.problem(name)] if name is not None else list(project.problems.values())
    recorded = {problem.name: _recordings_of(project, problem.name) for problem in problems}
    if not as_json:
        show_lines(problems_text(problems, recorded))
    return ProblemsShown(problems=[_problem_listed(problem, recorded[problem.name]) for problem in problems])


def _recordings_of(project: Project, problem: str) -> list[str]:
    """The folders of a problem's recordings, relative to ``reports/``."""
    files = sorted(project.reports.glob(f"{RECORDED}/*/{problem}/run.json"))
    return [path.parent.relative_to(project.reports).as_posix() for path in files]


def _problem_listed(problem: Problem, recordings: list[str]) -> ProblemListed:
    variants = [
        VariantListed(
            name=variant.name, role=variant.role, ceiling=variant.ceiling, configurations=list(variant.configurations)
        )
        for variant in problem.variants.values()
    ]
    return ProblemListed(
        name=problem.name,
        title=problem.title,
        stages=problem.stages,
        variants=variants,
        workloads=list(problem.workloads.values()),
        recordings=recordings,
    )


# --- stages -----------------------------------------------------------------------------------------------------------


def _stages(project: Project, name: str | None, as_json: bool) -> _Shown:
    stages = [project.stage(name)] if name is not None else list(project.stages.values())
    gated = {stage.name: _gated_by(project, stage.name) for stage in stages}
    if not as_json:
        show_lines(stages_text(stages, gated))
    return StagesShown(stages=[_stage_listed(stage, gated[stage.name]) for stage in stages])


def _gated_by(project: Project, stage: str) -> list[str]:
    """The problems that a stage gates."""
    return [
        problem.name
        for problem in project.problems.values()
        if stage in {found.name for found in project.with_included(problem.stages)}
    ]


def _stage_listed(stage: Stage, problems: list[str]) -> StageListed:
    return StageListed(
        name=stage.name,
        title=stage.title,
        focus=stage.focus,
        includes=stage.includes,
        undecided=stage.undecided,
        targets=[_target_listed(target) for target in stage.targets],
        shown=[metric.name for metric in stage.shown],
        problems=problems,
    )


def _target_listed(target: Target) -> TargetListed:
    comparison, bound, of_roof = terms_of(target)
    return TargetListed(
        metric=target.metric.name,
        unit=target.metric.unit,
        comparison=comparison,
        bound=bound,
        of_roof=of_roof,
        tolerance=target.tolerance,
        tolerance_points=target.tolerance_points,
        insist=target.insist,
        scope=target.scope,
        variants=target.variants,
    )
